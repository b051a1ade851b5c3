"""Numbered versions of an export, as watched by TensorFlow Serving: `saved_models/<name>/<version>/`. No TensorFlow.

A version is written aside, synced and renamed, so that no reader sees a part of one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kerascnn.runs.files import sync
from kerascnn.runs.scratch import scratch, sweep

_ASIDE = ".aside-"


def versions(path: Path) -> list[int]:
    """Returns the versions below `path`, ascending."""
    return sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()) if path.is_dir() else []


def next_version(path: Path) -> int:
    """Returns the highest version below `path` plus one, or 1."""
    return max(versions(path), default=0) + 1


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A hidden folder below `path` for writing a version; it is removed at the end unless it was published."""
    path.mkdir(parents=True, exist_ok=True)
    with scratch(path, _ASIDE) as folder:
        yield folder


def clear_dead(path: Path) -> None:
    """Removes what killed exports left below `path`."""
    sweep(path, _ASIDE)


def publish(folder: Path, path: Path) -> Path:
    """Syncs `folder` and renames it to the next free version below `path`; returns the version."""
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
