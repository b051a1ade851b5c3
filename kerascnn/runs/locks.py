"""Locks of directories: a file that the kernel locks for one process, and unlocks when that process dies."""

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

# Errors of file systems without locks: Lustre without -o flock, some NFS and FUSE.
_UNKNOWN = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_ASK = 0.5  # seconds between two tries to get a lock that another process holds
LOCK_FILE = ".lock"


class Busy(UserError):
    """Another process holds the directory."""


class Held:
    """A directory that this process holds.

    Args:
        file: The lock file.
        descriptor: Descriptor of the open lock file.
        what: The directory in messages, with its name: "run flowers".
    """

    def __init__(self, file: Path, descriptor: int, what: str) -> None:
        self._file, self._descriptor, self._what = file, descriptor, what

    @property
    def in_place(self) -> bool:
        """Returns whether the directory still exists and has not been replaced."""
        try:
            return os.path.samestat(self._file.stat(), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def check(self) -> None:
        """Raises Stopped if the directory was removed or replaced."""
        if not self.in_place:
            raise Stopped(
                f"{self._what}: {one_line(str(self._file.parent))} was removed or replaced while this process worked in"
                " it: nothing more is written there; the same command starts with what is there now"
            )


@contextlib.contextmanager
def hold(folder: Path, what: str, elsewhere: str) -> Iterator[Held]:
    """Holds a directory for this process; the kernel unlocks it when the process dies (children do not inherit the descriptor).

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
            if not held.in_place:  # the previous holder has removed the directory
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
            # A child that was just forked shares the lock until it has started its program: closing is not enough.
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
            f" processes from writing one {what.split()[0]}: {elsewhere} DIR names a folder on another disk; copy the"
            " finished folder over afterwards (on Lustre: mount with -o flock)"
        ) from None


@contextlib.contextmanager
def hold_when_free(
    hold: Callable[[], contextlib.AbstractContextManager[Held]],
    patience: float,
    stop: threading.Event | None = None,
    waiting: Callable[[str], None] = lambda line: None,
) -> Iterator[Held]:
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
