"""A picture of augmentations: a row of training images for each, and what was drawn below each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.config import Augment
from kerascnn.config.augment_notation import NOTATIONS
from kerascnn.data import Splits, augment, drawn, mixing, pipeline, sampling, stream
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.sampling import Sampling
from kerascnn.report.axes import short
from kerascnn.report.drawing import FAINT, INK, Panel, Picture, png

COLUMNS = 8
# Inches: side of an image, room for its text, room for a row's name.
_SIDE, _TEXT, _NAME, _GAP = 1.5, 0.34, 0.3, 0.06
# What stands for a notation in the picture of all.
_USUAL = {"rand": ("rand-m9-mstd0.5-inc1",), "erase": ("erase-const-p1", "erase-rand-p1", "erase-pixel-p1")}


class SheetRow(NamedTuple):
    """A row of the picture.

    Attributes:
        name: The augmentation.
        images: uint8 [COLUMNS, size, size, 3].
        texts: One per image.
    """

    name: str
    images: np.ndarray
    texts: Sequence[str]


def everything() -> tuple[str, ...]:
    """Returns every augmentation once, as values of --augment."""
    return (*AUGMENTATIONS, *(word for name in NOTATIONS for word in _USUAL.get(name, (name,))))


def rows(splits: Splits, section: Augment, words: Sequence[str], seed: int, sampled: Sampling) -> list[SheetRow]:
    """Returns the first training images of a run, each augmentation alone, and all of `section` together as in the run, in
    all of its views.

    Args:
        splits: The images; those of the first batch are shown.
        section: What the run does.
        words: Augmentations that are also shown alone.
        seed: Of the draws.
        sampled: Which images an epoch shows.
    """
    size = splits.image_size
    plain = section.model_copy(update={"augment": ("none",), "augmix_jsd": 0.0})
    count = min(COLUMNS, len(splits.train))
    options = {"seed": seed, "batch_size": count, "sampled": sampled}
    images = next(iter(pipeline.training(splits, augment=plain, **options)))[0]
    order = sampling.epoch_of(sampled, splits.train.labels, seed, count)
    epoch, index = next(iter(stream.order(order, len(splits.train), count)))
    found = [SheetRow("as they are", images.numpy(), [f"image {number}" for number in index.numpy()])]
    names = augment.chosen(section, size)
    if names:
        together = next(iter(pipeline.training(splits, augment=section, **options)))[0]
        shown = [together] if len(together.shape) == 4 else tf.unstack(together, axis=1)
        for number, view in enumerate(shown, 1):
            said = f", view {number}" if len(shown) > 1 else ""
            found.append(SheetRow(" ".join(names) + said, view.numpy(), [""] * count))
    for word in words:
        found.append(_alone(word, images, section, seed, epoch, index))
    return found


def _alone(word: str, images: tf.Tensor, section: Augment, seed: int, epoch: tf.Tensor, index: tf.Tensor) -> SheetRow:
    if augment.row_of(word).stage == "batch":
        mixed, share = mixing.mix(images, (word,), section, seed, epoch, index)
        return SheetRow(word, mixed.numpy(), drawn.shares(share))
    # Eager loops over images are slow.
    vary = tf.function(lambda: augment.vary(images, (word,), section, seed, epoch, index), autograph=False)
    varied = vary()
    texts = drawn.told(word, augment.drawn(word, seed, epoch, index), section, images.shape[1])
    return SheetRow(word, varied.numpy(), texts)


def picture(found: Sequence[SheetRow], heading: str) -> bytes:
    """Draws the rows as a PNG."""
    step = _SIDE + _TEXT + _NAME

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        axis.axis("off")
        for number, row in enumerate(found):
            top = number * step
            axis.text(_GAP, top + _NAME - _GAP, row.name, fontsize=10, color=INK, va="bottom", fontweight="bold")
            for column, image in enumerate(row.images):
                _draw_image(axis, column * (_SIDE + _GAP) + _GAP, top + _NAME, image, row.texts[column])
        axis.set(xlim=(0, COLUMNS * (_SIDE + _GAP)), ylim=(len(found) * step, 0))

    size = (COLUMNS * (_SIDE + _GAP), len(found) * step)
    return png(Picture(heading, "", size, draw, "images"))


def _draw_image(axis, left: float, top: float, image: np.ndarray, text: str) -> None:
    small = image.shape[0] <= 64
    place = (left, left + _SIDE, top + _SIDE, top)
    axis.imshow(image, extent=place, interpolation="nearest" if small else "antialiased")
    lines = text.split(", ") if len(text) > 24 else [text]
    words = "\n".join(short(line, 26) for line in lines[:2])
    axis.text(left + _SIDE / 2, top + _SIDE + 0.03, words, fontsize=7, color=FAINT, ha="center", va="top")
