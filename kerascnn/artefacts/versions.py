"""Numbered versions below a name, as TensorFlow Serving watches them: `saved_models/<name>/<version>/`. No TensorFlow.

A version is written aside, synced and renamed, so that nobody ever sees half of one.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from kerascnn.files import sync


def versions(path: Path) -> list[int]:
    """The versions below `path`, ascending."""
    return sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()) if path.is_dir() else []


def next_version(path: Path) -> int:
    """One more than the highest version below `path`; 1 where there is none."""
    return max(versions(path), default=0) + 1


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A hidden folder below `path` to write a version into; what has not been published when it ends is removed."""
    path.mkdir(parents=True, exist_ok=True)
    folder = path / f".aside-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, path: Path) -> Path:
    """Sync what lies in `folder` and give it the next free version's name below `path`; returns the version."""
    for entry in sorted(folder.rglob("*")):
        sync(entry)
    sync(folder)
    while True:
        version = path / str(next_version(path))
        try:
            os.rename(folder, version)  # noqa: PTH104 - Path.rename would be the same; an existing version makes it fail
        except OSError:
            if not version.exists():
                raise
            continue
        sync(path)
        return version
