"""What the workers of one training tell each other besides gradients: equality, stopping, checkpoints. No TensorFlow.

The chief has a connection to every other worker. Each call of `gather` or `from_chief` is made by all of them, in the same order.
A worker that leaves says why, so that all end the same way; one that is gone is named.
"""

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from kerascnn.cli.escaping import printable
from kerascnn.devices.cluster import Cluster
from kerascnn.devices.wire import LEAVE, VALUE, Peer, packed, unpacked
from kerascnn.errors import INTERRUPTED, STOPPED, TRAINING_FAILED, USER_ERROR, Stopped, TrainingFailed, UserError

AGAIN = "start the same command on all hosts again: it continues from what is kept"
_BYE_SECONDS = 10.0


class Team:
    """The only worker of a training: every exchange returns its own value.

    Attributes:
        index, count: The place of this worker among all, and their number.
    """

    index, count = 0, 1

    @property
    def chief(self) -> bool:
        """Whether this worker writes the run."""
        return self.index == 0

    def gather(self, value: bytes) -> list[bytes]:
        """Returns the values of all workers, in their order."""
        return [value]

    def from_chief(self, value: bytes = b"") -> bytes:
        """Returns the value of the chief; those of the others do not matter."""
        return value

    def largest(self, value: int) -> int:
        """Returns the largest number of all workers."""
        return max(int(found) for found in self.gather(str(int(value)).encode()))

    def told(self, value: Any = None) -> Any:
        """Returns the value of the chief, of what JSON knows."""
        return json.loads(self.from_chief(json.dumps(value).encode()))

    def check(self) -> None:
        """Raises what has ended the training of another worker, if something has."""

    def agree(self, what: str, facts: Mapping[str, Any]) -> None:
        """Compares facts that must be equal for all workers.

        Raises:
            UserError: They differ; the message is the same for all.
        """
        found = [json.loads(value) for value in self.gather(json.dumps(facts, sort_keys=True, default=str).encode())]
        lines = [
            f"  {key}: {_short(found[0].get(key))} for worker 0, {_short(other.get(key))} for worker {i}"
            for i, other in enumerate(found)
            for key in sorted(found[0].keys() | other.keys())
            if found[0].get(key) != other.get(key)
        ]
        if lines:
            raise UserError(
                f"the workers of one training need the same {what}:\n" + "\n".join(lines[:20]) + "\nnothing was trained"
            )

    def leave(self, error: BaseException, code: int) -> None:
        """Tells all others that this worker leaves, and why."""

    def end(self) -> None:
        """Waits until the chief has finished, then parts."""

    def when_broken(self, act: Callable[[str], None]) -> None:
        """Has `act` called in a thread, with a reason, once another worker has left or is gone."""


ALONE = Team()


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


class Joined(Team):
    """The workers of a cluster, which have met (`devices.joining`).

    Args:
        cluster: All workers, and this one.
        peers: Its connections by index: the chief's to all others, another worker's to the chief.
    """

    def __init__(self, cluster: Cluster, peers: Mapping[int, Any]) -> None:
        self.cluster, self.index, self.count = cluster, cluster.index, len(cluster.workers)
        self._why: tuple[str, int] | None = None
        self._act: Callable[[str], None] = lambda reason: None
        self._parting = False
        self.peers: dict[int, Peer] = {}
        for index, connection in peers.items():
            self.peers[index] = Peer(connection, functools.partial(self._left, index))

    def gather(self, value: bytes) -> list[bytes]:
        if not self.chief:
            self.peers[0].send(VALUE, value)
            return unpacked(self._next(0))
        found = [value, *(self._next(index) for index in sorted(self.peers))]
        self._to_all(VALUE, packed(found))
        return found

    def from_chief(self, value: bytes = b"") -> bytes:
        if not self.chief:
            return self._next(0)
        self.check()
        self._to_all(VALUE, value)
        return value

    def check(self) -> None:
        if self._why is None or self._parting:
            return
        message, code = self._why
        if code == USER_ERROR:
            raise UserError(message)
        if code == TRAINING_FAILED:
            raise TrainingFailed(message)
        raise Stopped(message, code)

    def leave(self, error: BaseException, code: int) -> None:
        if self._why is None:
            text = str(error) or type(error).__name__
            self._tell(self.index, text, code)
        self._parting = True
        for peer in self.peers.values():
            peer.close()

    def end(self) -> None:
        if self.chief:
            self._parting = True  # everything is done here: who is lost now does not matter
        self.from_chief()
        self._parting = True
        for peer in self.peers.values():
            if not self.chief:
                peer.send(VALUE)
                peer.close()
        if self.chief:  # all have read it, or are gone, before this process closes its connections
            for peer in self.peers.values():
                with contextlib.suppress(Exception):
                    peer.values.get(timeout=_BYE_SECONDS)
                peer.close()

    def when_broken(self, act: Callable[[str], None]) -> None:
        self._act = act
        if self._why is not None:
            act(self._why[0])

    def _next(self, index: int) -> bytes:
        self.check()
        value = self.peers[index].values.get()
        if value is None:
            self.check()
            raise Stopped(f"{self.cluster.named(index)} is gone; {AGAIN}")
        return value

    def _to_all(self, kind: bytes, content: bytes) -> None:
        for peer in self.peers.values():
            peer.send(kind, content)

    def _tell(self, who: int, text: str, code: int) -> None:
        self._to_all(LEAVE, json.dumps({"who": who, "text": text, "code": code}).encode())

    def _left(self, index: int, said: bytes | None, reason: str) -> None:
        """In the thread of a connection: its worker leaves, for a reason or without a word."""
        if self._parting or self._why is not None:
            return
        if said is None:
            who, code = index, STOPPED
            text = f"was lost ({reason}); {AGAIN}"
            self._why = f"{self.cluster.named(who)} {text}", code
        else:
            found = json.loads(said)
            who, code, text = int(found["who"]), int(found["code"]), str(found["text"])
            lost = text.startswith("was lost (")
            same = code == USER_ERROR and text.startswith("the workers of one training")
            named = self.cluster.named(who)
            self._why = text if same else f"{named} {text}" if lost else f"{named}: {text}", code
        if self.chief:
            for other, peer in self.peers.items():
                if other not in (index, who):
                    peer.send(LEAVE, json.dumps({"who": who, "text": text, "code": code}).encode())
        self._act(self._why[0])
        for peer in self.peers.values():
            peer.wake()


def code_of(error: BaseException) -> int:
    """Returns the exit code with which the other workers end when one ends by `error`."""
    if isinstance(error, Stopped):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, UserError):
        return USER_ERROR
    return STOPPED if isinstance(error, OSError) else TRAINING_FAILED
