"""How the workers of one training meet, before TensorFlow starts: all are there, under their addresses, with the same program.

The chief listens at its own address and closes that socket before TensorFlow takes the port. No TensorFlow.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import platform
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn.devices import wire
from kerascnn.devices.cluster import Cluster
from kerascnn.devices.team import AGAIN, Joined
from kerascnn.devices.wire import HELLO, LEAVE, VALUE, Broken
from kerascnn.errors import STOPPED, USER_ERROR, Stopped, UserError

PAUSE, ANSWER = 0.3, 5.0  # seconds between two attempts, and until an answer must have come
QUIET = 2.0  # seconds of waiting without a word
Say = Callable[[str], None]


def versions() -> dict[str, str]:
    """Returns what must be equal on all machines: versions, and a digest of this package's modules."""
    package = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        code.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    found = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras")}
    return {"Python": platform.python_version(), **found, "kerascnn": code.hexdigest()[:12]}


def join(cluster: Cluster, seconds: float, say: Say) -> Joined:
    """Returns the team once all workers of `cluster` are there.

    Args:
        cluster: The workers, and this one.
        seconds: Longest wait.
        say: Takes a line about what is waited for.

    Raises:
        Stopped: Some did not come in time.
        UserError: An address is not that of its worker, two are the same worker, or their versions differ.
    """
    until = time.monotonic() + seconds
    token = secrets.token_hex(8)
    with _listening(cluster, until) as listener:
        if cluster.chief:
            peers = _Arrivals(cluster, listener, until, seconds, say).all()
        else:
            with _answering(listener, token):
                peers = {0: _to_chief(cluster, token, until, seconds, say)}
    team = Joined(cluster, peers)
    try:
        team.agree("versions", versions())
    except BaseException as error:
        team.leave(error, USER_ERROR)
        raise
    return team


@contextlib.contextmanager
def _listening(cluster: Cluster, until: float) -> Iterator[socket.socket]:
    """Yields a socket that listens at this worker's port."""
    port = int(cluster.workers[cluster.index].rpartition(":")[2])
    dual = socket.has_dualstack_ipv6()
    while True:
        try:
            family = socket.AF_INET6 if dual else socket.AF_INET
            listener = socket.create_server(("", port), family=family, dualstack_ipv6=dual)
            break
        except OSError as error:
            if time.monotonic() > until or isinstance(error, PermissionError):
                reason = error.strerror or str(error)
                raise UserError(
                    f"{cluster.named(cluster.index)}: port {port} of this host cannot be used ({reason}): end the program"
                    " that has it, or choose another one"
                ) from None
            time.sleep(PAUSE)
    with listener:
        yield listener


@contextlib.contextmanager
def _answering(listener: socket.socket, token: str) -> Iterator[None]:
    """Answers with `token` at this worker's own address, so that the chief knows that it leads here."""

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(ANSWER)
                    wire.send(connection, HELLO, f"{wire.MAGIC.decode()} {token}".encode())

    threading.Thread(target=answer, daemon=True).start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # ends `accept`


def _to_chief(cluster: Cluster, token: str, until: float, seconds: float, say: Say) -> socket.socket:
    """Returns the connection of another worker to the chief, which has welcomed it."""
    host, _, port = cluster.workers[0].rpartition(":")
    hello = {"magic": wire.MAGIC.decode(), "index": cluster.index, "workers": cluster.workers, "token": token}
    said, why = _later(say, f"waits for the chief, {cluster.named(0)}, at most {seconds:.0f} s"), ""
    while time.monotonic() < until:
        try:
            connection = socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER)
        except OSError as error:
            why = error.strerror or str(error)
            said()
            time.sleep(PAUSE)
            continue
        try:
            wire.send(connection, HELLO, json.dumps(hello).encode())
            # The chief has its own limit, and says so when it is over.
            connection.settimeout(max(until - time.monotonic(), 1.0) + 2 * ANSWER)
            kind, content = wire.receive(connection, largest=1 << 20)
        except (Broken, OSError) as error:
            connection.close()
            why = str(error)
            said()
            time.sleep(PAUSE)
            continue
        if kind == LEAVE:
            connection.close()
            found = json.loads(content)
            raise (UserError if found["code"] == USER_ERROR else Stopped)(str(found["text"]))
        return connection
    raise Stopped(
        f"the chief, {cluster.named(0)}, could not be reached within {seconds:.0f} s ({why}): is the command started there, is"
        f" the address right, is the port open? A training that has begun takes in nobody; {AGAIN}"
    )


def _later(say: Say, line: str) -> Callable[[], None]:
    """Returns a function that says `line` once, after a while of calls."""
    first, told = time.monotonic(), [False]

    def maybe() -> None:
        if not told[0] and time.monotonic() > first + QUIET:
            told[0] = True
            say(line)

    return maybe


class _Arrivals:
    """The chief's wait for all other workers."""

    def __init__(self, cluster: Cluster, listener: socket.socket, until: float, seconds: float, say: Say) -> None:
        self.cluster, self.listener, self.until, self.seconds, self.say = cluster, listener, until, seconds, say
        self.there: dict[int, socket.socket] = {}
        self.tokens: dict[int, str] = {}

    def all(self) -> dict[int, socket.socket]:
        """Returns the connections to all others, in order.

        Raises:
            Stopped: Some did not come in time.
            UserError: They do not fit together.
        """
        try:
            self._wait()
            for index in sorted(self.there):
                self._check_address(index)
        except BaseException as error:
            code = USER_ERROR if isinstance(error, UserError) else STOPPED
            for connection in self.there.values():
                with connection, contextlib.suppress(OSError):
                    wire.send(connection, LEAVE, json.dumps({"code": code, "text": str(error)}).encode())
            raise
        for connection in self.there.values():
            with contextlib.suppress(OSError):
                wire.send(connection, VALUE, b"welcome")
        return dict(sorted(self.there.items()))

    def _wait(self) -> None:
        told: set[int] = set()
        start = time.monotonic()
        while missing := set(range(1, len(self.cluster.workers))) - self.there.keys():
            now = time.monotonic()
            if now > self.until:
                raise Stopped(
                    f"not all workers came within {self.seconds:.0f} s: {self._named(missing)} did not; is the same command"
                    f" started there with its own --worker-index, and can it reach {self.cluster.workers[0]}? {AGAIN}"
                )
            if now > start + QUIET and missing != told:
                told = missing
                self.say(f"waits for {self._named(missing)}, at most {self.seconds:.0f} s")
            ready, _, _ = select.select([self.listener, *self.there.values()], [], [], 0.5)
            for index, connection in list(self.there.items()):
                if connection in ready:  # nobody speaks before all are there: it is gone, and may come again
                    connection.close()
                    del self.there[index]
            if self.listener in ready:
                self._take_in(self.listener.accept()[0])

    def _named(self, indices: set[int]) -> str:
        names = [self.cluster.named(index) for index in sorted(indices)]
        return ", ".join(names if len(names) <= 8 else [*names[:8], f"{len(names) - 8} more"])

    def _take_in(self, connection: socket.socket) -> None:
        """Takes a worker in; a connection of something else is closed."""
        try:
            connection.settimeout(ANSWER)
            kind, content = wire.receive(connection, largest=1 << 20)
            hello = json.loads(content) if kind == HELLO else {}
            index, workers, token = int(hello["index"]), tuple(hello["workers"]), str(hello["token"])
            if hello["magic"] != wire.MAGIC.decode():
                raise ValueError(hello["magic"])
        except (Broken, OSError, ValueError, KeyError, TypeError):
            connection.close()
            return
        if workers != self.cluster.workers:
            self.there[-1] = connection  # is told why
            raise UserError(
                f"worker {index} was given other workers than worker 0: {', '.join(workers)} there,"
                f" {', '.join(self.cluster.workers)} here; nothing was trained"
            )
        if index in self.there or not 0 < index < len(workers):
            self.there[-1] = connection
            raise UserError(f"two workers say that they are worker {index}: each needs an index of its own")
        self.there[index], self.tokens[index] = connection, token

    def _check_address(self, index: int) -> None:
        """Raises UserError unless the address of a worker leads to it."""
        host, _, port = self.cluster.workers[index].rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER) as connection:
                answer = wire.receive(connection, largest=1 << 10)[1].decode(errors="replace")
        except (Broken, OSError) as error:
            raise UserError(
                f"{self.cluster.named(index)} has come, but nobody listens at its address"
                f" ({getattr(error, 'strerror', None) or error}): is the address right, is the port open?"
            ) from None
        if answer != f"{wire.MAGIC.decode()} {self.tokens[index]}":
            raise UserError(f"{self.cluster.named(index)} has come, but its address leads to another program")
