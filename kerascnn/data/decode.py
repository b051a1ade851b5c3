"""The decode path: val, test, evaluate, predict and every export read images through these functions.

    read       a file's encoded bytes; JPEG and PNG as they are, all other formats as PNG (Pillow)
    native     the same for bytes that were read before
    decode     JPEG or PNG bytes -> uint8 RGB: EXIF orientation applied, grey and palette to RGB, alpha over white,
               16 bit by 1/257
    resize     any size -> size x size, antialiased: crop, pad or squash
    preprocess decode, then resize
    seen       the part of an image that resize keeps
    window     training's random crop: a part of what `decode` gives, large JPEGs at a half, a quarter or an eighth

All but `read` and `native` are standard TensorFlow ops, so that a SavedModel carries them. The pixels are Pillow's: the same JPEG
algorithm (integer DCT, triangle upsampling), `ImageOps.exif_transpose`, `Image.alpha_composite`; 4-channel JPEGs differ by one
level at most, and 16-bit images are rounded, which Pillow truncates.
"""

import os
import re
from collections.abc import Callable
from typing import Literal

import tensorflow as tf

from kerascnn.data import orientation
from kerascnn.data.transcode import MAX_PIXELS, PNG_TEXT_ORIENTATION, Probe, probe, probe_content, sniff, transcode

__all__ = [
    "MAX_PIXELS",
    "Mode",
    "Probe",
    "decode",
    "decode_plain",
    "native",
    "plain_format",
    "preprocess",
    "probe",
    "problem",
    "problem_of",
    "read",
    "resize",
    "seen",
    "sniff",
    "window",
]

Mode = Literal["crop", "pad", "squash"]
# Share of the shorter side that `crop` keeps: 224 / 256 (He et al., 2015, section 3.4), at any size.
CROP = 0.875
# An image that is at most this much smaller gets a border and is not enlarged: 28 x 28 digits stay sharp at 32 px.
BORDER = 4
# Scales of libjpeg (in the DCT), and how much larger than its final size a window must remain: from 2 on, the pixels of the
# resized crop differ by half a level on average (12 megapixels, at a quarter).
SCALES = (8, 4, 2)
GAP = 2
# From this number of pixels on only the window is decoded: 1.1 times as fast at 1632 x 1224, 1.4 times at 4032 x 3024. For
# smaller images, finding the window costs more than decoding the rest (experiments/results/speed.md).
LARGE = 1_000_000

# There is no Python control flow on tensors here: AutoGraph would only slow tracing down.
_as_written = tf.autograph.experimental.do_not_convert

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 33  # signature and IHDR, which is always first
# Four channels are CMYK. Most writers invert it and say so in an Adobe segment; Pillow always inverts. libjpeg uses the
# last such segment, so that one at the beginning has an effect only if there is no other.
_ADOBE = b"\xff\xd8\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


@_as_written
def read(path):
    """Reads a file as an encoded JPEG or PNG: scalar string (the path) -> scalar string.

    Errors are raised when the tensor is computed. See `native`.
    """
    return native(tf.io.read_file(path))


@_as_written
def native(data):
    """Turns the bytes of an image file into an encoded JPEG or PNG: scalar string -> scalar string.

    JPEG and PNG are returned unchanged. Other formats, and PNGs with their orientation in a text chunk, are converted by
    Pillow to RGB PNG: upright, the first frame or page, 8 bits, alpha over white. Errors are raised when the tensor is
    computed.
    """
    as_it_is = tf.cond(_starts(data, _PNG), lambda: _is_plain_png(data), lambda: _starts(data, _JPEG))
    return tf.cond(
        as_it_is, lambda: data, lambda: tf.ensure_shape(tf.numpy_function(_transcode, [data], tf.string), [])
    )


@_as_written
def decode(image_bytes):
    """Decodes JPEG or PNG bytes (scalar string) to uint8 [height, width, 3], upright RGB.

    The first bytes determine the format. Other formats, more than `MAX_PIXELS` pixels and damaged data raise
    InvalidArgumentError when the tensor is computed; the size is checked before decoding.
    """
    jpeg = _starts(image_bytes, _JPEG)
    image = tf.cond(jpeg, lambda: _decode_jpeg(image_bytes), lambda: _decode_png(image_bytes))
    return tf.ensure_shape(image, [None, None, 3])


@_as_written
def window(image_bytes, place, size: int, large: int = LARGE):
    """Decodes a part of an upright image, for training, at less cost than the whole image.

    Of a large JPEG only that part is decoded, scaled down by 2, 4 or 8 as long as both sides stay `GAP` times `size` or more.
    Damage outside of the part is not noticed. Other images are decoded by `decode`, then cropped.

    Args:
        image_bytes: JPEG or PNG bytes, scalar string.
        place: Function of the upright image's height and width, int32 [] each, that returns the window in its pixels: int32
            [] top, left, height and width.
        size: Height and width to which the window will be resized.
        large: Number of pixels from which a JPEG is large.

    Returns:
        uint8 [height, width, 3].
    """

    def whole():
        image = decode(image_bytes)
        top, left, height, width = place(tf.shape(image)[0], tf.shape(image)[1])
        return image[top : top + height, left : left + width]

    # One branch for all images that are decoded as a whole: branches that are not taken also cost time, by their number of ops.
    shape = tf.cond(
        _starts(image_bytes, _JPEG), lambda: tf.io.extract_jpeg_shape(image_bytes), lambda: tf.zeros(3, tf.int32)
    )
    alone = _is_usual(shape) & (tf.reduce_prod(tf.cast(shape[:2], tf.int64)) >= large)
    part = tf.cond(alone, lambda: _jpeg_window(image_bytes, shape, place, size), whole)
    return tf.ensure_shape(part, [None, None, 3])


@_as_written
def resize(images, size: int, mode: Mode, kernel: Literal["triangle", "keyscubic"] = "triangle"):
    """Resizes to a square, antialiased, in one op.

    Args:
        images: [height, width, 3] or [batch, height, width, 3] of any size from 1 x 1, uint8 or float in 0-255.
        size: Height and width of the result.
        mode: `crop`: the shorter side to size / 0.875, then the center; `pad`: the longer side to `size`, black borders;
            `squash`: both sides to `size`, but an image that is at most `BORDER` pixels smaller gets a black border.
        kernel: The filter: `triangle` is bilinear, `keyscubic` bicubic.

    Returns:
        uint8 [size, size, 3] or [batch, size, size, 3], rounded.
    """
    images = tf.convert_to_tensor(images)
    single = images.shape.rank == 3
    images = images[None] if single else images
    scale, offset = _placement(tf.shape(images)[1:3], size, mode)
    images = tf.raw_ops.ScaleAndTranslate(
        images=images, size=[size, size], scale=scale, translation=offset, kernel_type=kernel, antialias=True
    )
    images = tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)
    return tf.ensure_shape(images[0] if single else images, [size, size, 3] if single else [None, size, size, 3])


def seen(height: int, width: int, size: int, mode: Mode) -> tuple[float, float, float, float]:
    """Returns the part of an upright image that `resize` maps to its square, as shares of the image's sides.

    Returns:
        left, top, width and height: 0, 0, 1 and 1 for the whole image; with a border the part is larger than the image, and
        begins below 0.
    """
    scale, offset = (value.numpy().tolist() for value in _placement(tf.constant([height, width]), size, mode))
    (top, tall), (left, wide) = (
        (-begin / (side * share), size / (side * share))
        for side, share, begin in zip((height, width), scale, offset, strict=True)
    )
    return left, top, wide, tall


@_as_written
def preprocess(image_bytes, size: int, mode: Mode):
    """Turns JPEG or PNG bytes (scalar string) into the input of a model, uint8 [size, size, 3]. See `decode` and `resize`."""
    return resize(decode(image_bytes), size, mode)


def plain_format(content: bytes) -> Literal["jpeg", "png"] | None:
    """Returns the format of a file of which `decode_plain` gives the same pixels as `decode`, or None.

    It says nothing about its orientation, and a PNG has 8 bits and no transparency. Most files are such.
    """
    if content.startswith(_JPEG):
        return "jpeg" if b"\xff\xe1" not in content else None
    if not content.startswith(_PNG) or len(content) <= _PNG_HEADER or content[24] == 16 or content[25] >= 4:
        return None
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    odd = any(text in content for text in (b"tRNS", b"eXIf", *PNG_TEXT_ORIENTATION))
    return None if odd or height * width > MAX_PIXELS else "png"


@_as_written
def decode_plain(image_bytes, kind: Literal["jpeg", "png"]):
    """Decodes the bytes of a file of this `plain_format` in few ops, which is most of the time for a small image.

    Raises InvalidArgumentError when the tensor is computed for damaged data, and for what only `decode` can: a JPEG of four
    channels or of too many pixels.
    """
    if kind == "png":
        return tf.io.decode_png(image_bytes, channels=3)
    shape = tf.io.extract_jpeg_shape(image_bytes)
    with tf.control_dependencies([tf.debugging.Assert(_is_usual(shape), [shape])]):
        return _jpeg_pixels(image_bytes)


def problem(path: str | os.PathLike[str]) -> str | None:
    """Returns why an image file cannot be used, after decoding it, or None if it can."""
    return probe(path).problem or _undecodable(lambda: read(os.fsencode(path)))


def problem_of(content: bytes) -> str | None:
    """Returns why the bytes of an image file cannot be used, after decoding them, or None if they can."""
    return probe_content(content).problem or _undecodable(lambda: native(tf.constant(content)))


def _undecodable(encoded: Callable[[], tf.Tensor]) -> str | None:
    try:
        decode(encoded())
    except tf.errors.OpError as error:
        # Extracts TensorFlow's message from between the names of the node and the op.
        return " ".join(re.sub(r"\{\{.*?\}\}+|\[Op:\w*\].*", "", error.message, flags=re.DOTALL).split())
    except ValueError as error:  # from Pillow, which runs in `native`
        return str(error)
    return None


def _is_plain_png(data):
    return ~tf.reduce_any([orientation.contains(data, text) for text in PNG_TEXT_ORIENTATION])


def _transcode(data):
    return transcode(data if isinstance(data, bytes) else data.item())  # eager TensorFlow passes a 0-d array


def _starts(data, magic: bytes):
    return tf.equal(tf.strings.substr(data, 0, len(magic)), magic)


def _decode_jpeg(data):
    shape = tf.io.extract_jpeg_shape(data)
    # A usual image runs few ops besides the decoder: the others are in branches that are not taken.
    image = tf.cond(_is_usual(shape), lambda: _jpeg_pixels(data), lambda: _unusual_jpeg(data, shape))
    return orientation.upright_jpeg(image, data)


def _is_usual(shape):
    return _bounded(shape[0], shape[1]) & tf.not_equal(shape[2], 4)


def _jpeg_window(data, shape, place, size: int):
    turn = orientation.of_jpeg(data)
    height, width = orientation.upright_shape(shape[0], shape[1], turn)
    stored = tf.stack(orientation.stored_window(place(height, width), height, width, turn))
    room = tf.reduce_min(stored[2:]) // (GAP * size)
    # The number of scales that are too small is the index of the one to use; after the last one comes the full size.
    branch = tf.reduce_sum(tf.cast(tf.constant(SCALES) > room, tf.int32))
    pixels = tf.switch_case(branch, [lambda scale=scale: _scaled_window(data, stored, scale) for scale in (*SCALES, 1)])
    return orientation.turned(pixels, turn)


def _scaled_window(data, stored, scale: int):
    # Rounded down to at least one pixel, which is within the image, as libjpeg rounds up.
    return tf.io.decode_and_crop_jpeg(
        data, tf.maximum(stored // scale, [0, 0, 1, 1]), channels=3, ratio=scale, dct_method="INTEGER_ACCURATE"
    )


def _jpeg_pixels(data):
    # Pillow's algorithm; TensorFlow's default DCT differs and is not faster with a current libjpeg-turbo.
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")


def _unusual_jpeg(data, shape):
    with tf.control_dependencies([_assert_bounded(shape[0], shape[1])]):
        return _jpeg_pixels(tf.strings.join([_ADOBE, tf.strings.substr(data, 2, tf.strings.length(data))]))


def _decode_png(data):
    whole = tf.strings.length(data) > _PNG_HEADER
    known = tf.debugging.Assert(_starts(data, _PNG) & whole, ["expected the bytes of a JPEG or PNG image"])
    with tf.control_dependencies([known]):
        # Width and height of four bytes each, bit depth, color type.
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
    limit = f"an image may have {MAX_PIXELS} pixels; height and width of this one:"
    return tf.debugging.Assert(_bounded(height, width), [limit, height, width])


def _eight_bit_rgba(data, deep):
    """Decodes to uint8 [height, width, 4]; 16-bit values are divided by 257 and rounded, as the decoder would truncate them."""

    def scaled():
        return tf.cast((tf.cast(tf.io.decode_png(data, channels=4, dtype=tf.uint16), tf.int32) + 128) // 257, tf.uint8)

    return tf.cond(deep, scaled, lambda: tf.io.decode_png(data, channels=4))


def _over_white(rgba):
    """Blends uint8 [height, width, 4] over white: uint8 [height, width, 3], rounded."""
    rgba = tf.cast(rgba, tf.int32)
    color, alpha = rgba[..., :3], rgba[..., 3:]
    return tf.cast((color * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)


def _placement(shape, size: int, mode: Mode):
    """Returns scale and offset, float32 [2] each, that map an image of `shape` (height, width) to the square."""
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
    # Whole pixels, so that the result is exactly a resized image that is cropped or has a border.
    offset = tf.where(target > size, -((target - size) // 2), (size - target) // 2)
    return tf.cast(target, tf.float32) / tf.cast(shape, tf.float32), tf.cast(offset, tf.float32)


def _scaled(shape, wanted: int, side):
    """Returns `shape` * wanted / side in whole pixels, at least one."""
    return tf.maximum((2 * shape * wanted + side) // (2 * side), 1)
