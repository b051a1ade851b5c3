"""Copies or links images into a folder for each predicted class. No TensorFlow."""

import filecmp
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kerascnn.cli.escaping import as_file_name, one_line, within
from kerascnn.data.sorted_names import is_folder
from kerascnn.errors import UserError
from kerascnn.runs.files import clear_dead, copy_file, link_file, make_output

UNSURE = "unsure"
_NAME_BYTES, _DIGITS = 255, 8


class Sorting:
    """A folder with one folder for each class, created for its first image, and one for unsure predictions.

    An image keeps its name. If another image has that name, eight digits of the path's hash follow. The same image always
    gets the same name, so that a second run changes nothing. No file is replaced by another image.

    Args:
        folder: Folder that is created if it is missing.
        class_names: Names of the classes in the order of the network's outputs; a name that cannot be a folder's is changed.
        min_confidence: Predictions with a lower probability go into the folder for unsure ones.
        link: Whether images are linked symbolically instead of copied.

    Raises:
        UserError: The folder cannot be created.
    """

    def __init__(
        self, folder: str, class_names: Sequence[str], min_confidence: float = 0.0, *, link: bool = False
    ) -> None:
        self.folder, self.min_confidence, self.link = Path(folder), min_confidence, link
        self.counts: Counter[str] = Counter()
        self._names = _folder_names([*class_names, UNSURE])
        self._taken: dict[Path, str] = {}
        try:
            make_output(self.folder)
        except OSError as error:
            raise UserError(f"--sort-into: {one_line(folder)} cannot be a folder: {error.strerror}") from error

    def put(self, image: str, predicted: int, probability: float) -> Path:
        """Copies or links an image; returns its new path.

        Args:
            image: Its path.
            predicted: Index of the most probable class.
            probability: Probability of that class.

        Raises:
            FileNotFoundError: The image is gone.
            UserError: A link in the folder leads out of it.
        """
        name = self._names[predicted if probability >= self.min_confidence else -1]
        folder = within(self.folder, name)
        if not self.counts[name]:
            folder.mkdir(exist_ok=True)
            clear_dead(folder)
        own = os.path.realpath(image, strict=True)
        place, there = self._place(folder, image, own)
        self._taken[place] = own
        self.counts[name] += 1
        if not there:
            (link_file if self.link else copy_file)(Path(own), place)
        return place

    def summary(self) -> str:
        """Returns the number of images per folder as text, in the order of the classes."""
        return ", ".join(f"{one_line(name)} {self.counts[name]}" for name in self._names if self.counts[name])

    def _place(self, folder: Path, image: str, own: str) -> tuple[Path, bool]:
        """Returns the path for an image, and whether it is there already."""
        plain = folder / Path(image).name
        other = folder / _with_digits(plain.name, own)
        free = [place for place in (other, plain) if self._taken.get(place, own) == own]
        for place in free:
            if _holds(place, own):
                return place, True
        if plain in free and not os.path.lexists(plain):
            return plain, False
        return other, False


def check_apart(folder: str, images: Sequence[str]) -> None:
    """Refuses to sort into a folder that contains the images.

    Raises:
        UserError: The message names the images' folder.
    """
    root = Path(os.path.realpath(folder))
    for word in images:
        if is_folder(word) and Path(os.path.realpath(word)).is_relative_to(root):
            raise UserError(
                f"--sort-into {one_line(folder)}: the images of {one_line(word)} are there: name another folder"
            )


def _holds(place: Path, own: str) -> bool:
    """Returns whether the image, or a link to it, is at `place`."""
    try:
        if place.samefile(own):
            return True
        return stat.S_ISREG(place.lstat().st_mode) and filecmp.cmp(place, own, shallow=False)
    except OSError:  # nothing is there, or a broken link
        return False


def _folder_names(class_names: Sequence[str]) -> list[str]:
    """Returns a folder name for each class; names differ even without regard to case."""
    names: list[str] = []
    for name in class_names:
        folder = as_file_name(name)
        if folder.casefold() in (taken.casefold() for taken in names):
            folder = f"{folder}-{_digits(name)}"
        names.append(folder)
    return names


def _with_digits(name: str, path: str) -> str:
    plain = Path(name)
    end = f"-{_digits(path)}{plain.suffix}"
    return os.fsdecode(os.fsencode(plain.stem)[: _NAME_BYTES - len(os.fsencode(end))]) + end


def _digits(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:_DIGITS]
