"""Random erasing: where, how large, and with what."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config.augment_notation import parse
from kerascnn.data import erasing

SIZE, COUNT = 40, 300
U = tf.constant(np.random.default_rng(0).random((COUNT, erasing.DRAWS)), tf.float32)
FLAT = tf.fill([COUNT, SIZE, SIZE, 3], tf.constant(7, tf.uint8))


@pytest.fixture(scope="module")
def erased():
    kinds = {kind: parse(f"erase-{kind}-p1") for kind in ("const", "rand", "pixel")}
    run = tf.function(lambda: {kind: erasing.erase(FLAT, U, one) for kind, one in kinds.items()}, autograph=False)
    return {kind: out.numpy() for kind, out in run().items()}


def parts(images):
    """The erased pixels of each image, [n, 3]; each is a rectangle of one to a third of the image."""
    for image in images:
        rows, columns = np.nonzero((image != 7).any(-1))
        yield image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def test_a_rectangle_within_its_bounds_is_erased(erased):
    areas, aspects = [], []
    for part in parts(erased["const"]):
        assert (part == [124, 116, 104]).all()
        areas.append(part.shape[0] * part.shape[1] / SIZE**2)
        aspects.append(part.shape[0] / part.shape[1])
    assert 0.01 < min(areas) < 0.04
    assert 0.3 < max(areas) < 0.36
    assert 0.2 < min(aspects) < 0.5
    assert 2 < max(aspects) < 4.5


def test_one_random_color_or_noise(erased):
    colors = np.stack([part[0, 0] for part in parts(erased["rand"])]).astype(float)
    assert abs(colors.mean(0) - [123.7, 116.3, 103.5]).max() < 12
    assert all((part == part[0, 0]).all() for part in parts(erased["rand"]))
    pixels = np.concatenate([part.reshape(-1, 3) for part in parts(erased["pixel"])]).astype(float)
    assert abs(pixels.mean(0) - [123.7, 116.3, 103.5]).max() < 3
    assert abs(pixels.std(0) - 55).max() < 4


def test_each_image_has_its_own_noise(erased):
    first, second = (erased["pixel"][i].reshape(-1, 3) for i in (0, 1))
    both = (first != 7).any(1) & (second != 7).any(1)
    assert (first[both] != second[both]).any()


def test_a_quarter_is_erased_by_default():
    height = erasing.rectangles(U, SIZE, parse("erase")).height.numpy()
    assert (height > 0).mean() == pytest.approx(0.25, abs=0.08)
    assert erasing.rectangles(U, SIZE, parse("erase-p0")).told() == ["nothing"] * COUNT
