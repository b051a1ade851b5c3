"""A folder of predictions in parts: what it belongs to, its list, its parts, and who works on them. No TensorFlow.

job.json              the terms: network, list, flags; written last, so that a folder with it has its list
images.jsonl          the images, a line each
parts/part-00000.csv  the predictions of a part; the file is there once it is whole
work/00000/           while a process works on a part: its lease, and what it writes aside
predictions.csv       all parts, joined by --merge
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kerascnn.cli.escaping import one_line
from kerascnn.data.listed_image import ListedImage
from kerascnn.errors import UserError
from kerascnn.prediction import image_list
from kerascnn.prediction.image_list import ListFacts
from kerascnn.runs import files, hold
from kerascnn.runs.lease import Lease, hold_when_free

VERSION = 1


class PartsJob:
    """A folder of predictions in parts.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file, self.list_file = path / "job.json", path / "images.jsonl"
        self._parts, self._work = path / "parts", path / "work"
        self._kept: dict[str, Any] = {}

    @property
    def pinned(self) -> bool:
        """Whether the folder has its terms and its list."""
        return self.file.exists()

    @property
    def kept(self) -> Mapping[str, Any]:
        """What job.json says: version, terms, images, sha256, offsets, relative, folder, command.

        Raises:
            UserError: There is none, or it is damaged or of another version.
        """
        if not self._kept:
            if not self.pinned:
                raise UserError(
                    f"{self.path} has no {self.file.name}: kerascnn predict MODEL IMAGE... --output makes one"
                )
            found = files.read_json(self.file)
            if found["version"] != VERSION:
                raise UserError(f"{self.file} is of another version of kerascnn: choose another --output")
            self._kept = found
        return self._kept

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.kept["images"])

    @property
    def count(self) -> int:
        """Number of parts."""
        return math.ceil(self.images / self.kept["terms"]["part"])

    def size(self, number: int) -> int:
        """Returns the number of images of a part."""
        part = self.kept["terms"]["part"]
        return min(part, self.images - number * part)

    def part_file(self, number: int) -> Path:
        """Returns the file of a part, which is there once it is whole."""
        return self._parts / f"part-{number:05d}.{self.kept['terms']['format']}"

    def has(self, number: int) -> bool:
        """Returns whether a part is whole."""
        return self.part_file(number).exists()

    def done(self) -> list[int]:
        """Returns the parts that are whole, from one look at their folder."""
        names = files.names_in(self._parts)
        return [number for number in range(self.count) if self.part_file(number).name in names]

    def work_folder(self, number: int) -> Path:
        """Returns the folder whose lease belongs to whoever works on a part."""
        return self._work / f"{number:05d}"

    def listed(self, number: int) -> list[ListedImage]:
        """Returns the images of a part."""
        return image_list.read(self.list_file, self.kept["offsets"][number], self.size(number))

    @contextlib.contextmanager
    def writing(self, number: int, lease: Lease) -> Iterator[Path]:
        """Yields a name that is renamed to the part's file at the end, if this process still holds the part.

        Raises:
            LeaseLost: Another process has taken the part over.
        """
        target = self.part_file(number)
        target.parent.mkdir(exist_ok=True)
        aside = files.aside_of(lease.folder / target.name)
        try:
            with files.naming(target):
                yield aside
                files.sync(aside)
            lease.check()
            try:
                aside.replace(target)
            except FileNotFoundError:  # whoever took the part over has removed it
                lease.check()
                raise
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        files.sync(target.parent)

    def leave(self, number: int, lease: Lease) -> None:
        """Removes the folder of a part that is whole; a process that waits for it finds the part."""
        with contextlib.suppress(OSError):  # a process that came later has its own lease there
            lease.file.unlink()
            lease.file.parent.rmdir()
            self.work_folder(number).rmdir()
            self._work.rmdir()

    def pin(
        self,
        terms: Mapping[str, Any],
        listing: Callable[[], Iterable[ListedImage]] | None,
        command: str,
        waiting: Callable[[str], None],
    ) -> bool:
        """Makes the folder belong to these terms and images, or checks that it does; returns whether it is new.

        The process that is first writes the list; others that have started with it wait for the list and take it.

        Args:
            terms: JSON values: what decides the content of the parts.
            listing: Returns the images; None to take the list that is there.
            command: How the command was typed, for messages.
            waiting: Called with the holder of the folder before a wait.

        Raises:
            UserError: The folder belongs to other terms or images, or holds something else, or there are no images.
        """
        new, fresh = False, False
        if not self.pinned:
            self._refuse_others()
            if listing is None:
                raise UserError(f"{self.path} has no list of images yet: name them, as kerascnn predict MODEL IMAGE...")
            files.make_output(self.path)
            with hold_when_free(self._held, math.inf, waiting=waiting):
                if not self.pinned:
                    self._write(terms, listing(), command)
                    new = True
                # Whoever started with this process and was first has listed the images just now.
                fresh = self.kept["command"] == command
        self.check_terms(terms)
        if not new:
            self._check_folder()
        if listing is not None and not fresh:
            self._check_list(image_list.facts(listing(), self.kept["terms"]["part"]))
        return new

    def _held(self) -> contextlib.AbstractContextManager[Lease]:
        return hold(self.path, f"predictions {self.path.name}")

    def _refuse_others(self) -> None:
        others = files.names_in(self.path) - {files.OUTPUT_MARK, self.list_file.name}
        if others and not self.pinned:  # another process may have pinned it just now
            raise UserError(
                f"--output {one_line(str(self.path))}: the folder has other files ({one_line(sorted(others)[0])}):"
                " choose another one"
            )

    def _write(self, terms: Mapping[str, Any], images: Iterable[ListedImage], command: str) -> None:
        found = image_list.write(self.list_file, images, terms["part"])
        if not found.images:
            raise UserError("there are no images to predict")
        folder = os.getcwd() if found.relative else ""  # noqa: PTH109 - a text
        content = {"version": VERSION, "terms": dict(terms), **found._asdict(), "folder": folder, "command": command}
        files.write_file(self.file, json.dumps(content, indent=1).encode("ascii"))

    def check_terms(self, terms: Mapping[str, Any]) -> None:
        """Raises UserError if the folder holds predictions on other terms."""
        there = self.kept["terms"]
        differ = [
            f"  {key.replace('_', ' ')}: {_shown(there.get(key))} there, {_shown(terms.get(key))} now"
            for key in sorted(there.keys() | terms.keys())
            if there.get(key) != terms.get(key)
        ]
        if differ:
            raise UserError(
                f"{one_line(str(self.path))} holds predictions on other terms:\n"
                + "\n".join(differ)
                + f"\nchoose another --output, or continue it: {self.kept['command']}"
            )

    def _check_folder(self) -> None:
        folder = self.kept["folder"]
        if folder and not _same_folder(folder):
            raise UserError(
                f"{one_line(str(self.path))} has paths that count from {one_line(folder)}: start the command there"
            )

    def _check_list(self, found: ListFacts) -> None:
        if found.sha256 != self.kept["sha256"]:
            raise UserError(
                f"the images have changed since {one_line(str(self.path))} was started: {self.images:,} in its list,"
                f" {found.images:,} now{', by other names' if found.images == self.images else ''}. Choose another --output"
                " for them, or leave out IMAGE to continue with the list"
            )


def _same_folder(folder: str) -> bool:
    try:
        return Path(folder).samefile(Path.cwd())
    except OSError:
        return False


def _shown(value: Any) -> str:
    text = str(value)
    return one_line(text if len(text) <= 24 else f"{text[:12]}...")
