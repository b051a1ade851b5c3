"""The list of images of a folder of predictions: a line of JSON each, written once and read part by part. No TensorFlow."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from kerascnn.data.listed_image import ListedImage
from kerascnn.errors import UserError
from kerascnn.runs import files


class ListFacts(NamedTuple):
    """What is kept of a list.

    Attributes:
        images: Number of images.
        sha256: Of its lines.
        offsets: Where each part begins in the file.
        relative: Whether a path in it is relative to the working directory.
    """

    images: int
    sha256: str
    offsets: list[int]
    relative: bool


def write(path: Path, images: Iterable[ListedImage], part: int) -> ListFacts:
    """Writes the list, which appears once it is whole; one image is in memory at a time.

    Args:
        path: The file.
        images: The images in their order.
        part: Images of a part.
    """
    with files.beside(path) as aside, files.naming(path):
        with aside.open("wb") as file:
            found = _Facts(part)
            for image in images:
                line = image.line().encode("ascii")
                found.add(image, line)
                file.write(line)
        files.sync(aside)
    return found.facts()


def facts(images: Iterable[ListedImage], part: int) -> ListFacts:
    """Returns the facts of a list that is not written; see `write`."""
    found = _Facts(part)
    for image in images:
        found.add(image, image.line().encode("ascii"))
    return found.facts()


def read(path: Path, offset: int, count: int) -> list[ListedImage]:
    """Returns `count` images of the list from an offset on.

    Raises:
        UserError: The list is damaged.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            found = [ListedImage.of_line(line.decode("ascii")) for line in islice(file, count)]
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    if len(found) < count:
        raise UserError(f"{path} is damaged: it ends too early")
    return found


class _Facts:
    def __init__(self, part: int) -> None:
        self._part, self._images, self._at = part, 0, 0
        self._digest, self._offsets, self._relative = hashlib.sha256(), list[int](), False

    def add(self, image: ListedImage, line: bytes) -> None:
        if self._images % self._part == 0:
            self._offsets.append(self._at)
        self._images += 1
        self._at += len(line)
        self._digest.update(line)
        self._relative = self._relative or not os.path.isabs(image.file or image.name)  # noqa: PTH117 - millions of them

    def facts(self) -> ListFacts:
        return ListFacts(self._images, self._digest.hexdigest(), self._offsets, self._relative)
