"""Leases of directories: one process at a time writes in a directory, also where several machines share its file system.

How to use one, for a run, a study or a shard::

    with hold(folder, "shard 3", say=screen.say) as lease:  # Busy names a live holder; `hold_when_free` waits for it
        write_file(folder / "part-0.csv", content)          # every rename below `folder` is checked: no call is needed
        lease.check()                                       # in long work without renames: raises LeaseLost (exit code 75)

`FOLDER/.lease/N` is the lease of generation N. It is created with O_EXCL, its content names the holder, its mtime is the
heartbeat (by the clock of the file server), and 1970 as mtime says that it was released. The newest one stays, so that
generations are never used twice. Whoever follows a dead holder creates N + 1, removes N, and removes what was written aside
under N, before it begins: a holder that was frozen between its check and its rename finds nothing to rename. Where the
holder runs on the same kernel and the file system has flock, the kernel knows whether it lives: a stopped process (Ctrl-Z)
keeps its lease and a killed one is followed at once. Elsewhere a holder is dead once its heartbeat is TTL seconds old.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn.cli.escaping import one_line
from kerascnn.errors import Stopped, UserError
from kerascnn.runs import files, lease_files
from kerascnn.runs.files import LEASE_FOLDER
from kerascnn.runs.lease_files import TTL, Seen, content_of, facts_of, generations, newest

BEATS = 12  # heartbeats in that time
_SKEW = 30.0  # seconds between this machine's clock and the file server's from which that is said
_ASK = 0.5  # seconds between two tries to get what another process holds
# Errors of file systems without locks: Lustre without -o flock, some NFS and FUSE.
_UNKNOWN = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


class Busy(UserError):
    """Another process holds the directory."""


class LeaseLost(Stopped):
    """The directory was taken over, removed or replaced: nothing more is written in it."""


class Lease:
    """A directory that this process holds.

    Args:
        folder: The directory.
        what: The directory in messages, with its name: "run flowers".
        generation: Number of the lease.
        descriptor: Descriptor of its file.
        content: Content of its file.
        ttl: Seconds without a heartbeat after which it may be followed.
    """

    def __init__(
        self, folder: Path, what: str, generation: int, descriptor: int, content: bytes, ttl: float = TTL
    ) -> None:
        self.folder, self.what, self.generation, self.ttl = folder, what, generation, ttl
        self.file = folder / LEASE_FOLDER / str(generation)
        self.tag = f"{generation}-{facts_of(content)['token']}"
        self._descriptor, self._content = descriptor, content
        self._over = threading.Event()

    @property
    def in_place(self) -> bool:
        """Whether this process still holds the directory. Opening the file asks the file server, not a cache."""
        return content_of(self.file) == self._content

    def clock(self) -> str:
        """Returns a note if this machine's clock is off by that of the file server, which has just made the lease's file."""
        ahead = time.time() - os.fstat(self._descriptor).st_mtime
        if abs(ahead) < _SKEW:
            return ""
        return (
            f"note: the clock of this machine is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} that of the file"
            f" server with {one_line(str(self.folder))}: times in logs are off, and kerascnn list may take a run that is in use"
            " for a stopped one; nothing else depends on it"
        )

    def check(self) -> None:
        """Raises LeaseLost if another process has taken the directory over, or if it was removed or replaced.

        Raises:
            LeaseLost: The same command waits for the other process, or starts with what is there.
            OSError: The file system does not answer.
        """
        if self.in_place:
            return
        place = one_line(str(self.folder))
        last = newest(self.folder)
        if last is not None and last.generation > self.generation:
            raise LeaseLost(
                f"{self.what}: {last.holder} has taken over {place}, because this process gave no sign of life for"
                f" {self.ttl:g} s: nothing more is written here; the same command waits for the other one, or continues"
            )
        raise LeaseLost(
            f"{self.what}: {place} was removed or replaced while this process worked in it: nothing more is written"
            " there; the same command starts with what is there now"
        )

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Gives signs of life until the end, and then releases the lease."""
        thread = threading.Thread(target=self._beat, daemon=True, name="lease")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            with contextlib.suppress(OSError):
                os.utime(self._descriptor, (0, 0))

    def _beat(self) -> None:
        while not self._over.wait(self.ttl / BEATS):
            with contextlib.suppress(OSError):  # a server that does not answer now may answer the next time
                os.utime(self._descriptor)


@contextlib.contextmanager
def hold(folder: Path, what: str, *, say: Callable[[str], None] | None = None, ttl: float = TTL) -> Iterator[Lease]:
    """Holds a directory for this process, from the next generation on; what dead holders left aside in it is removed.

    A holder of another machine is watched until it gives a sign of life, at most `ttl` seconds.

    Args:
        folder: Made where it is missing.
        what: What it is, with its name: "run flowers".
        say: Called with a line before a holder is watched.
        ttl: Seconds without a sign of life after which a holder is dead; the same for all processes.

    Raises:
        Busy: Another process holds it.
        LeaseLost: Another process took it over, or it was removed or replaced in the meantime.
    """
    lease = _acquired(folder, what, say, ttl)
    if say is not None and (told := lease.clock()):
        say(told)
    try:
        with lease._kept(), files.guarded(folder, lease):
            files.clear_dead(folder, lease.generation)
            lease.check()
            try:
                yield lease
            except Exception:
                lease.check()  # where the directory is gone, whatever fails in it fails for that reason
                raise
    finally:
        # A child that was just forked shares the lock until it has started its program: closing is not enough.
        with contextlib.suppress(OSError):
            fcntl.flock(lease._descriptor, fcntl.LOCK_UN)
        os.close(lease._descriptor)


@contextlib.contextmanager
def hold_when_free(
    hold: Callable[[], contextlib.AbstractContextManager[Lease]],
    patience: float,
    stop: threading.Event | None = None,
    waiting: Callable[[str], None] = lambda line: None,
) -> Iterator[Lease]:
    """Calls `hold()` after waiting for the process that holds the directory.

    Args:
        hold: Tries once.
        patience: Seconds to wait; may be infinite.
        stop: Ends the waiting once it is set.
        waiting: Called once when the waiting begins, with the holder.

    Raises:
        Busy: Another process still holds it after `patience`, or `stop` was set.
    """
    until, told = time.monotonic() + patience, False
    while True:
        with contextlib.ExitStack() as entered:
            try:
                lease = entered.enter_context(hold())
            except Busy as error:
                if time.monotonic() >= until or (stop is not None and stop.is_set()):
                    raise
                if not told:
                    waiting(str(error).partition(":")[0])
                told = True
            else:
                yield lease
                return
        time.sleep(_ASK)


def _acquired(folder: Path, what: str, say: Callable[[str], None] | None, ttl: float) -> Lease:
    """Returns the lease of a new generation."""
    place = folder / LEASE_FOLDER
    while True:
        folder.mkdir(parents=True, exist_ok=True)  # an error names the folder, not what is in it
        with contextlib.suppress(FileNotFoundError):  # somebody removes the directory: the next try makes it anew
            place.mkdir(exist_ok=True)
        seen = newest(folder)
        if seen is not None and _lives(folder, seen, what, say, ttl):
            raise Busy(f"{what} is in use by {seen.holder}: wait for it, or choose another name")
        try:
            lease = _created(folder, what, seen.generation + 1 if seen else 1, ttl)
        except (FileExistsError, FileNotFoundError):  # somebody was faster, or has removed the directory
            time.sleep(secrets.randbelow(50) / 1000)  # NFS shows names of other machines with a delay
            continue
        try:
            if _follows(lease, seen):
                for old in generations(folder):  # ascending, so that no older one outlives a newer one
                    if old < lease.generation:
                        (place / str(old)).unlink(missing_ok=True)
                return lease
            if lease.in_place:
                lease.file.unlink(missing_ok=True)
        except BaseException:
            os.close(lease._descriptor)
            raise
        os.close(lease._descriptor)
        time.sleep(secrets.randbelow(100) / 1000)  # two that saw each other do not meet again


def _follows(lease: Lease, seen: Seen | None) -> bool:
    """Returns whether a new lease is the newest, in the directory that was judged: it may have been replaced since."""
    found = generations(lease.folder)
    if seen is None:
        return found == [lease.generation]
    return found[-1:] == [lease.generation] and content_of(lease.file.with_name(str(seen.generation))) == seen.content


def _created(folder: Path, what: str, generation: int, ttl: float) -> Lease:
    file = folder / LEASE_FOLDER / str(generation)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        facts = {
            "process": os.getpid(),
            "host": platform.node(),
            "kernel": lease_files.kernel(),
            "flock": _locked(descriptor),  # before the content, so that whoever reads it can ask the kernel
            "token": secrets.token_hex(8),
        }
        content = json.dumps(facts).encode()
        with files.naming(file):
            os.pwrite(descriptor, content, 0)
        return Lease(folder, what, generation, descriptor, content, ttl)
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk: nobody waits for a lease without a holder
            os.utime(descriptor, (0, 0))
        os.close(descriptor)
        raise


def _locked(descriptor: int) -> bool:
    """Locks a new lease for this process; returns whether the file system has locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (*_UNKNOWN, errno.EWOULDBLOCK):
            raise
        return False
    return True


def _lives(folder: Path, seen: Seen, what: str, say: Callable[[str], None] | None, ttl: float) -> bool:
    """Returns whether a holder lives; one that only its heartbeat speaks for is watched until it gives a sign of life.

    By the clock of the file server its last one may be old; two more are waited for, as that clock may have been set.
    """
    if seen.released or seen.here:
        return seen.alive and not seen.released
    begun = time.monotonic()
    if say is not None and ttl > 2:
        say(f"looks   whether {seen.holder} still works in {what}: up to {ttl:g} s")
    while True:
        age, watched = _server_time(folder) - seen.beat, time.monotonic() - begun
        if watched > ttl or (age > ttl and watched > 2.5 * ttl / BEATS):
            return False
        time.sleep(ttl / BEATS / 4)
        now = newest(folder)
        if now is None or now.content != seen.content or now.released:
            return False  # its directory or its holder is another one: creating the next generation tells
        if now.beat != seen.beat:
            return True


def _server_time(folder: Path) -> float:
    """Returns the present time of the file server, as mtime of a new file."""
    probe = folder / LEASE_FOLDER / f"clock-{secrets.token_hex(4)}"
    try:
        with probe.open("wb") as file:
            return os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:  # the directory was removed
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
