"""Who holds a directory: a file that the kernel locks for one process, and lets go of when that one dies."""

import contextlib
import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn.cli.escaping import one_line
from kerascnn.errors import Stopped, UserError
from kerascnn.runs.files import clear_dead

# What a file system without locks answers: Lustre without -o flock, some NFS and FUSE.
_UNKNOWN = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_ASK = 0.5  # seconds between two looks at a lock that another process holds
LOCK_FILE = ".lock"


class Busy(UserError):
    """Another process holds the directory."""


class Held:
    """A directory that this process holds.

    Args:
        file: Its lock.
        descriptor: Of the open lock.
        what: What the directory is, with its name: "run flowers".
    """

    def __init__(self, file: Path, descriptor: int, what: str) -> None:
        self._file, self._descriptor, self._what = file, descriptor, what

    @property
    def in_place(self) -> bool:
        """Whether the directory is there still, and no other one in its place."""
        try:
            return os.path.samestat(self._file.stat(), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def check(self) -> None:
        """Raises Stopped where the directory was removed, or where another one stands in its place."""
        if not self.in_place:
            raise Stopped(
                f"{self._what}: {one_line(str(self._file.parent))} was removed or replaced while this process worked in"
                " it: nothing more is written there; the same command starts with what is there now"
            )


@contextlib.contextmanager
def hold(folder: Path, what: str, elsewhere: str) -> Iterator[Held]:
    """Hold a directory for this process; the kernel lets go when it dies (children do not inherit the descriptor).

    What killed processes left aside in it is removed.

    Args:
        folder: Made where it is missing.
        what: What it is, with its name: "run flowers".
        elsewhere: The flag that names another place for it.

    Raises:
        Busy: Another process holds it.
        Stopped: Something failed in it because it was removed or replaced in the meantime.
        UserError: The file system has no locks.
    """
    file = folder / LOCK_FILE
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        held = Held(file, descriptor, what)
        try:
            _lock(descriptor, folder, what, elsewhere)
            if not held.in_place:  # whoever held it until now has removed the directory
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            clear_dead(folder)
            try:
                yield held
            except Exception:
                held.check()  # where the directory is gone, whatever fails in it fails for that reason
                raise
            return
        finally:
            # A child that was just started may share the lock until it has become another program: closing is not enough.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _lock(descriptor: int, folder: Path, what: str, elsewhere: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        raise Busy(f"{what} is in use by process {holder or 'unknown'}: wait for it, or choose another name") from None
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        raise UserError(
            f"{one_line(str(folder))}: its file system has no file locks (flock: {error.strerror}), which keep two"
            f" processes from writing one {what.split()[0]}: {elsewhere} DIR names a place on another disk; copy the"
            " finished folder over afterwards (on Lustre: mount with -o flock)"
        ) from None


@contextlib.contextmanager
def hold_when_free(
    hold: Callable[[], contextlib.AbstractContextManager[Held]],
    patience: float,
    stop: threading.Event | None = None,
    waiting: Callable[[str], None] = lambda line: None,
) -> Iterator[Held]:
    """`hold()`, after waiting for who holds it.

    Args:
        hold: Tries once.
        patience: Seconds after which it is given up; may be infinite.
        stop: Ends the waiting once it is set.
        waiting: Is told once that it waits, and for whom.

    Raises:
        Busy: Another process still holds it after `patience`, or `stop` was set.
    """
    until, told = time.monotonic() + patience, False
    while True:
        with contextlib.ExitStack() as entered:
            try:
                held = entered.enter_context(hold())
            except Busy as error:
                if time.monotonic() >= until or (stop is not None and stop.is_set()):
                    raise
                if not told:
                    waiting(str(error).partition(":")[0])
                told = True
            else:
                yield held
                return
        time.sleep(_ASK)
