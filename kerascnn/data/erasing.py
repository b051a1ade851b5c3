"""Random erasing (Zhong et al., 2020) as timm has it: a rectangle of the mean color, of one random color or of noise."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.config.augment_notation import Written
from kerascnn.data.operations import each

# ImageNet's, in levels: timm erases normalized images, where noise has the mean 0 and the deviation 1.
MEAN = np.array([123.675, 116.28, 103.53], "float32")
DEVIATION = np.array([58.395, 57.12, 57.375], "float32")
ASPECT = 0.3  # smallest height / width; the largest is its inverse
TRIES = 10  # rectangles that are drawn until one fits into the image
# Columns: whether, area and aspect of each try, top, left, and two for the seed of the noise.
DRAWS = 1 + 2 * TRIES + 4


class Rectangles(NamedTuple):
    """Parts of images, int32 [batch] each; a height of 0 erases nothing."""

    top: tf.Tensor
    left: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor

    def told(self) -> list[str]:
        """Returns the rectangles as text; eager only."""
        rows = zip(*(column.numpy() for column in self), strict=True)
        return [f"{width} x {height} px" if height else "nothing" for _, _, height, width in rows]


def rectangles(u: tf.Tensor, size: int, written: Written) -> Rectangles:
    """Returns the first rectangle of TRIES that fits into each image."""
    low, high = written["low"], written["high"]
    area = (low + u[:, 1 : 1 + TRIES] * (high - low)) * size * size
    aspect = tf.exp(math.log(ASPECT) * (1.0 - 2.0 * u[:, 1 + TRIES : 1 + 2 * TRIES]))
    heights, widths = tf.round(tf.sqrt(area * aspect)), tf.round(tf.sqrt(area / aspect))
    fits = (heights < size) & (widths < size) & (heights > 0) & (widths > 0)
    first = tf.argmax(fits, axis=1)
    height, width = (tf.gather(sides, first, batch_dims=1) for sides in (heights, widths))
    erased = (u[:, 0] < written["p"]) & tf.reduce_any(fits, axis=1)
    place = u[:, 1 + 2 * TRIES :]
    top, left = tf.floor(place[:, 0] * (size - height + 1)), tf.floor(place[:, 1] * (size - width + 1))
    return Rectangles(*(tf.cast(v, tf.int32) for v in (top, left, tf.where(erased, height, 0.0), width)))


def erase(images: tf.Tensor, u: tf.Tensor, written: Written) -> tf.Tensor:
    """Erases a rectangle of some images; noise is cut to levels 0 to 255."""
    size = images.shape[1]
    # Of 24 bits each: the noise is a pure function of the draws.
    seeds = tf.cast(u[:, DRAWS - 2 :] * 2.0**24, tf.int32)

    def one(image, top, left, height, width, seed):
        def erased():
            shape = [height, width, 3] if written.variant == "pixel" else [1, 1, 3]
            noise = tf.zeros(shape)
            if written.variant != "const":
                noise = tf.random.stateless_normal(shape, seed, alg="philox")
            color = tf.cast(tf.clip_by_value(tf.round(MEAN + DEVIATION * noise), 0.0, 255.0), tf.uint8)
            part = tf.broadcast_to(color, [height, width, 3])
            before, after = image[top : top + height, :left], image[top : top + height, left + width :]
            return tf.concat([image[:top], tf.concat([before, part, after], 1), image[top + height :]], 0)

        return tf.ensure_shape(tf.cond(height > 0, erased, lambda: image), [size, size, 3])

    return each(one, images, *rectangles(u, size, written), seeds)
