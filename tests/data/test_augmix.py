"""AugMix and perspective: draws, weights and pixels."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerascnn.config.augment_notation import parse
from kerascnn.data import augmix, perspective
from kerascnn.data.operations import NAMES, NUMBERS

SIZE = 24
WRITTEN = parse("augmix")


def uniform(count, columns):
    return tf.constant(np.random.default_rng(0).random((count, columns)), tf.float32)


def test_chains_have_one_to_three_operations_of_timm_s_thirteen():
    steps = augmix.steps(uniform(4000, augmix.draws(WRITTEN)), SIZE, WRITTEN)
    number = steps.operation.numpy().reshape(4000, 3, 3)
    depth = (number > 0).sum(-1)
    assert [(depth == d).mean() for d in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.02)
    assert ((number > 0) == (np.arange(3) < depth[..., None])).all()
    used = {NAMES[i] for i in np.unique(number)} - {"identity"}
    assert len(used) == 13
    assert "invert" not in used
    turned = abs(steps.argument.numpy()[steps.operation.numpy() == NUMBERS["rotate"]])
    assert turned.max() <= 9  # magnitude 3 of 10, of 30 degrees
    assert turned.mean() == pytest.approx(4.5, abs=0.3)


def test_weights_are_uniform_on_the_simplex():
    weights, part = augmix.shares(uniform(4000, augmix.draws(WRITTEN)), WRITTEN)
    np.testing.assert_allclose(weights.numpy().sum(1), 1, rtol=1e-5)
    assert weights.numpy().mean(0) == pytest.approx([1 / 3] * 3, abs=0.02)
    assert weights.numpy().var() == pytest.approx(1 / 18, abs=0.005)
    assert part.numpy().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
def test_a_mixture_without_a_part_is_the_image_and_flat_stays_flat():
    images = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype="uint8")
    images[3] = 90
    u = uniform(4, augmix.draws(WRITTEN)).numpy()
    u[0, -1] = 0
    out = tf.function(lambda: augmix.mix(tf.constant(images), tf.constant(u), WRITTEN), autograph=False)().numpy()
    np.testing.assert_array_equal(out[0], images[0])
    assert (out[1] != images[1]).any()
    assert out.dtype == np.uint8


def test_perspective_is_pillow_s_and_corners_meet():
    """Within a level, but for pixels that lie on the edge, which rounding takes or leaves."""
    written = parse("perspective-p1")
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype="uint8")
    u = uniform(5, perspective.DRAWS)
    ends = perspective.corners(u, SIZE, written)
    eight = perspective.numbers(ends, SIZE).numpy()
    off = []
    square = [(0, 0), (SIZE - 1, 0), (SIZE - 1, SIZE - 1), (0, SIZE - 1)]
    run = tf.function(lambda: perspective.perspective(tf.stack([image] * 5), u, written), autograph=False)
    for (a, b, c, d, e, f, g, h), end, out in zip(eight, ends.numpy(), run().numpy(), strict=True):
        for (x, y), (left, top) in zip(end, square, strict=True):
            below = g * x + h * y + 1
            assert ((a * x + b * y + c) / below, (d * x + e * y + f) / below) == pytest.approx((left, top), abs=1e-6)
        theirs = Image.fromarray(image).transform(
            (SIZE, SIZE), Image.Transform.PERSPECTIVE, (a, b, c, d, e, f, g, h), Image.Resampling.BILINEAR
        )
        off.append(abs(out.astype(int) - np.asarray(theirs).astype(int)) > 1)
    assert np.mean(off) < 0.05
