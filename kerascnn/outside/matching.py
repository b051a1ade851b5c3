"""Matches names of images: the same path, or one that ends in the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.errors import UserError

SHOWN = 3


class ImageNames:
    """The images of a comparison, which are looked up by any path that ends in theirs, or in which theirs ends.

    Args:
        ids: Path or name of each image, [m].
        where: Where they come from, for messages.
    """

    def __init__(self, ids: Sequence[str], where: str) -> None:
        self.ids, self.where = [str(name) for name in ids], where
        self._exact = {name: i for i, name in enumerate(self.ids)}
        self._by_base: dict[str, list[int]] = {}
        self._by_stem: dict[str, list[int]] = {}
        self._parts = [parts(name) for name in self.ids]
        for i, mine in enumerate(self._parts):
            self._by_base.setdefault(mine[-1], []).append(i)
            self._by_stem.setdefault(PurePosixPath(mine[-1]).stem, []).append(i)

    def place(self, name: str) -> list[int]:
        """Returns the positions of the images that `name` can mean: none, one, or several if it is ambiguous."""
        if name in self._exact:
            return [self._exact[name]]
        mine = parts(name)
        found = [i for i in self._by_base.get(mine[-1], ()) if _ends_alike(mine, self._parts[i])]
        if found:
            return found
        # Names without a suffix, such as those of text files; those of the images have one.
        return self._by_stem.get(mine[-1], []) if len(mine) == 1 else []

    def rows(self, names: Sequence[str], where: str) -> np.ndarray:
        """Returns the row of `names` for each image, int [m].

        Rows of other images are left out.

        Raises:
            UserError: A name is ambiguous, two rows are the same image, or images are missing.
        """
        rows = np.full(len(self.ids), -1, np.int64)
        for row, name in enumerate(names):
            found = self.place(str(name))
            if len(found) > 1:
                which = ", ".join(self.ids[i] for i in found[:SHOWN])
                raise UserError(
                    f"{where}: {one_line(name)} is ambiguous: {len(found)} images of {self.where} end in it ({which}): "
                    "write paths with as many folders as tell them apart (timm: --fullname)"
                )
            if found and rows[found[0]] >= 0:
                other = names[int(rows[found[0]])]
                twice = f"{one_line(name)} occurs twice" if other == name else f"{other} and {name} are one image"
                raise UserError(f"{where}: {twice}: expected one row for each image")
            if found:
                rows[found[0]] = row
        missing = np.flatnonzero(rows < 0)
        if missing.size:
            which = ", ".join(self.ids[int(i)] for i in missing[:SHOWN])
            near = f"; its first is {one_line(names[0])}" if missing.size == len(rows) else ""
            raise UserError(
                f"{where} lacks {missing.size:,} of the {len(rows):,} images of {self.where} ({which}){near}: all systems "
                "are judged on the same images; --truth FILE names the images to judge on"
            )
        return rows


def parts(name: str) -> tuple[str, ...]:
    """Returns the folders and the name of a path of any system."""
    found = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    return found or (name,)


def _ends_alike(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Returns whether the shorter path is the end of the longer one."""
    shared = min(len(first), len(second))
    return first[-shared:] == second[-shared:]
