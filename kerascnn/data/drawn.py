"""What was drawn for each image of a batch, as text: for pictures of augmentations, not for training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from kerascnn.config import Augment, augment_notation
from kerascnn.data import augment, augmix, erasing
from kerascnn.data.policies import POLICIES

# From uniform numbers [batch, draws], the section and the side of the images to a text for each image.
Told = Callable[[tf.Tensor, Augment, int], list[str]]


def _resized_crop(u: tf.Tensor, section: Augment, side: int) -> list[str]:
    sides = tf.fill(tf.shape(u)[:1], side)
    _, _, height, width = (v.numpy() for v in augment.window(u, sides, sides, section))
    how = [""] * len(height)
    if section.crop_interpolation == "random":
        how = [", bicubic" if smooth else ", bilinear" for smooth in augment.is_bicubic(u).numpy()]
    return [
        f"{h * w / side**2:.0%} of the area, {w / h:.2f}{end}" for h, w, end in zip(height, width, how, strict=True)
    ]


def _shift(u: tf.Tensor, section: Augment, side: int) -> list[str]:
    most = round(section.shift * side)
    return [f"{column - most:+d} {row - most:+d} px" for row, column in (u.numpy() * (2 * most + 1)).astype(int)]


def _color(u: tf.Tensor, section: Augment, side: int) -> list[str]:
    factors = 1 + (2 * u.numpy()[:, :3] - 1) * section.color
    turns = (2 * u.numpy()[:, 3] - 1) * section.hue
    rest = [f", hue {turn:+.2f}" if section.hue else "" for turn in turns]
    return [" ".join(f"{one:.2f}" for one in row) + more for row, more in zip(factors, rest, strict=True)]


def _half(word: str) -> Told:
    return lambda u, section, side: [word if value < 0.5 else "as it is" for value in u.numpy()[:, 0]]


TOLD: dict[str, Told] = {
    "resized_crop": _resized_crop,
    "flip": _half("mirrored"),
    "flip_vertical": _half("upside down"),
    "shift": _shift,
    "color": _color,
    "grayscale": lambda u, section, side: ["gray" if v < augment.GRAYSCALE else "as it is" for v in u.numpy()[:, 0]],
    "cutout": lambda u, section, side: [f"at {x * side:.0f} {y * side:.0f}" for y, x in u.numpy()],
}


def told(word: str, u: tf.Tensor, section: Augment, side: int) -> list[str]:
    """Returns what the uniform numbers [batch, draws] of an image augmentation mean, for each image."""
    if word in TOLD:
        return TOLD[word](u, section, side)
    written = augment_notation.parse(word)
    if written.name == "erase":
        return erasing.rectangles(u, side, written).told()
    if written.name == "augmix":
        return augmix.steps(u, side, written).told()
    if written.name == "perspective":
        return ["corners move" if value < written["p"] else "as it is" for value in u.numpy()[:, 0]]
    return POLICIES[written.name](written).steps(u, side).told()


def shares(share: tf.Tensor) -> list[str]:
    """Returns the own share of each mixed image as text."""
    return [f"{value:.0%} its own" for value in np.asarray(share)]
