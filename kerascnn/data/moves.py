"""Pillow's geometric operations on one image, uint8 [height, width, 3] of static shape.

Pixel (x, y) of the result is taken from the place (a x + b y + c, d x + e y + f) of the image, in Pillow's order of the six
numbers. Nearest: the same pixels as Pillow's. Bilinear and bicubic: the same formulas in float32, where Pillow has float64; a
level is cut where a value is whole, so that some values differ by one level. Places outside of the image have the color `fill`.
An interpolation that is a tensor is bilinear or bicubic; nearest is known when the graph is made.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

NEAREST, BILINEAR, BICUBIC = range(3)
Fill = tuple[int, int, int]


def rotate(image: tf.Tensor, degrees: tf.Tensor, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Rotates counterclockwise about the center (`Image.rotate`)."""
    height, width = image.shape[:2]
    angle = -tf.cast(degrees, tf.float64) * (math.pi / 180.0)
    a, b = tf.cos(angle), tf.sin(angle)
    c = width / 2 - a * (width / 2) - b * (height / 2)
    f = height / 2 + b * (width / 2) - a * (height / 2)
    return affine(image, (a, b, c, -b, a, f), interpolation, fill)


def shear_x(image: tf.Tensor, factor: tf.Tensor, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Moves each row to the left by `factor` times its distance from the top."""
    return _along(image, 1, tf.cast(factor, tf.float64), 0.0, interpolation, fill)


def shear_y(image: tf.Tensor, factor: tf.Tensor, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Moves each column up by `factor` times its distance from the left."""
    return _along(image, 0, tf.cast(factor, tf.float64), 0.0, interpolation, fill)


def translate_x(image: tf.Tensor, pixels: tf.Tensor, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Moves to the left by `pixels`, which may be a fraction."""
    return _along(image, 1, tf.constant(0.0, tf.float64), tf.cast(pixels, tf.float64), interpolation, fill)


def translate_y(image: tf.Tensor, pixels: tf.Tensor, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Moves up by `pixels`, which may be a fraction."""
    return _along(image, 0, tf.constant(0.0, tf.float64), tf.cast(pixels, tf.float64), interpolation, fill)


def _by_interpolation(interpolation: tf.Tensor | int, branches: list) -> tf.Tensor:
    if isinstance(interpolation, int):
        return branches[interpolation]()
    return tf.cond(interpolation == BICUBIC, branches[BICUBIC], branches[BILINEAR])


def _centers(size: int) -> tf.Tensor:
    return tf.range(size, dtype=tf.float64) + 0.5


def affine(image: tf.Tensor, numbers: tuple, interpolation: tf.Tensor | int, fill: Fill) -> tf.Tensor:
    """Returns `Image.transform(size, AFFINE, numbers, interpolation, fillcolor=fill)`; numbers are float64 [] each."""
    height, width = image.shape[:2]
    a, b, c, d, e, f = numbers

    def smooth(taps: int) -> tf.Tensor:
        x = (a * _centers(width) + c)[None] + (b * _centers(height))[:, None]
        y = (d * _centers(width) + f)[None] + (e * _centers(height))[:, None]
        return _sampled(image, x, y, taps, fill)

    return _by_interpolation(
        interpolation, [lambda: _nearest(image, numbers, fill), lambda: smooth(2), lambda: smooth(4)]
    )


def perspective(image: tf.Tensor, numbers: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Returns `Image.transform(size, PERSPECTIVE, numbers, BILINEAR, fillcolor=fill)`; numbers are float64 [8]."""
    height, width = image.shape[:2]
    a, b, c, d, e, f, g, h = tf.unstack(numbers)
    across, down = _centers(width)[None], _centers(height)[:, None]
    below = g * across + h * down + 1.0
    return _sampled(image, (a * across + b * down + c) / below, (d * across + e * down + f) / below, 2, fill)


def _nearest(image: tf.Tensor, numbers: tuple, fill: Fill) -> tf.Tensor:
    """As Pillow, in 1/65536 of a pixel."""
    height, width = image.shape[:2]
    a, b, c, d, e, f = (tf.cast(v, tf.float64) for v in numbers)
    columns, rows = tf.range(width)[None], tf.range(height)[:, None]

    def place(across, down, start):
        fixed = [tf.cast(tf.floor(v * 65536.0 + 0.5), tf.int32) for v in (across, down, start + 0.5 * (across + down))]
        return tf.bitwise.right_shift(fixed[0] * columns + fixed[1] * rows + fixed[2], 16)

    x, y = place(a, b, c), place(d, e, f)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    at = tf.clip_by_value(y, 0, height - 1) * width + tf.clip_by_value(x, 0, width - 1)
    return _filled(tf.gather(tf.reshape(image, [-1, 3]), at), inside, fill)


def _filled(pixels: tf.Tensor, inside: tf.Tensor, fill: Fill) -> tf.Tensor:
    """Replaces uint8 pixels [height, width, 3] that are not `inside`."""
    kept = tf.cast(inside, tf.uint8)[..., None]
    kept = tf.concat([kept, kept, kept], -1)
    color = tf.constant(np.broadcast_to(np.array(fill, "uint8"), pixels.shape))
    return pixels * kept + color * (1 - kept)


def _neighbors(image: tf.Tensor, axis: int, taps: int) -> tf.Tensor:
    """Returns for each place from -1 to the last pixel its `taps` pixels along an axis, those at the border repeated.

    uint8, with one more row (or column) than the image and 3 * taps channels: one gather then fetches all of them.
    """
    size = image.shape[axis]
    first, last = tf.gather(image, [0], axis=axis), tf.gather(image, [size - 1], axis=axis)
    wide = tf.concat([first] * (taps // 2) + [image] + [last] * (taps // 2), axis)
    parts = [wide[i : i + size + 1] if axis == 0 else wide[:, i : i + size + 1] for i in range(taps)]
    return tf.concat(parts, -1)


def _weights(part: tf.Tensor, taps: int) -> list[tf.Tensor]:
    """Returns the weight of each tap for a place between two pixels; bicubic with a = -1, as `Image.transform` has it."""
    if taps == 2:
        return [1.0 - part, part]
    t = part
    return [t * (t * (2.0 - t) - 1.0), 1.0 + t * t * (t - 2.0), t * (1.0 + t * (1.0 - t)), t * t * (t - 1.0)]


def _combined(pixels: tf.Tensor, part: tf.Tensor, taps: int) -> tf.Tensor:
    """Interpolates float32 [height, width, 3 * taps] between its taps by `part` [height, width]."""
    taken = [pixels[..., 3 * i : 3 * i + 3] for i in range(taps)]
    if taps == 2:  # flat areas stay exactly as they are
        return taken[0] + (taken[1] - taken[0]) * _three(part)
    weights = [_three(weight) for weight in _weights(part, taps)]
    # Distances to a pixel: flat areas stay exactly as they are.
    middle = taken[1]
    return middle + sum((taken[i] - middle) * weights[i] for i in (0, 2, 3))


def _three(values: tf.Tensor) -> tf.Tensor:
    return tf.stack([values, values, values], -1)


def _levels(pixels: tf.Tensor) -> tf.Tensor:
    """Returns uint8, cut to a whole level as by Pillow."""
    return tf.cast(tf.clip_by_value(pixels, 0.0, 255.0), tf.uint8)


def _split(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixel before a place, int32, and the distance to it, float32."""
    below = tf.floor(place - 0.5)
    return tf.cast(below, tf.int32), tf.cast(place - 0.5 - below, tf.float32)


def _along(image, axis: int, slope, start, interpolation, fill: Fill) -> tf.Tensor:
    """Moves pixels along one axis by `slope` times the place on the other axis, plus `start`."""
    height, width = image.shape[:2]
    own, other = (width, height) if axis == 1 else (height, width)
    one, none = tf.constant(1.0, tf.float64), tf.constant(0.0, tf.float64)
    numbers = (one, slope, start, none, one, none) if axis == 1 else (one, none, none, slope, one, start)

    def smooth(taps: int) -> tf.Tensor:
        moved = slope * _centers(other) + start
        place = _centers(own)[None] + moved[:, None] if axis == 1 else _centers(own)[:, None] + moved[None]
        inside = (place >= 0.0) & (place < own)
        at, part = _split(place)
        at = tf.clip_by_value(at + 1, 0, own)
        columns, rows = tf.range(width)[None], tf.range(height)[:, None]
        at = rows * (width + 1) + at if axis == 1 else at * width + columns
        pixels = tf.gather(tf.reshape(_neighbors(image, axis, taps), [-1, 3 * taps]), at)
        return _filled(_levels(_combined(tf.cast(pixels, tf.float32), part, taps)), inside, fill)

    return _by_interpolation(
        interpolation, [lambda: _nearest(image, numbers, fill), lambda: smooth(2), lambda: smooth(4)]
    )


def _sampled(image: tf.Tensor, x: tf.Tensor, y: tf.Tensor, taps: int, fill: Fill) -> tf.Tensor:
    """Interpolates at places x and y, float64 [height, width]."""
    height, width = image.shape[:2]
    inside = (x >= 0.0) & (x < width) & (y >= 0.0) & (y < height)
    (left, part), (top, down) = _split(x), _split(y)
    left = tf.clip_by_value(left + 1, 0, width)
    table = tf.reshape(_neighbors(image, 1, taps), [-1, 3 * taps])
    lines = []
    for tap in range(taps):
        row = tf.clip_by_value(top + (tap - taps // 2 + 1), 0, height - 1)
        pixels = tf.gather(table, row * (width + 1) + left)
        lines.append(_combined(tf.cast(pixels, tf.float32), part, taps))
    return _filled(_levels(_combined(tf.concat(lines, -1), down, taps)), inside, fill)
