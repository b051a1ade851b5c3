"""Boxes around what an image shows, from a table: the pointing game asks whether maps are hottest inside of them."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.data import decode
from kerascnn.errors import UserError
from kerascnn.evaluation.evaluated_model import EvaluatedModel, spread

MOST = 100  # images with boxes that are asked about, spread over the split
_NAMES = {
    "image": ("image", "path", "file", "filename", "id"),
    "left": ("left", "xmin", "x_min"),
    "top": ("top", "ymin", "y_min"),
    "right": ("right", "xmax", "x_max"),
    "bottom": ("bottom", "ymax", "y_max"),
    "width": ("width", "w"),
    "height": ("height", "h"),
    "label": ("label", "class"),
}
_EXPECTED = (
    "expected the columns image, left, top, and right, bottom or width, height; label where an image has several"
)


class Box(NamedTuple):
    """A box in pixels of the upright image, and the class that is in it, or "" for that of the image."""

    left: float
    top: float
    right: float
    bottom: float
    label: str


class Cases(NamedTuple):
    """The questions of the pointing game.

    Attributes:
        images: The network's input, uint8 [n, H, W, 3].
        classes: The class of each that is asked about, int64 [n].
        inside: Whether a position lies in a box of this class, bool [n, H, W].
        groups: Group of each image, int [n], or None.
    """

    images: np.ndarray
    classes: np.ndarray
    inside: np.ndarray
    groups: np.ndarray | None


def read(path: Path) -> dict[str, list[Box]]:
    """Returns the boxes of each image in a CSV or TSV file with a header.

    Columns are an image (its id in predictions, or the end of its path), left, top, and right, bottom or width, height, in
    pixels of the upright image; label names the class in the box.

    Raises:
        UserError: A column is missing, or a line has no box.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
    header = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    columns = {key: next((header[one] for one in names if one in header), None) for key, names in _NAMES.items()}
    if any(columns[key] is None for key in ("image", "left", "top")) or not rows:
        raise UserError(f"{path}: {_EXPECTED}; got {', '.join(header) or 'nothing'}")
    ends = ("right", "bottom") if columns["right"] and columns["bottom"] else ("width", "height")
    if any(columns[key] is None for key in ends):
        raise UserError(f"{path}: {_EXPECTED}; got {', '.join(header)}")
    found: dict[str, list[Box]] = {}
    for number, row in enumerate(rows, 2):
        try:
            left, top, *end = (float(row[str(columns[key])]) for key in ("left", "top", *ends))
        except (TypeError, ValueError):
            raise UserError(f"{path}, line {number}: expected numbers of pixels, got {list(row.values())}") from None
        right, bottom = end if ends[0] == "right" else (left + end[0], top + end[1])
        if not (right > left and bottom > top):
            raise UserError(f"{path}, line {number}: the box is empty: {left:g}, {top:g} to {right:g}, {bottom:g}")
        label = (row[str(columns["label"])] or "").strip() if columns["label"] else ""
        found.setdefault((row[str(columns["image"])] or "").strip(), []).append(Box(left, top, right, bottom, label))
    return found


def find(subject: EvaluatedModel, path: Path) -> Cases:
    """Returns a case for each image of the split with a box of its class: at most MOST images, spread over those.

    Raises:
        UserError: The table is wrong, no image of the split has a box, or an image has several labels and a box has none.
    """
    boxes = _of_images(subject.split.ids(), read(path), path)
    places = np.array(sorted(boxes), np.int64)
    names = subject.predictor.class_names
    images, classes, inside, of = [], [], [], []
    for batch, indices in subject.batches(places[spread(len(places), MOST)]):
        for image, place in zip(batch, indices.tolist(), strict=True):
            seen = None
            for label in _asked(subject, place, boxes[place], path):
                mine = [box for box in boxes[place] if box.label in ("", names[label])]
                if mine:
                    seen = seen or _seen(subject, place)
                    images.append(image)
                    classes.append(label)
                    inside.append(_mask(mine, seen, subject.predictor.image_size))
                    of.append(place)
    if not images:
        raise UserError(f"{path}: no box is of the class of its image; classes are {', '.join(names[:5])}, ...")
    groups = subject.groups(np.array(subject.split.ids())[of])
    if groups is None and len(set(of)) < len(of):
        groups = np.array(of)
    compact = None if groups is None else np.unique(groups, return_inverse=True)[1]
    return Cases(np.stack(images), np.array(classes), np.stack(inside), compact)


def _of_images(ids: list[str], boxes: dict[str, list[Box]], path: Path) -> dict[int, list[Box]]:
    """Returns the boxes of each index in the split: by the image's id, or by the end of its path."""
    places: dict[str, list[int]] = {}
    for place, one in enumerate(ids):
        parts = one.split("/")
        for first in range(len(parts)):
            places.setdefault("/".join(parts[first:]), []).append(place)
    found: dict[int, list[Box]] = {}
    for name, some in boxes.items():
        at = places.get(name.replace("\\", "/").removeprefix("./"), [])
        if len(at) > 1:
            raise UserError(f"{path}: {name} is the end of {len(at)} paths, first {ids[at[0]]} and {ids[at[1]]}")
        for place in at:
            found.setdefault(place, []).extend(some)
    if not found:
        raise UserError(
            f"{path}: none of its {len(boxes)} images is in this split, as {next(iter(boxes))!r}; {ids[0]!r} is"
        )
    return found


def _asked(subject: EvaluatedModel, place: int, boxes: list[Box], path: Path) -> list[int]:
    """Returns the classes of an image that are asked about: its own, or its labels."""
    label = subject.labels(np.array([place]))[0]
    if np.ndim(label) == 0:
        return [int(label)]
    if any(not box.label for box in boxes):
        raise UserError(
            f"{path}: images have several labels: expected a column label that says which one is in each box"
        )
    return [int(one) for one in np.flatnonzero(label)]


def _seen(subject: EvaluatedModel, place: int) -> tuple[float, float, float, float]:
    """Returns the part of an upright image that its network's input shows: left, top, width and height in pixels."""
    stored = subject.split.source.stored(int(subject.split.indices[place]))
    image = decode.decode(decode.native(tf.constant(stored))) if isinstance(stored, bytes) else stored
    height, width = image.shape[:2]
    predictor = subject.predictor
    left, top, wide, tall = decode.seen(height, width, predictor.image_size, predictor.resize)
    return left * width, top * height, wide * width, tall * height


def _mask(boxes: list[Box], seen: tuple[float, float, float, float], size: int) -> np.ndarray:
    """Returns whether the center of each position of the network's input lies in one of the boxes, bool [size, size]."""
    left, top, wide, tall = seen
    centers = (np.arange(size) + 0.5) / size
    x, y = left + wide * centers, top + tall * centers
    inside = np.zeros((size, size), bool)
    for box in boxes:
        rows, columns = (y >= box.top) & (y < box.bottom), (x >= box.left) & (x < box.right)
        inside |= rows[:, None] & columns
    return inside
