"""The one decode path: val, test, evaluate, predict and every export see an image through these functions.

    read       a file's encoded bytes; GIF, BMP and WebP as PNG (Pillow), JPEG and PNG as they are
    decode     JPEG or PNG bytes -> uint8 RGB: EXIF orientation applied, grey and palette to RGB, alpha over white,
               16 bit by 1/257
    resize     any size -> size x size, antialiased: crop, pad or squash
    preprocess decode, then resize
    window     training's random crop: a part of what `decode` gives, large JPEGs at a half, a quarter or an eighth

All but `read` are standard TensorFlow ops, so that a SavedModel carries them. The pixels are Pillow's: the same JPEG
algorithm (integer DCT, triangle upsampling), `ImageOps.exif_transpose`, `Image.alpha_composite`; 4-channel JPEGs differ by one
level at most, and 16 bit keeps what Pillow cuts off.
"""

import os
import re
from typing import Literal

import tensorflow as tf

from kerascnn.data import orientation
from kerascnn.data.transcode import MAX_PIXELS, PNG_TEXT_ORIENTATION, Probe, probe, sniff, transcode

__all__ = [
    "MAX_PIXELS",
    "Mode",
    "Probe",
    "decode",
    "preprocess",
    "probe",
    "problem",
    "read",
    "resize",
    "sniff",
    "window",
]

Mode = Literal["crop", "pad", "squash"]
# The share of the shorter side that `crop` keeps: 224 of 256 (He et al., 2015, section 3.4), at any size.
CROP = 0.875
# An image that is so few pixels smaller is framed, not enlarged: 28 x 28 digits and garments stay as sharp as they are at 32.
BORDER = 4
# By how much libjpeg's own scaling (in the DCT) may make an image smaller, and how many times larger than wanted a window has to
# be behind it: at twice or more, the pixels of the resized crop differ by half a level in the mean (12 megapixels, at a quarter).
SCALES = (8, 4, 2)
GAP = 2
# From so many pixels on a window is decoded alone: 1632 x 1224 is read 1.1 times as fast by windows, 4032 x 3024 1.4 times; below
# that finding the window costs more than decoding the rest (experiments/results/speed.md).
LARGE = 1_000_000

# Nothing here is Python control flow on tensors: AutoGraph would only make tracing slow.
_as_written = tf.autograph.experimental.do_not_convert

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 33  # signature and the whole of IHDR, which always comes first
# Four channels are ink. Most writers invert it and say so in a segment of Adobe's; Pillow inverts always. libjpeg heeds the
# last such segment, so that one put in front speaks only where there is no other.
_ADOBE = b"\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


@_as_written
def read(path):
    """A file's encoded image, as JPEG or PNG: scalar string (the path) -> scalar string.

    JPEG and PNG are returned untouched. Others go through Pillow and come back as RGB PNG, upright, the first frame, alpha over
    white; so do PNGs that keep their orientation in a text chunk. Errors are raised when the tensor is computed.
    """
    data = tf.io.read_file(path)
    native = tf.cond(_starts(data, _PNG), lambda: _is_plain_png(data), lambda: _starts(data, _JPEG))
    return tf.cond(native, lambda: data, lambda: tf.ensure_shape(tf.numpy_function(_transcode, [data], tf.string), []))


@_as_written
def decode(image_bytes):
    """JPEG or PNG bytes (scalar string) -> uint8 [height, width, 3], upright RGB.

    The format is told by the first bytes. Other formats, more than `MAX_PIXELS` pixels and damaged data are an
    InvalidArgumentError when the tensor is computed; the size is checked before anything is decoded.
    """
    jpeg = _starts(image_bytes, _JPEG)
    image = tf.cond(jpeg, lambda: _decode_jpeg(image_bytes), lambda: _decode_png(image_bytes))
    return tf.ensure_shape(image, [None, None, 3])


@_as_written
def window(image_bytes, place, size: int, large: int = LARGE):
    """A part of an upright image, for training, where it costs less than the whole.

    Of a large JPEG only that part is decoded, and smaller by 2, 4 or 8 where it stays `GAP` times `size` or more on both sides.
    Damage outside it is not seen then. Anything else is decoded as by `decode`, then cut.

    Args:
        image_bytes: JPEG or PNG bytes, scalar string.
        place: Function of the upright image's height and width, int32 [] each, that gives the window in its pixels: int32 []
            top, left, height and width.
        size: Height and width that the window will be resized to.
        large: From so many pixels on a JPEG is large.

    Returns:
        uint8 [height, width, 3].
    """

    def whole():
        image = decode(image_bytes)
        top, left, height, width = place(tf.shape(image)[0], tf.shape(image)[1])
        return image[top : top + height, left : left + width]

    # One branch for all that is decoded whole: what is not taken costs too, by its number of ops.
    shape = tf.cond(
        _starts(image_bytes, _JPEG), lambda: tf.io.extract_jpeg_shape(image_bytes), lambda: tf.zeros(3, tf.int32)
    )
    alone = _is_usual(shape) & (tf.reduce_prod(tf.cast(shape[:2], tf.int64)) >= large)
    part = tf.cond(alone, lambda: _jpeg_window(image_bytes, shape, place, size), whole)
    return tf.ensure_shape(part, [None, None, 3])


@_as_written
def resize(images, size: int, mode: Mode):
    """Resize to a square, antialiased (triangle filter), in one op.

    Args:
        images: [height, width, 3] or [batch, height, width, 3] of any size from 1 x 1, uint8 or float in 0-255.
        size: Height and width of the result.
        mode: `crop`: the shorter side to size / 0.875, then the centre; `pad`: the longer side to `size`, black borders;
            `squash`: both sides to `size`, but an image that is at most `BORDER` pixels smaller gets a black border.

    Returns:
        uint8 [size, size, 3] or [batch, size, size, 3], rounded.
    """
    images = tf.convert_to_tensor(images)
    single = images.shape.rank == 3
    images = images[None] if single else images
    scale, offset = _placement(tf.shape(images)[1:3], size, mode)
    images = tf.raw_ops.ScaleAndTranslate(
        images=images, size=[size, size], scale=scale, translation=offset, kernel_type="triangle", antialias=True
    )
    images = tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)
    return tf.ensure_shape(images[0] if single else images, [size, size, 3] if single else [None, size, size, 3])


@_as_written
def preprocess(image_bytes, size: int, mode: Mode):
    """JPEG or PNG bytes (scalar string) -> uint8 [size, size, 3]: what a model sees. See `decode` and `resize`."""
    return resize(decode(image_bytes), size, mode)


def problem(path: str | os.PathLike[str]) -> str | None:
    """Why an image file cannot be used, found by decoding it; None where it can."""
    found = probe(path).problem
    if found is not None:
        return found
    try:
        decode(read(os.fsencode(path)))
    except tf.errors.OpError as error:
        # TensorFlow's message between the names of its node and of its op.
        return " ".join(re.sub(r"\{\{.*?\}\}+|\[Op:\w*\].*", "", error.message, flags=re.DOTALL).split())
    except ValueError as error:  # from Pillow, which runs within `read`
        return str(error)
    return None


def _is_plain_png(data):
    return ~tf.reduce_any([orientation.contains(data, text) for text in PNG_TEXT_ORIENTATION])


def _transcode(data):
    return transcode(data if isinstance(data, bytes) else data.item())  # eager TensorFlow hands over a 0-d array


def _starts(data, magic: bytes):
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def _decode_jpeg(data):
    shape = tf.io.extract_jpeg_shape(data)
    # The usual image meets few ops beside the decoder: the rest waits in branches that are not taken.
    image = tf.cond(_is_usual(shape), lambda: _jpeg_pixels(data), lambda: _unusual_jpeg(data, shape))
    return orientation.upright_jpeg(image, data)


def _is_usual(shape):
    return _bounded(shape[0], shape[1]) & tf.not_equal(shape[2], 4)


def _jpeg_window(data, shape, place, size: int):
    turn = orientation.of_jpeg(data)
    height, width = orientation.upright_shape(shape[0], shape[1], turn)
    stored = tf.stack(orientation.stored_window(place(height, width), height, width, turn))
    room = tf.reduce_min(stored[2:]) // (GAP * size)
    # How many of the scales are too small: the place of the one to take, or behind the last of the whole size.
    branch = tf.reduce_sum(tf.cast(tf.constant(SCALES) > room, tf.int32))
    pixels = tf.switch_case(branch, [lambda scale=scale: _scaled_window(data, stored, scale) for scale in (*SCALES, 1)])
    return orientation.turned(pixels, turn)


def _scaled_window(data, stored, scale: int):
    # Rounded down, at least a pixel: within the image, which libjpeg rounds up.
    return tf.io.decode_and_crop_jpeg(
        data, tf.maximum(stored // scale, [0, 0, 1, 1]), channels=3, ratio=scale, dct_method="INTEGER_ACCURATE"
    )


def _jpeg_pixels(data):
    # Pillow's algorithm; TensorFlow's default DCT is another and, on a current libjpeg-turbo, no faster.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _unusual_jpeg(data, shape):
    with tf.control_dependencies([_assert_bounded(shape[0], shape[1])]):
        return _jpeg_pixels(tf.strings.join([_ADOBE, tf.strings.substr(data, 2, tf.strings.length(data))]))


def _decode_png(data):
    whole = tf.strings.length(data) > _PNG_HEADER
    known = tf.debugging.Assert(_starts(data, _PNG) & whole, ["expected the bytes of a JPEG or PNG image"])
    with tf.control_dependencies([known]):
        # Width and height of four bytes each, bit depth, colour type.
        header = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 16, 10), tf.uint8), tf.int64)
    width, height = (tf.reduce_sum(header[i : i + 4] * [1 << 24, 1 << 16, 1 << 8, 1]) for i in (0, 4))
    deep, transparent = tf.equal(header[8], 16), (header[9] >= 4) | orientation.contains(data, b"tRNS")
    with tf.control_dependencies([_assert_bounded(height, width)]):
        image = tf.cond(
            deep | transparent,
            lambda: _over_white(_eight_bit_rgba(data, deep)),
            lambda: tf.io.decode_png(data, channels=3),
        )
    return orientation.upright_png(image, data)


def _bounded(height, width):
    return tf.cast(height, tf.int64) * tf.cast(width, tf.int64) <= MAX_PIXELS


def _assert_bounded(height, width):
    limit = f"an image may have {MAX_PIXELS} pixels; this one's height and width:"
    return tf.debugging.Assert(_bounded(height, width), [limit, height, width])


def _eight_bit_rgba(data, deep):
    """uint8 [height, width, 4]; 16 bit is divided by 257 and rounded, where the decoder itself would cut the lower byte off."""

    def scaled():
        return tf.cast((tf.cast(tf.io.decode_png(data, channels=4, dtype=tf.uint16), tf.int32) + 128) // 257, tf.uint8)

    return tf.cond(deep, scaled, lambda: tf.io.decode_png(data, channels=4))


def _over_white(rgba):
    """uint8 [height, width, 4] -> uint8 [height, width, 3], to the nearest level."""
    rgba = tf.cast(rgba, tf.int32)
    color, alpha = rgba[..., :3], rgba[..., 3:]
    return tf.cast((color * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _placement(shape, size: int, mode: Mode):
    """Scale and offset, [2] float32 each, that put an image of `shape` (height, width) onto the square."""
    shape = tf.cast(shape, tf.int64)
    if mode == "crop":
        target = _scaled(shape, round(size / CROP), tf.reduce_min(shape))
    elif mode == "pad":
        target = _scaled(shape, size, tf.reduce_max(shape))
    elif mode == "squash":
        near = tf.reduce_all((shape <= size) & (shape >= size - BORDER))
        target = tf.where(near, shape, [size, size])
    else:
        raise ValueError(f"expected crop, pad or squash as the resize mode, got {mode!r}")
    # Whole pixels, so that the result is a resized image cut or framed, to the last level.
    offset = tf.where(target > size, -((target - size) // 2), (size - target) // 2)
    return tf.cast(target, tf.float32) / tf.cast(shape, tf.float32), tf.cast(offset, tf.float32)


def _scaled(shape, wanted: int, side):
    """`shape` times wanted / side, in whole pixels, at least one."""
    return tf.maximum((2 * shape * wanted + side) // (2 * side), 1)
