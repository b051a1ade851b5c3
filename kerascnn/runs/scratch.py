"""Folders for unfinished work, each held by its process: those of killed processes are removed at the next start.

The kernel releases a lock when its process dies, whatever its number and container.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".kerascnn-scratch-"
# The rest is a process number and eight random digits, so that a folder with another name is never taken for ours.
_REST = re.compile(r"\d+-[0-9a-f]{8}")


@contextlib.contextmanager
def scratch(parent: Path | None = None, prefix: str = PREFIX) -> Iterator[Path]:
    """A new folder for this process, removed at the end unless it was renamed; those of dead processes are removed first.

    Args:
        parent: Folder in which it is created; default: the system's folder for temporary files.
        prefix: Beginning of its name.

    Raises:
        FileNotFoundError: There is no folder for temporary files.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    sweep(parent, prefix)
    while True:
        folder = parent / f"{prefix}{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o777 if prefix != PREFIX else 0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # no locks on this file system, so that nothing is swept there
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _is(folder, descriptor):  # another process took it for an abandoned one, just before the lock
                continue
            yield folder
            return
        finally:
            os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path, prefix: str = PREFIX) -> None:
    """Removes the folders that dead processes of this user left in `parent`."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(parent)):
            ours = entry.name.startswith(prefix) and _REST.fullmatch(entry.name.removeprefix(prefix))
            if ours and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):  # of another user, or of a running process
                    _remove_dead(Path(entry.path))


def _remove_dead(folder: Path) -> None:
    if folder.stat().st_uid != os.geteuid():
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is(folder, descriptor):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _is(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def in_text(folder: Path) -> Iterator[Path]:
    """Returns an existing folder by a path in UTF-8, as TensorFlow requires: itself, or a link to it."""
    try:
        os.fspath(folder).encode()
    except UnicodeEncodeError:
        with scratch() as place:
            link = place / "folder"
            link.symlink_to(folder.absolute())
            yield link
    else:
        yield folder
