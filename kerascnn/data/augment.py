"""Augmentations of training images.

Every draw is a pure function of (name of the row in AUGMENTATIONS, seed, epoch, index): adding an augmentation does not
change the draws of another, and a resumed run sees the same images.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from scipy.stats import beta

from kerascnn.config import Augment, augment_notation
from kerascnn.data import augmix, decode, erasing, operations, perspective
from kerascnn.data.policies import POLICIES

GOLDEN = 0x9E3779B97F4A7C15  # of splitmix64 (Steele, Lea and Flood, 2014), like the constants of _mix
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}
GRAYSCALE = 0.1  # probability


def _mix(z: tf.Tensor) -> tf.Tensor:
    """The finalizer of splitmix64, on uint64 of any shape."""
    shift, xor = tf.bitwise.right_shift, tf.bitwise.bitwise_xor
    z = xor(z, shift(z, _u64(30))) * _u64(0xBF58476D1CE4E5B9)
    z = xor(z, shift(z, _u64(27))) * _u64(0x94D049BB133111EB)
    return xor(z, shift(z, _u64(31)))


def _u64(value: int) -> tf.Tensor:
    return tf.constant(np.uint64(value % 2**64), tf.uint64)


def draws(name: str, seed: int, epoch: tf.Tensor, index: tf.Tensor, count: int) -> tf.Tensor:
    """Returns uniform numbers in [0, 1), float32 [batch, count], for int64 [batch] epochs and indices."""
    z = _mix(_u64(seed) * _u64(GOLDEN) + _u64(GOLDEN))
    z = _mix(z + _u64(zlib.crc32(name.encode())) * _u64(GOLDEN))
    z = _mix(z + tf.cast(epoch, tf.uint64) * _u64(GOLDEN))
    z = _mix(z + tf.cast(index, tf.uint64) * _u64(GOLDEN))[:, None]
    z = _mix(z + tf.cast(tf.range(1, count + 1), tf.uint64)[None] * _u64(GOLDEN))
    return tf.cast(tf.bitwise.right_shift(z, _u64(40)), tf.float32) * 2.0**-24


def _uint8(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(tf.clip_by_value(images, 0.0, 255.0)), tf.uint8)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch] to [batch, 1, 1, 1]."""
    return values[:, None, None, None]


def choose(condition: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """A `tf.where` for uint8 images and a condition that is broadcast, for which tf.where is slow."""
    mask = tf.cast(condition, tf.uint8)
    return one * mask + other * (1 - mask)


def _sampled(images: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, interpolation: str, fill: str) -> tf.Tensor:
    """Maps pixel p of the result to pixel scale * p + offset of the image; scale and offset are [batch, 2] (row, column)."""
    zero = tf.zeros_like(scale[:, 0])
    rows = [scale[:, 1], zero, offset[:, 1], zero, scale[:, 0], offset[:, 0], zero, zero]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation=interpolation,
        fill_mode=fill,
    )


def flip(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Mirrors left-right with probability one half; two epochs show both sides of an image (Jordan, 2024, section 3.6)."""
    return choose(per_image(u[:, 0]) < 0.5, tf.reverse(images, [2]), images)  # 8 times as fast as [:, :, ::-1]


def flip_vertical(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Mirrors top-bottom with probability one half, as aerial and microscope images allow."""
    return choose(per_image(u[:, 0]) < 0.5, tf.reverse(images, [1]), images)


def shift(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Moves by whole pixels, at most `section.shift` of the side in each direction, with zeros (He et al., 2015, section
    4.2).
    """
    batch, side = images.shape[:2]
    most = round(section.shift * side)
    frame = tf.pad(images, [[0, 0], [most, most], [most, most], [0, 0]])
    # One gather of pixels is 1.6 times as fast as a projective transform.
    start = tf.cast(u * (2 * most + 1), tf.int32)
    rows, columns = (start[:, axis, None] + tf.range(side) for axis in (0, 1))
    rows += tf.range(batch)[:, None] * (side + 2 * most)
    places = rows[:, :, None] * (side + 2 * most) + columns[:, None, :]
    return tf.gather(tf.reshape(frame, [-1, 3]), places)


def window(u: tf.Tensor, height: tf.Tensor, width: tf.Tensor, section: Augment) -> tuple[tf.Tensor, ...]:
    """Returns a crop of random area and aspect ratio (Szegedy et al., 2015, section 6): int32 (top, left, height, width).

    `u` is [..., 5], the last of which is for `is_bicubic`; `height` and `width` are those of the image, int32 [...]. A single
    draw replaces repeated tries: a crop that exceeds the image is cut at its border, and its aspect ratio stays within
    `section.crop_ratio` if the image allows that.
    """
    rows, columns = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    (low, high), (narrow, wide) = section.crop_area, section.crop_ratio
    area = rows * columns * (low + u[..., 0] * (high - low))
    aspect = tf.exp(np.log(narrow) + u[..., 1] * np.log(wide / narrow))
    across, down = tf.sqrt(area * aspect), tf.sqrt(area / aspect)
    across, down = tf.minimum(across, columns), tf.minimum(down, rows)
    across, down = tf.minimum(across, down * wide), tf.minimum(down, across / narrow)
    down, across = (tf.clip_by_value(tf.round(v), 1.0, most) for v, most in ((down, rows), (across, columns)))
    top, left = tf.floor(u[..., 2] * (rows - down + 1)), tf.floor(u[..., 3] * (columns - across + 1))
    return tuple(tf.cast(v, tf.int32) for v in (top, left, down, across))


def resized_crop(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Crops a `window` from images in memory that already have their final size, and resizes it to that size."""
    side = images.shape[1]
    sides = tf.fill(tf.shape(u)[:1], side)
    places = window(u, sides, sides, section)
    if section.crop_interpolation == "bicubic":
        return operations.each(lambda image, *place: _bicubic(image, place, side), images, *places)
    if section.crop_interpolation == "random":
        smooth = is_bicubic(u)
        return operations.each(
            lambda image, bicubic, *place: tf.cond(
                bicubic, lambda: _bicubic(image, place, side), lambda: _bilinear(image[None], place, side)[0]
            ),
            *(images, smooth, *places),
        )
    return _bilinear(images, places, side)


def _bilinear(images: tf.Tensor, places: tuple[tf.Tensor, ...], side: int) -> tf.Tensor:
    top, left, down, across = (tf.reshape(tf.cast(v, tf.float32), [-1]) for v in places)
    scale = tf.stack([down, across], axis=1) / side
    offset = tf.stack([top, left], axis=1) + 0.5 * scale - 0.5
    return _uint8(_sampled(tf.cast(images, tf.float32), scale, offset, "BILINEAR", "NEAREST"))


def _bicubic(image: tf.Tensor, place: tuple[tf.Tensor, ...], side: int) -> tf.Tensor:
    top, left, down, across = place
    return decode.resize(image[top : top + down, left : left + across], side, "squash", kernel="keyscubic")


def is_bicubic(u: tf.Tensor) -> tf.Tensor:
    """Returns whether a crop is bicubic with `random`: one half of them."""
    return u[..., 4] >= 0.5


def cropped(image_bytes: tf.Tensor, u: tf.Tensor, size: int, section: Augment) -> tf.Tensor:
    """Decodes a `window` of one encoded image, string [] with draws [5], as uint8 [size, size, 3]."""
    part = decode.window(image_bytes, lambda height, width: window(u, height, width, section), size)
    if section.crop_interpolation == "random":
        kinds = (
            lambda kernel=kernel: decode.resize(part, size, "squash", kernel=kernel) for kernel in _KERNELS.values()
        )
        bilinear, bicubic = kinds
        return tf.cond(is_bicubic(u), bicubic, bilinear)
    return decode.resize(part, size, "squash", kernel=_KERNELS[section.crop_interpolation])


def _luma(images: tf.Tensor) -> tf.Tensor:
    """Returns ITU-R BT.601 gray in thousandths, one channel, of uint8 or float images; integers stay exact."""
    weights = tf.constant([299, 587, 114], images.dtype)
    return tf.reduce_sum(images * weights, axis=-1, keepdims=True)


def color(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Scales brightness, contrast and saturation, in this order, each by a factor of 1 - color to 1 + color; turns the hue."""
    brightness, contrast, saturation = tf.unstack(1.0 + (2.0 * u[:, :3] - 1.0) * section.color, axis=1)
    # Integers: a float sum depends on the number of threads.
    pixels = images.shape[1] * images.shape[2]
    total = tf.reduce_sum(tf.cast(_luma(tf.cast(images, tf.int32)), tf.int64), axis=[1, 2, 3], keepdims=True)
    x = tf.cast(images, tf.float32) * per_image(brightness)
    mean = tf.cast(total, tf.float32) / (1000.0 * pixels) * per_image(brightness)
    x = tf.clip_by_value(mean + (x - mean) * per_image(contrast), 0.0, 255.0)
    grey = _luma(x) / 1000.0
    x = grey + (x - grey) * per_image(saturation)
    if section.hue:
        x = _turned(x, (2.0 * u[:, 3] - 1.0) * section.hue)
    return _uint8(x)


def _turned(images: tf.Tensor, turns: tf.Tensor) -> tf.Tensor:
    """Moves the hue of float images around the color circle by `turns` [batch]; gray stays gray."""
    # Of levels that a saturation above 1 has left, as of any others: hue is defined between 0 and 255 only.
    hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv(tf.clip_by_value(images, 0.0, 255.0) / 255.0), axis=-1)
    hue = tf.math.floormod(hue + turns[:, None, None], 1.0)
    return tf.image.hsv_to_rgb(tf.stack([hue, saturation, value], -1)) * 255.0


def grayscale(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Turns gray with probability 0.1."""
    grey = tf.cast((_luma(tf.cast(images, tf.int32)) + 500) // 1000, tf.uint8)
    return choose(per_image(u[:, 0]) < GRAYSCALE, grey, images)


def _square(center: tf.Tensor, sides: tf.Tensor, size: int) -> tf.Tensor:
    """Returns masks of squares of `sides` [batch] pixels: bool [batch, size, size]; `center` [batch, 2] is in [0, 1)."""
    before = tf.floor(sides / 2)[:, None]
    near = []
    for axis in (0, 1):
        distance = tf.range(size, dtype=tf.float32)[None] - tf.floor(center[:, axis, None] * size)
        near.append((distance >= -before) & (distance < sides[:, None] - before))
    return near[0][:, :, None] & near[1][:, None, :]


def cutout(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
    """Places a gray square at a random position, cut at the border (DeVries and Taylor, 2017)."""
    sides = tf.fill(tf.shape(u)[:1], float(round(section.cutout * images.shape[1])))
    hidden = _square(u, sides, images.shape[1])
    return choose(hidden[..., None], tf.constant(128, tf.uint8), images)


@functools.cache
def _beta_quantiles(parameter: float) -> np.ndarray:
    return beta.ppf(np.linspace(0.0, 1.0, 4097), parameter, parameter).astype("float32")


def _beta(u: tf.Tensor, parameter: float) -> tf.Tensor:
    """Returns Beta(parameter, parameter) quantiles of uniform numbers [batch], from a table."""
    table = tf.constant(_beta_quantiles(parameter))
    place = u * 4096.0
    below = tf.cast(place, tf.int32)
    low, high = tf.gather(table, below), tf.gather(table, below + 1)
    return low + (high - low) * (place - tf.floor(place))


def mixup(images: tf.Tensor, partners: tf.Tensor, u: tf.Tensor, section: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Blends pairs of images and labels (Zhang et al., 2018): returns images and the share of the own label [batch]."""
    share = _beta(u[:, 0], section.mixup)
    own, other = tf.cast(images, tf.float32), tf.cast(partners, tf.float32)
    return _uint8(other + (own - other) * per_image(share)), share


def cutmix(images: tf.Tensor, partners: tf.Tensor, u: tf.Tensor, section: Augment) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes a square of another image (Yun et al., 2019): returns images and the share of the own label [batch]."""
    size = images.shape[1]
    sides = tf.floor(tf.sqrt(1.0 - _beta(u[:, 0], section.cutmix)) * size)
    pasted = _square(u[:, 1:], sides, size)
    share = 1.0 - tf.reduce_mean(tf.cast(pasted, tf.float32), axis=[1, 2])
    return choose(pasted[..., None], partners, images), share


class Augmentation(NamedTuple):
    """A row of AUGMENTATIONS.

    Attributes:
        stage: "window" (before resizing), "image" (one image) or "batch" (mixes images and labels of a batch).
        draws: Number of random draws of an image.
        function: The augmentation.
        alternates: Whether every second epoch repeats the draws u of the one before as 1 - u.
    """

    stage: str
    draws: int
    function: Callable
    alternates: bool = False


AUGMENTATIONS = {
    "resized_crop": Augmentation("window", 5, resized_crop),
    "flip": Augmentation("image", 1, flip, alternates=True),
    "flip_vertical": Augmentation("image", 1, flip_vertical),
    "shift": Augmentation("image", 2, shift),
    "color": Augmentation("image", 4, color),
    "grayscale": Augmentation("image", 1, grayscale),
    "cutout": Augmentation("image", 2, cutout),
    "mixup": Augmentation("batch", 1, mixup),
    "cutmix": Augmentation("batch", 3, cutmix),
}


@functools.lru_cache(maxsize=128)
def row_of(word: str) -> Augmentation:
    """Returns the row of a value of --augment: one of AUGMENTATIONS, or what its notation says."""
    if word in AUGMENTATIONS:
        return AUGMENTATIONS[word]
    written = augment_notation.parse(word)
    whole = {"erase": (erasing.DRAWS, erasing.erase), "perspective": (perspective.DRAWS, perspective.perspective)}
    whole["augmix"] = (augmix.draws(written) if written.name == "augmix" else 0, augmix.mix)
    if written.name in whole:
        count, vary_images = whole[written.name]
        return Augmentation("image", count, lambda images, u, section: vary_images(images, u, written))
    policy = POLICIES[written.name](written)

    def function(images: tf.Tensor, u: tf.Tensor, section: Augment) -> tf.Tensor:
        return operations.apply(images, policy.steps(u, images.shape[1]), policy.fill, policy.operations)

    return Augmentation("image", policy.draws, function)


def drawn(word: str, seed: int, epoch: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Returns the uniform numbers of an augmentation, float32 [batch, draws], by the name that it begins with.

    Two strengths of one augmentation have the same draws, and so differ by their strength alone.
    """
    row, name = row_of(word), augment_notation.head(word)
    u = draws(name, seed, epoch - epoch % 2 if row.alternates else epoch, index, row.draws)
    return tf.where((epoch % 2 == 1)[:, None], 1.0 - u, u) if row.alternates else u


def chosen(section: Augment, image_size: int) -> tuple[str, ...]:
    """Returns the augmentations of `section`; auto is shift and flip up to 64 px, resized_crop and flip above."""
    if section.augment == ("auto",):
        return ("shift", "flip") if image_size <= 64 else ("resized_crop", "flip")
    return tuple(name for name in section.augment if name != "none")


def vary(images: tf.Tensor, names: tuple[str, ...], section: Augment, seed: int, epoch: tf.Tensor, index: tf.Tensor):
    """Applies the image augmentations `names` in their order to uint8 [batch, size, size, 3]."""
    for name in names:
        images = row_of(name).function(images, drawn(name, seed, epoch, index), section)
    return images
