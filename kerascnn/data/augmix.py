"""AugMix (Hendrycks et al., 2020) as timm has it: chains of operations, mixed with each other and then with the image."""

from __future__ import annotations

import tensorflow as tf

from kerascnn.config.augment_notation import Written
from kerascnn.data.operations import MEAN_COLOR, Steps, chain, each, random_interpolation
from kerascnn.data.policies import COLUMNS, LEVELS, magnitudes, operations_of, strengths_of
from kerascnn.data.strengths import AUGMIX

DEPTH = 3  # operations of the longest chain
OPERATIONS = (
    *("AutoContrast", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"),
    *("Equalize", "Rotate", "PosterizeIncreasing", "SolarizeIncreasing", "ShearX", "ShearY"),
    *("TranslateXRel", "TranslateYRel"),
)


def draws(written: Written) -> int:
    """Returns how many numbers an image needs: those of all operations, depth and weight of each chain, and its own share."""
    return written.whole("w") * (DEPTH * COLUMNS + 2) + 1


def steps(u: tf.Tensor, side: int, written: Written) -> Steps:
    """Returns the operations of all chains, one chain after the other: [batch, chains * DEPTH]."""
    width = written.whole("w")
    numbers = tf.reshape(u[:, : width * DEPTH * COLUMNS], [-1, width, DEPTH, COLUMNS])
    which, _, level, v, smooth = tf.unstack(numbers, axis=3)
    depth = u[:, width * DEPTH * COLUMNS :][:, :width] * DEPTH
    last = tf.floor(depth) if not written["d"] else tf.fill(tf.shape(depth), written["d"] - 1.0)
    row = tf.cast(which * len(OPERATIONS), tf.int32)
    x = magnitudes(written["m"], written["mstd"], LEVELS, level)
    number, argument = strengths_of(OPERATIONS, AUGMIX, row, x, v, side)
    number = tf.where(tf.range(DEPTH, dtype=tf.float32) <= last[:, :, None], number, 0)
    return Steps(*(tf.reshape(part, [-1, width * DEPTH]) for part in (number, argument, random_interpolation(smooth))))


def shares(u: tf.Tensor, written: Written) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the weights of the chains, [batch, chains] (Dirichlet, all parameters 1), and their part of the result [batch]."""
    width = written.whole("w")
    times = -tf.math.log(tf.maximum(u[:, -width - 1 : -1], 2.0**-25))
    return times / tf.reduce_sum(times, axis=1, keepdims=True), u[:, -1]


def mix(images: tf.Tensor, u: tf.Tensor, written: Written) -> tf.Tensor:
    """Mixes each image with chains of operations on it."""
    width = written.whole("w")
    weights, parts = shares(u, written)
    names = operations_of(OPERATIONS, AUGMIX)

    def one(image, weight, part, *columns):
        mixed = tf.zeros(image.shape)
        for number in range(width):
            own = Steps(*(column[number * DEPTH : (number + 1) * DEPTH] for column in columns))
            mixed += weight[number] * tf.cast(chain(image, own, MEAN_COLOR, names), tf.float32)
        mixed = tf.floor(tf.clip_by_value(mixed, 0.0, 255.0))
        pixels = tf.cast(image, tf.float32)
        return tf.cast(pixels + part * (mixed - pixels), tf.uint8)

    return each(one, images, weights, parts, *steps(u, images.shape[1], written))
