"""Pillow's operations on the colors of one image, uint8 [height, width, 3] of static shape, to the pixel.

All of them compute what `PIL.ImageOps` and `PIL.ImageEnhance` compute: the same gray, the same blend in float32 that is cut to
whole levels, the same tables of autocontrast and equalize. No sum depends on the number of threads: sums are of integers, or of
floats that hold integers exactly. A LUT costs a gather, three times as much as arithmetic: only equalize has one.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

# ITU-R BT.601 in 1/65536, as Pillow's convert("L"): sums stay below 2**24, so that float32 holds them exactly.
GRAY = (19595.0, 38470.0, 7471.0)
PASSES = 3  # of box filters in a blur, as Pillow has them
MIDDLE = 128  # levels below it get brighter by solarize_add


def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0-255 (`ImageOps.autocontrast`)."""
    wide = tf.reshape(image, [image.shape[0], -1, 3])
    low, high = (tf.cast(f(tf.reshape(wide, [-1, 3]), axis=0), tf.float64) for f in (tf.reduce_min, tf.reduce_max))
    flat, one = high <= low, tf.ones_like(low)
    scale = tf.where(flat, one, 255.0 / tf.where(flat, one, high - low))
    offset = tf.where(flat, tf.zeros_like(low), -low * scale)
    # Rows of all channels: broadcasting over the last axis of three is slow. Python's numbers are float64.
    scale, offset = (tf.tile(v, [image.shape[1]]) for v in (scale, offset))
    rows = tf.cast(tf.reshape(image, [image.shape[0], -1]), tf.float64) * scale + offset
    return tf.reshape(tf.cast(tf.clip_by_value(rows, 0.0, 255.0), tf.uint8), image.shape)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Flattens the histogram of each channel (`ImageOps.equalize`)."""
    # A constant of the image's shape: an offset that is broadcast over channels is slower.
    channel = tf.constant(np.broadcast_to(np.array([0, 256, 512], np.int32), image.shape))
    levels = tf.cast(image, tf.int32) + channel
    counts = tf.reshape(tf.math.bincount(tf.reshape(levels, [-1]), minlength=768, maxlength=768), [3, 256])
    last = tf.reduce_max(tf.where(counts > 0, tf.range(256), 0), axis=1, keepdims=True)
    step = (tf.reduce_sum(counts, axis=1, keepdims=True) - tf.gather(counts, last, batch_dims=1)) // 255
    before = tf.cumsum(counts, axis=1, exclusive=True)
    table = tf.minimum((step // 2 + before) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, table, tf.range(256))
    return tf.gather(tf.cast(tf.reshape(table, [-1]), tf.uint8), levels)


def invert(image: tf.Tensor) -> tf.Tensor:
    """Returns the negative (`ImageOps.invert`)."""
    return 255 - image


def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest `bits` of a level, 0 to 8 (`ImageOps.posterize`); a fraction does not count."""
    dropped = 8 - tf.cast(bits, tf.int32)
    mask = tf.bitwise.left_shift(tf.bitwise.right_shift(255, dropped), dropped)
    return tf.bitwise.bitwise_and(image, tf.cast(mask, tf.uint8))


def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts levels from `threshold` on, 0 to 256 (`ImageOps.solarize`)."""
    above = tf.cast(tf.cast(image, tf.float32) >= threshold, tf.uint8)
    return image + above * (255 - 2 * image)  # modulo 256


def solarize_add(image: tf.Tensor, more: tf.Tensor) -> tf.Tensor:
    """Adds `more`, 0 to 255, to levels below 128 (Cubuk et al., 2019, in the code of EfficientNet)."""
    below = tf.cast(image < MIDDLE, tf.int32)
    return tf.cast(tf.minimum(tf.cast(image, tf.int32) + below * tf.cast(more, tf.int32), 255), tf.uint8)


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Returns `Image.blend`, float32 images in and uint8 out: cut to a whole level, not rounded."""
    return tf.cast(tf.clip_by_value(degenerate + factor * (image - degenerate), 0.0, 255.0), tf.uint8)


def _gray(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns Pillow's gray of float32 pixels in each of `channels` channels, float32 [height * width, channels]."""
    weights = tf.constant(np.repeat(np.array(GRAY, "float32")[:, None], channels, axis=1))
    # A product of matrices is six times as fast as a sum over the last axis.
    return tf.floor((tf.matmul(tf.reshape(image, [-1, 3]), weights) + 32768.0) * 2.0**-16)


def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales the saturation (`ImageEnhance.Color`); 0: gray, 1: no change."""
    pixels = tf.cast(image, tf.float32)
    return _blend(tf.reshape(_gray(pixels, 3), image.shape), pixels, factor)


def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales the distance to the mean of the gray image (`ImageEnhance.Contrast`)."""
    pixels = tf.cast(image, tf.float32)
    total = tf.reduce_sum(tf.cast(_gray(pixels, 1), tf.int32))
    mean = tf.floor(tf.cast(total, tf.float64) / (image.shape[0] * image.shape[1]) + 0.5)
    return _blend(tf.cast(mean, tf.float32), pixels, factor)


def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales all levels (`ImageEnhance.Brightness`)."""
    return _blend(tf.constant(0.0), tf.cast(image, tf.float32), factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Scales the distance to the smoothed image (`ImageEnhance.Sharpness`); 0: smooth, 1: no change."""
    height, width = image.shape[:2]
    if min(height, width) < 3:
        return image
    pixels = tf.cast(image, tf.float32)
    across = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    inner = across[:-2] + across[1:-1] + across[2:] + 4.0 * pixels[1:-1, 1:-1]  # ImageFilter.SMOOTH, in 1/13
    inner = tf.floor(inner * np.float32(1 / 13) + 0.5)
    # The border of a filtered image is the image's.
    change = tf.pad(inner - pixels[1:-1, 1:-1], [[1, 1], [1, 1], [0, 0]])
    return _blend(pixels + change, pixels, factor)


def blur(image: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Blurs by a standard deviation of `sigma` pixels, 0 to 2 (`ImageFilter.GaussianBlur`): three box filters per axis.

    A box reaches as far as a Gaussian of a third of the variance (Gwosdek et al., 2011), at most two pixels here.
    """
    variance = tf.square(sigma) / PASSES
    whole = tf.floor((tf.sqrt(12.0 * variance + 1.0) - 1.0) / 2.0)
    most = (2.0 * whole + 1.0) * (whole * (whole + 1.0) - 3.0 * variance)
    radius = whole + most / (6.0 * (variance - tf.square(whole + 1.0)))
    inner = 1.0 / (2.0 * radius + 1.0)
    edge = (1.0 - (2.0 * whole + 1.0) * inner) / 2.0
    near, far = tf.where(whole >= 1.0, inner, edge), tf.where(whole >= 1.0, edge, 0.0)
    pixels = tf.cast(image, tf.float32)
    for axis in (1, 0):
        for _ in range(PASSES):
            pixels = tf.floor(_box(pixels, axis, inner, near, far) + 0.5)
    return tf.cast(pixels, tf.uint8)


def _box(pixels: tf.Tensor, axis: int, inner: tf.Tensor, near: tf.Tensor, far: tf.Tensor) -> tf.Tensor:
    """Returns a weighted sum of five pixels along an axis; those beyond the border are the border's."""
    size = pixels.shape[axis]
    first, last = (tf.gather(pixels, [i, i], axis=axis) for i in (0, size - 1))
    wide = tf.concat([first, pixels, last], axis)
    parts = [wide[i : i + size] if axis == 0 else wide[:, i : i + size] for i in range(5)]
    return pixels * inner + (parts[1] + parts[3]) * near + (parts[0] + parts[4]) * far
