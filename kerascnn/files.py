"""Writing files so that nothing on disk is ever lost or half-written: aside, sync, rename."""

import os
from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` as a whole; after a crash it is as it was or as it should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or a rename in a directory, last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
