"""The rule for all commands: which files below a folder may be images, and which folders are skipped. No TensorFlow."""

from __future__ import annotations

import fnmatch
import os
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from kerascnn.data import sorted_names
from kerascnn.data.sorted_names import is_folder
from kerascnn.data.trouble import SYSTEM, gone
from kerascnn.errors import Stopped
from kerascnn.runs.files import CONTENTS_FOLDER, LEASE_FOLDER, OUTPUT_MARK

# Folders that file managers, NAS systems and archives create among images, in lower case: thumbnails and deleted files.
# Names that begin with a dot are skipped silently.
DROPPINGS = frozenset(
    (
        "@eadir", "@recycle", "@recently-snapshot", "@__thumb", "#recycle", "#snapshot", "$recycle.bin", "recycler",
        "system volume information", "lost+found", "thumbnails", "__macosx",
    )
)  # fmt: skip
# Files that mark output folders of this program: a run, a search, a comparison, an export, an evaluation.
_TRACES = (
    frozenset((OUTPUT_MARK,)),
    frozenset((CONTENTS_FOLDER,)),
    frozenset(("config.toml", "data.json")),
    frozenset(("config.toml", "environment.json")),
    frozenset(("config.toml", LEASE_FOLDER)),
    frozenset(("config.toml", ".lock")),  # of earlier versions
    frozenset(("search.toml", "oracle")),
    frozenset(("comparison.toml",)),
    frozenset(("saved_model.pb",)),
    frozenset(("parity.json",)),
    frozenset(("metrics.json", "predictions")),
)
_NAMES = frozenset().union(*_TRACES)


class Closed(NamedTuple):
    """A folder that cannot be opened, and the reason."""

    path: str
    why: str


class Walk:
    """Walks through folders and remembers skipped ones.

    Links to folders are followed; a folder that leads back to one above it is not entered again.

    Args:
        leave_out: Folders that are not entered: a name or a pattern for any depth, or, with a slash, a path below `root`.
        root: Folder of the data set, to which paths in `leave_out` are relative; a link to it is not entered.
        places: Real paths of folders that are not entered.

    Attributes:
        passed: Path -> reason of folders that are not data: of other programs, of this program, left out on request.
        hollow: Folders that are empty, or that link to one above them.
        closed: Folders that cannot be opened, and the reasons.
        used: Entries of `leave_out` that matched a folder.
    """

    def __init__(
        self, leave_out: Iterable[str] = (), root: str | os.PathLike[str] | None = None, places: Iterable[str] = ()
    ) -> None:
        self.patterns = [composed(pattern.strip("/")) for pattern in leave_out]
        self.root, self.places = os.fspath(root or "."), frozenset(places)
        self._top = frozenset() if root is None else frozenset((_number(os.stat(root)),))  # noqa: PTH116
        self.passed: dict[str, str] = {}
        self.hollow: list[str] = []
        self.closed: list[Closed] = []
        self.used: set[str] = set()
        self._known: dict[str, bool] = {}

    def folders(self, path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
        """Returns the folders directly below `path` that can contain images, by name.

        Raises:
            OSError: `path` cannot be opened.
        """
        with os.scandir(path) as entries:
            kept = [entry for entry in entries if not entry.name.startswith(".") and is_folder(entry)]
        return sorted((entry for entry in kept if not self._passes(entry.path)), key=lambda entry: entry.name)

    def files(self, folder: str, above: frozenset[tuple[int, int]] | None = None) -> Iterator[str]:
        """Yields every visible file below `folder`: the files of a folder before its folders, 2 before 10."""
        try:
            here = os.stat(folder)  # noqa: PTH116 - half a million Path objects are felt
            with os.scandir(folder) as entries:
                names = iter(sorted_names.in_order(entry for entry in entries if not entry.name.startswith(".")))
        except OSError as error:
            self._fails(folder, error)
            return
        above = (self._top if folder != self.root else frozenset()) if above is None else above
        first = next(names, None)
        if first is None or _number(here) in above:
            self.hollow.append(folder)
            return
        below = []
        for name, is_below in chain((first,), names):
            path = os.path.join(folder, name)  # noqa: PTH118 - half a million Path objects are felt
            if is_below:
                below.append(path)
            else:
                yield path
        for path in below:
            if not self._passes(path):
                yield from self.files(path, above | {_number(here)})

    def inside_passed(self, folder: str, start: str) -> bool:
        """Returns whether `folder`, or a folder between `start` and it, is skipped."""
        while folder and folder not in (start, os.sep):
            if folder not in self._known:
                self._known[folder] = self._passes(folder)
            if self._known[folder]:
                return True
            folder = os.path.dirname(folder)  # noqa: PTH120
        return False

    def _passes(self, path: str) -> bool:
        """Returns whether a folder is skipped, and remembers the reason."""
        if self.places and os.path.realpath(path) in self.places:
            return True
        why = self._why(path)
        if why:
            self.passed[path] = why
        return bool(why)

    def _why(self, path: str) -> str:
        name = os.path.basename(path)  # noqa: PTH119
        if name.casefold() in DROPPINGS:
            return "left by another program"
        if self.patterns:
            below = composed(os.path.relpath(path, self.root).replace(os.sep, "/"))
            for pattern in self.patterns:
                if fnmatch.fnmatchcase(below if "/" in pattern else composed(name), pattern):
                    self.used.add(pattern)
                    return "left out on request"
        return "written by kerascnn" if is_output(path) else ""

    def _fails(self, folder: str, error: OSError) -> None:
        if error.errno in SYSTEM:
            raise Stopped(gone([(folder, error.strerror or str(error))])) from None
        self.closed.append(Closed(folder, error.strerror or str(error)))


def is_output(folder: str | os.PathLike[str]) -> bool:
    """Returns whether this program wrote the folder: a run, an export, a search, a comparison, pictures."""
    there = {name for name in _NAMES if os.path.lexists(Path(folder, name))}
    return any(trace <= there for trace in _TRACES)


def _number(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def composed(text: str) -> str:
    """Returns `text` in composed Unicode (NFC): macOS names files in decomposed form, other systems in composed form."""
    return unicodedata.normalize("NFC", text)
