"""Numbered versions below a name, as TensorFlow Serving watches them: `saved_models/<name>/<version>/`. No TensorFlow.

A version is written aside, synced and renamed, so that nobody ever sees half of one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from kerascnn.runs.files import sync
from kerascnn.runs.scratch import scratch, sweep

_ASIDE = ".aside-"


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
    with scratch(path, _ASIDE) as folder:
        yield folder


def clear_dead(path: Path) -> None:
    """Remove what killed exports left below `path`."""
    sweep(path, _ASIDE)


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
