"""Random perspective as torchvision has it: each corner moves inwards by at most a share of half a side."""

from __future__ import annotations

import tensorflow as tf

from kerascnn.config.augment_notation import Written
from kerascnn.data import moves
from kerascnn.data.operations import BLACK, each

DRAWS = 9  # whether, and across and down of four corners


def corners(u: tf.Tensor, size: int, written: Written) -> tf.Tensor:
    """Returns where the corners go, float64 [batch, 4, 2] (x, y): top left, top right, bottom right, bottom left."""
    most = float(int(written["m"] * (size // 2)))
    moved = tf.floor(tf.cast(u[:, 1:], tf.float64) * (most + 1.0))
    moved = tf.reshape(moved, [-1, 4, 2])
    inwards = tf.constant([[1, 1], [-1, 1], [-1, -1], [1, -1]], tf.float64)
    return _square(size) + inwards * moved


def _square(size: int) -> tf.Tensor:
    last = size - 1
    return tf.constant([[0, 0], [last, 0], [last, last], [0, last]], tf.float64)


def numbers(end: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the eight numbers, float64 [batch, 8], that take the corners [batch, 4, 2] back to those of the image."""
    start = tf.broadcast_to(_square(size), tf.shape(end))
    (x, y), one = tf.unstack(end, axis=2), tf.ones_like(end[..., 0])
    none = tf.zeros_like(one)
    across = tf.stack([x, y, one, none, none, none, -x * start[..., 0], -y * start[..., 0]], -1)
    down = tf.stack([none, none, none, x, y, one, -x * start[..., 1], -y * start[..., 1]], -1)
    right = tf.concat([start[..., 0], start[..., 1]], 1)
    return tf.linalg.solve(tf.concat([across, down], 1), right[..., None])[..., 0]


def perspective(images: tf.Tensor, u: tf.Tensor, written: Written) -> tf.Tensor:
    """Moves the corners of some images; bilinear, black outside."""
    size = images.shape[1]

    def one(image, drawn, eight):
        return tf.cond(drawn < written["p"], lambda: moves.perspective(image, eight, BLACK), lambda: image)

    return each(one, images, u[:, 0], numbers(corners(u, size, written), size))
