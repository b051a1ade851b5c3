"""Operations on one image against Pillow's: tone and nearest to the pixel, the smooth ones to a level, blurs to three."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from kerascnn.data import moves, operations, tones
from kerascnn.data.operations import MEAN_COLOR, OPERATIONS, Steps

FILTERS = [Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC]


def images(sides=((37, 23), (32, 32))):
    """Noise, a smooth picture of few levels and a flat one, uint8 [height, width, 3]."""
    rng = np.random.default_rng(0)
    for height, width in sides:
        yield rng.integers(0, 256, (height, width, 3), dtype="uint8")
        slope = np.linspace(40, 180, height * width * 3).reshape(height, width, 3)
        yield slope.astype("uint8")
    yield np.full((32, 32, 3), 77, "uint8")


def difference(function, expected, pictures=None):
    """The largest difference in levels and the share of values that differ."""
    most, share = 0, 0.0
    for pixels in pictures or images():
        ours = function(tf.constant(pixels)).numpy().astype(int)
        theirs = np.asarray(expected(Image.fromarray(pixels))).astype(int)
        assert ours.shape == theirs.shape
        most = max(most, abs(ours - theirs).max())
        share = max(share, (ours != theirs).mean())
    return most, share


def solarized_add(image, more):
    return image.point([min(255, level + more) if level < 128 else level for level in range(256)] * 3)


TONES = {
    "autocontrast": [(tones.autocontrast, ImageOps.autocontrast)],
    "equalize": [(tones.equalize, ImageOps.equalize)],
    "invert": [(tones.invert, ImageOps.invert)],
    "posterize": [
        (lambda x, bits=bits: tones.posterize(x, bits), lambda i, bits=bits: ImageOps.posterize(i, bits))
        for bits in range(1, 9)
    ],
    "solarize": [
        (lambda x, at=at: tones.solarize(x, at), lambda i, at=at: ImageOps.solarize(i, at))
        for at in (0.0, 26.0, 128.0, 229.5, 255.0, 256.0)
    ],
    "solarize_add": [
        (lambda x, more=more: tones.solarize_add(x, more), lambda i, more=more: solarized_add(i, more))
        for more in (0, 11, 110, 128)
    ],
    **{
        name: [
            (
                lambda x, function=function, factor=factor: function(x, tf.constant(factor)),
                lambda i, kind=kind, factor=factor: kind(i).enhance(factor),
            )
            for factor in (0.0, 0.1, 0.64, 1.0, 1.45, 1.99)
        ]
        for name, function, kind in (
            ("color", tones.color, ImageEnhance.Color),
            ("contrast", tones.contrast, ImageEnhance.Contrast),
            ("brightness", tones.brightness, ImageEnhance.Brightness),
            ("sharpness", tones.sharpness, ImageEnhance.Sharpness),
        )
    },
}


@pytest.mark.parametrize("name", TONES)
def test_tones_are_pillow_s_to_the_pixel(name):
    for ours, theirs in TONES[name]:
        assert difference(ours, theirs) == (0, 0.0)


def test_no_bit_is_black():
    picture = next(iter(images()))
    assert not tones.posterize(tf.constant(picture), 0).numpy().any()


@pytest.mark.parametrize("sigma", [0.1, 0.67, 1.3, 2.0])
def test_a_blur_is_pillow_s_to_three_levels(sigma):
    most, _ = difference(
        lambda x: tones.blur(x, tf.constant(sigma)), lambda i: i.filter(ImageFilter.GaussianBlur(sigma))
    )
    assert most <= 3


def transformed(image, numbers, smooth):
    return image.transform(image.size, Image.Transform.AFFINE, numbers, FILTERS[smooth], fillcolor=MEAN_COLOR)


MOVES = {
    "rotate": (moves.rotate, (-30.0, 7.3, 90.0, 135.0), None),
    "shear_x": (moves.shear_x, (-0.3, 0.17, 0.99), lambda v: (1, v, 0, 0, 1, 0)),
    "shear_y": (moves.shear_y, (-0.3, 0.17, 0.99), lambda v: (1, 0, 0, v, 1, 0)),
    "translate_x": (moves.translate_x, (-14.4, 3.0, 9.7), lambda v: (1, 0, v, 0, 1, 0)),
    "translate_y": (moves.translate_y, (-14.4, 3.0, 9.7), lambda v: (1, 0, 0, 0, 1, v)),
}


@pytest.mark.parametrize("smooth", range(3), ids=("nearest", "bilinear", "bicubic"))
@pytest.mark.parametrize("name", MOVES)
def test_moves_are_pillow_s(name, smooth):
    """Nearest to the pixel; a smooth one to a level, in up to 8 % of the values of a ramp (float32, Pillow has float64)."""
    function, values, numbers = MOVES[name]
    for value in values:

        def theirs(image, value=value):
            if numbers is None:
                return image.rotate(value, FILTERS[smooth], fillcolor=MEAN_COLOR)
            return transformed(image, numbers(value), smooth)

        most, share = difference(lambda x, value=value: function(x, tf.constant(value), smooth, MEAN_COLOR), theirs)
        assert most <= min(smooth, 1)
        assert share < 0.1


def test_a_graph_computes_each_operation_by_its_number():
    """All images of a batch have another operation; each is what the operation does alone."""
    picture = tf.constant(next(iter(images(((24, 24),)))))
    batch = tf.stack([picture] * len(OPERATIONS))
    argument = tf.constant([3.0 if name == "posterize" else 0.7 for name in OPERATIONS])[:, None]
    steps = Steps(tf.range(len(OPERATIONS))[:, None], argument, tf.ones([len(OPERATIONS), 1], tf.int32))
    out = tf.function(lambda: operations.apply(batch, steps, MEAN_COLOR), autograph=False)().numpy()
    for number, function in enumerate(OPERATIONS.values()):
        expected = function(picture, argument[number, 0], 1, MEAN_COLOR).numpy()
        np.testing.assert_array_equal(out[number], expected)
    assert steps.told()[0] == "nothing"
    assert steps.told()[12] == "rotate 0.7"
