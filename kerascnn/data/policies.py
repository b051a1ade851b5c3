"""Policies that draw operations and their strengths for each image: RandAugment, TrivialAugment, 3-Augment.

Each is a pure function from uniform numbers [batch, draws] to `Steps`; what is not drawn is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.config.augment_notation import UNIFORM, Written
from kerascnn.data.moves import BILINEAR, Fill
from kerascnn.data.operations import BLACK, MEAN_COLOR, NUMBERS, Steps, random_interpolation
from kerascnn.data.policy_tables import TIMM_PAIRS, TORCHVISION_PAIRS
from kerascnn.data.strengths import TIMM, TORCHVISION, WIDE, Strengths

LEVELS = 10.0  # of timm
BINS = 30.0  # torchvision's 31 bins are numbered from 0 to it
POLICY_BINS = 9.0  # its AutoAugment has 10
COLUMNS = 5  # numbers per step: operation, whether, magnitude, sign or strength, interpolation

_RAND = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast"),
    *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
)
_STRONGER = ("Posterize", "Solarize", "Color", "Contrast", "Brightness", "Sharpness")
RAND_INCREASING = tuple(f"{name}Increasing" if name in _STRONGER else name for name in _RAND)
# Weights of timm's choices without replacement.
RAND_WEIGHTS = {
    "Rotate": 3.0,
    "ShearX": 2.0,
    "ShearY": 2.0,
    "TranslateXRel": 1.0,
    "TranslateYRel": 1.0,
    "ColorIncreasing": 0.25,
    "SharpnessIncreasing": 0.25,
    "AutoContrast": 0.25,
    "SolarizeIncreasing": 0.05,
    "SolarizeAdd": 0.05,
    "ContrastIncreasing": 0.05,
    "BrightnessIncreasing": 0.05,
    "Equalize": 0.05,
    "PosterizeIncreasing": 0.05,
    "Invert": 0.05,
}
RAND_3A = ("SolarizeIncreasing", "Desaturate", "GaussianBlur")
RAND_WEIGHTS_3A = {
    "SolarizeIncreasing": 6.0,
    "Desaturate": 6.0,
    "GaussianBlur": 6.0,
    "Rotate": 3.0,
    "ShearX": 2.0,
    "ShearY": 2.0,
    "PosterizeIncreasing": 1.0,
    "AutoContrast": 1.0,
    "ColorIncreasing": 1.0,
    "SharpnessIncreasing": 1.0,
    "ContrastIncreasing": 1.0,
    "BrightnessIncreasing": 1.0,
    "Equalize": 1.0,
    "Invert": 1.0,
}
THREE = ("Solarize", "Desaturate", "GaussianBlurRand")  # at the levels 5, 10 and 10


class Policy(NamedTuple):
    """A way to draw steps.

    Attributes:
        draws: Uniform numbers per image.
        steps: From uniform numbers [batch, draws] and the side of the images to what is done to each.
        fill: Color of places outside of the image.
        operations: Those that may be drawn.
    """

    draws: int
    steps: Callable[[tf.Tensor, int], Steps]
    fill: Fill
    operations: tuple[str, ...]


def operations_of(names: Iterable[str], table: Strengths) -> tuple[str, ...]:
    """Returns the operations of strengths, each once."""
    return tuple(dict.fromkeys(one for one in (table[name].operation for name in names) if one != "identity"))


def _columns(u: tf.Tensor, steps: int) -> list[tf.Tensor]:
    """Returns the COLUMNS of the first steps, float32 [batch, steps] each."""
    return tf.unstack(tf.reshape(u[:, : COLUMNS * steps], [-1, steps, COLUMNS]), axis=2)


def _pick(u: tf.Tensor, count: int) -> tf.Tensor:
    return tf.cast(u * count, tf.int32)


def strengths_of(names: Sequence[str], table: Strengths, row: tf.Tensor, x: tf.Tensor, v: tf.Tensor, side: int):
    """Returns the operation and argument of rows of `names`, int32 [...], at magnitudes x with uniform numbers v."""
    numbers = tf.constant([NUMBERS[table[name].operation] for name in names], tf.int32)
    arguments = tf.stack([table[name].argument(x, v, side) for name in names], -1)
    return tf.gather(numbers, row), tf.gather(arguments, row, batch_dims=len(row.shape))


def magnitudes(level: float | tf.Tensor, deviation: float, most: float, u: tf.Tensor) -> tf.Tensor:
    """Returns timm's magnitudes as shares of 10 levels: `level`, or drawn around it by uniform numbers."""
    if deviation > UNIFORM:
        drawn = u * level
    elif deviation > 0:
        drawn = level + deviation * tf.math.ndtri(tf.maximum(u, 2.0**-25))
    else:
        drawn = tf.zeros_like(u) + level
    return tf.clip_by_value(drawn, 0.0, most) / LEVELS


def rand(written: Written) -> Policy:
    """RandAugment in timm's notation; operations move pixels bilinearly or bicubically at random."""
    steps = written.whole("n")
    weights = {"tweights": RAND_WEIGHTS, "t3aw": RAND_WEIGHTS_3A}.get(written.variant)
    names = tuple(weights or (RAND_3A if written.variant == "t3a" else RAND_INCREASING if written["inc"] else _RAND))
    steps = min(steps, len(names)) if weights else steps

    def draw(u: tf.Tensor, side: int) -> Steps:
        which, whether, level, v, smooth = _columns(u, steps)
        row = _pick(which, len(names))
        if weights:
            row = _without_replacement(u[:, COLUMNS * steps :], np.array(list(weights.values())), steps)
        x = magnitudes(written["m"], written["mstd"], written["mmax"], level)
        number, argument = strengths_of(names, TIMM, row, x, v, side)
        return Steps(tf.where(whether < written["p"], number, 0), argument, random_interpolation(smooth))

    return Policy(COLUMNS * steps + (len(names) if weights else 0), draw, MEAN_COLOR, operations_of(names, TIMM))


def _without_replacement(u: tf.Tensor, weights: np.ndarray, count: int) -> tf.Tensor:
    """Returns different rows, drawn one after the other by weight: the first arrivals of exponential times."""
    times = -tf.math.log(tf.maximum(u, 2.0**-25)) / tf.constant(weights, tf.float32)
    return tf.argsort(times, axis=1, stable=True)[:, :count]


def randaugment(written: Written) -> Policy:
    """RandAugment as torchvision has it: always n operations, of which one does nothing; bilinear, black outside."""
    names = tuple(name for name in TORCHVISION if name != "Invert")
    steps = written.whole("n")

    def draw(u: tf.Tensor, side: int) -> Steps:
        which, _, _, v, _ = _columns(u, steps)
        x = tf.fill(tf.shape(v), written["m"] / BINS)
        number, argument = strengths_of(names, TORCHVISION, _pick(which, len(names)), x, v, side)
        return Steps(number, argument, tf.fill(tf.shape(number), BILINEAR))

    return Policy(COLUMNS * steps, draw, BLACK, operations_of(names, TORCHVISION))


def trivial(written: Written) -> Policy:
    """TrivialAugment, wide: one operation at any of 31 magnitudes; bilinear, black outside."""
    names = tuple(name for name in WIDE if name != "Invert")

    def draw(u: tf.Tensor, side: int) -> Steps:
        which, _, level, v, _ = _columns(u, 1)
        x = tf.floor(level * (BINS + 1)) / BINS
        number, argument = strengths_of(names, WIDE, _pick(which, len(names)), x, v, side)
        return Steps(number, argument, tf.fill(tf.shape(number), BILINEAR))

    return Policy(COLUMNS, draw, BLACK, operations_of(names, WIDE))


def three(written: Written) -> Policy:
    """3-Augment: solarized at 128, gray, or blurred by 0.1 to 2 pixels."""

    def draw(u: tf.Tensor, side: int) -> Steps:
        which, _, _, v, smooth = _columns(u, 1)
        row = _pick(which, len(THREE))
        number, argument = strengths_of(THREE, TIMM, row, tf.where(row == 0, 0.5, 1.0), v, side)
        return Steps(number, argument, random_interpolation(smooth))

    return Policy(COLUMNS, draw, MEAN_COLOR, operations_of(THREE, TIMM))


def autoaugment(written: Written) -> Policy:
    """AutoAugment: one of 25 pairs; torchvision's are bilinear with black outside, timm's as `rand`."""
    timm = written.variant in TIMM_PAIRS
    pairs = (TIMM_PAIRS if timm else TORCHVISION_PAIRS)[written.variant]
    table = TIMM if timm else TORCHVISION
    names = tuple(dict.fromkeys(one.name for pair in pairs for one in pair))
    rows = tf.constant([[names.index(one.name) for one in pair] for pair in pairs], tf.int32)
    shares = tf.constant([[one.probability for one in pair] for pair in pairs], tf.float32)
    levels = tf.constant([[one.magnitude for one in pair] for pair in pairs], tf.float32)

    def draw(u: tf.Tensor, side: int) -> Steps:
        _, whether, level, v, smooth = _columns(u, 2)
        pair = _pick(u[:, 2 * COLUMNS], len(pairs))
        row, share, x = (tf.gather(values, pair) for values in (rows, shares, levels))
        x = magnitudes(x, written["mstd"], LEVELS, level) if timm else x / POLICY_BINS
        number, argument = strengths_of(names, table, row, x, v, side)
        interpolation = random_interpolation(smooth) if timm else tf.fill(tf.shape(number), BILINEAR)
        return Steps(tf.where(whether < share, number, 0), argument, interpolation)

    fill = MEAN_COLOR if timm else BLACK
    return Policy(2 * COLUMNS + 1, draw, fill, operations_of(names, table))


def single(written: Written) -> Policy:
    """One operation with a probability; rotations are bilinear with black outside."""
    name = written.name

    def draw(u: tf.Tensor, side: int) -> Steps:
        v = u[:, 1:]
        low, high = {
            "rotate": (-written.numbers.get("m", 0.0), written.numbers.get("m", 0.0)),
            "blur": (written.numbers.get("low", 0.0), written.numbers.get("high", 0.0)),
            "posterize": (written.numbers.get("b", 0.0),) * 2,
            "solarize": (written.numbers.get("t", 0.0),) * 2,
        }.get(name, (0.0, 0.0))
        number = tf.where(u[:, :1] < written["p"], NUMBERS[name], 0)
        return Steps(number, low + v * (high - low), tf.fill(tf.shape(number), BILINEAR))

    return Policy(2, draw, BLACK, (name,))


SINGLE = ("rotate", "blur", "posterize", "solarize", "equalize", "autocontrast", "invert")
POLICIES: dict[str, Callable[[Written], Policy]] = {
    "rand": rand,
    "ra": randaugment,
    "ta_wide": trivial,
    "3a": three,
    "aa": autoaugment,
    **dict.fromkeys(SINGLE, single),
}
