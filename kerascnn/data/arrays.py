"""Arrays in .npz files: their names, shapes and places, read without numpy's unpickling. No TensorFlow."""

from __future__ import annotations

import math
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.data.splits import TEST, TRAIN, VAL
from kerascnn.errors import UserError

# Usual names of the arrays of images and labels of each split; "" for a file without splits.
NAMES = {
    TRAIN: (("x_train", "y_train"), ("train_images", "train_labels"), ("images_train", "labels_train")),
    VAL: (("x_val", "y_val"), ("x_valid", "y_valid"), ("val_images", "val_labels"), ("images_val", "labels_val")),
    TEST: (("x_test", "y_test"), ("test_images", "test_labels"), ("images_test", "labels_test")),
    "": (("images", "labels"), ("x", "y"), ("X", "y"), ("data", "labels"), ("image", "label")),
}
_HEADER = 30  # bytes of a member's header in front of its name
SMALL = (32, 64)  # sides of images that are not enlarged to 224


class Member(NamedTuple):
    """An array in the file.

    Attributes:
        name: Its name.
        shape, dtype, fortran: As numpy writes them.
        offset: Place of its first element in the file; -1 if it is compressed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Number of its bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Arrays:
    """The arrays of one file; a context manager.

    Args:
        path: The file.

    Raises:
        UserError: It is no .npz file, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._telling("is no .npz file: expected what numpy.savez wrote"):
            self._zip = zipfile.ZipFile(path)
        with self._telling("is damaged"):
            found = [self._member(info) for info in self._zip.infolist() if info.filename.endswith(".npy")]
        self.members = {member.name: member for member in found}

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def pairs(self) -> list[tuple[str, Member, Member]]:
        """Returns (split, images, labels) of the arrays with usual names.

        Raises:
            UserError: There are none.
        """
        found: list[tuple[str, Member, Member]] = []
        for split in (TRAIN, VAL, TEST, ""):
            for pair in NAMES[split]:
                if set(pair) <= self.members.keys() and not (split == "" and found):
                    found.append((split, self.members[pair[0]], self.members[pair[1]]))
                    break
        if not found:
            names = ", ".join(map(one_line, self.members)) or "none"
            raise UserError(
                f"{self.path} has no arrays with usual names: expected images and labels, or x_train, y_train, x_test and"
                f" y_test; it has {names}"
            )
        return found

    def read(self, name: str) -> np.ndarray:
        """Returns a whole array.

        Raises:
            UserError: It is pickled, or damaged.
        """
        if self.members[name].dtype.hasobject:
            raise UserError(
                f"{self.path}: {one_line(name)} is pickled, which could run code and is never read: save texts with"
                " numpy.array(names, dtype=str)"
            )
        with self._telling(f"is damaged: {one_line(name)}"), self._zip.open(f"{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def rows(self, member: Member, into: np.ndarray) -> None:
        """Fills `into`, uint8 of the array's shape, without a second copy of it.

        Raises:
            UserError: The file is damaged.
        """
        flat = memoryview(into).cast("B")
        with self._telling(f"is damaged: {one_line(member.name)}"), self._zip.open(f"{member.name}.npy") as file:
            _header(file)
            at = 0
            while at < len(flat):
                part = file.read(min(1 << 24, len(flat) - at))
                if not part:
                    raise ValueError("it ends too early")
                flat[at : at + len(part)] = part
                at += len(part)
            if file.read(1):
                raise ValueError("it has more bytes than its shape says")

    def _member(self, info: zipfile.ZipInfo) -> Member:
        with self._zip.open(info) as file:
            shape, fortran, dtype = _header(file)
            start = file.tell()
        if not dtype.hasobject and start + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"{info.filename} has {info.file_size:,} bytes, which are not those of its shape {shape}")
        offset = -1
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
            with self.path.open("rb") as raw:
                raw.seek(info.header_offset)
                name, extra = struct.unpack("<26xHH", raw.read(_HEADER))
            offset = info.header_offset + _HEADER + name + extra + start
        return Member(info.filename.removesuffix(".npy"), shape, dtype, fortran, offset)

    def _telling(self, what: str) -> _Telling:
        return _Telling(f"{self.path} {what}")


class _Telling:
    """Turns what damaged files raise into one message."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        damaged = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, RuntimeError, struct.error, OSError)
        if isinstance(error, damaged):
            raise UserError(f"{self.what} ({one_line(str(error))})") from None


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version[0]}.{version[1]} of numpy's format")


def small_side(path: Path) -> int | None:
    """Returns the side of small images, rounded up to one of SMALL, or None for larger ones and without a valid file."""
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    try:
        with Arrays(path) as arrays:
            sides = [side for _, images, _ in arrays.pairs() for side in images.shape[1:3]]
    except UserError:
        return None
    return next((small for small in SMALL if sides and max(sides) <= small), None)
