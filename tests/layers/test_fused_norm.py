"""Normalization with pixels side by side against float32 arithmetic, where neighbouring pixels are of different kinds."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.devices.kernels import onednn
from kerascnn.layers import fused_norm

EPSILON = 1e-3
pytestmark = pytest.mark.skipif(not onednn(tf.bfloat16), reason="TensorFlow's CPU kernels of bfloat16 are not oneDNN's")


def values(shape):
    """Columns of odd and even number differ in mean and spread: what is normalized by halves would show."""
    rng = np.random.default_rng(3)
    odd = (np.arange(shape[2]) % 2)[:, None]
    x = rng.normal(1 + 2 * odd, 1 + odd, shape)
    gradient = rng.normal(0.5 - odd, 1, shape) + 0.3 * x
    return (tf.cast(value, tf.bfloat16) for value in (x, gradient))


def plainly(x, scale, offset):
    mean, variance = tf.nn.moments(x, (0, 1, 2))
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, EPSILON), mean, variance


def everything(function, x, gradient, scale, offset):
    """Outputs, statistics and the three gradients."""
    with tf.GradientTape() as tape:
        tape.watch((x, scale, offset))
        outputs, mean, variance = function(x, scale, offset)
    return outputs, mean, variance, *tape.gradient(outputs, (x, scale, offset), gradient)


def assert_near(found, expected, tolerance):
    """The error's length over the value's, of each."""
    for mine, wanted in zip(found, expected, strict=True):
        mine, wanted = (tf.cast(value, tf.float32).numpy() for value in (mine, wanted))
        assert mine.shape == wanted.shape
        assert np.linalg.norm(mine - wanted) <= tolerance * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("shape", "together"),
    [
        ((4, 8, 8, 24), 2),
        ((2, 8, 8, 5), 16),
        ((4, 7, 7, 20), 4),  # the pixels of one image don't pair up, those of all do
        ((3, 6, 6, 728), 2),
        ((3, 7, 7, 24), 1),
        ((4, 8, 8, 48), 1),
    ],
)
def test_training_is_that_of_float32(shape, together):
    x, gradient = values(shape)
    scale, offset = tf.random.stateless_uniform((2, shape[-1]), (1, 2), 0.5, 2.0)
    assert fused_norm.neighbours(x) == together
    fused = tf.function(lambda *given: fused_norm.trained(*given, EPSILON))
    expected = everything(plainly, *(tf.cast(value, tf.float32) for value in (x, gradient)), scale, offset)
    found = everything(fused, x, gradient, scale, offset)
    assert (found[0].dtype, found[3].dtype) == (tf.bfloat16, tf.bfloat16)
    assert_near(found, expected, 2**-8)  # a bfloat16 rounding
    assert_near(found[1:3], expected[1:3], 1e-4)


@pytest.mark.parametrize("shape", [(4, 8, 8, 24), (4, 7, 7, 20)])
def test_given_statistics_are_those_of_each_channel(shape):
    x, _ = values(shape)
    scale, offset, mean, variance = tf.random.stateless_uniform((4, shape[-1]), (1, 2), 0.5, 2.0)
    assert fused_norm.neighbours(x) > 1
    expected = tf.nn.batch_normalization(tf.cast(x, tf.float32), mean, variance, offset, scale, EPSILON)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = fused_norm.frozen(x, scale, offset, mean, variance, EPSILON)
    slope = tf.broadcast_to(scale * tf.math.rsqrt(variance + EPSILON), shape)
    assert_near([found, tape.gradient(found, x)], [expected, slope], 2**-8)


def test_what_is_not_known_while_tracing_is_normalized_as_it_is():
    seen = []
    for shape, dtype in (
        ((None, None, None, 24), tf.bfloat16),
        ((None, 7, 7, 24), tf.bfloat16),
        ((None, 8, 8, 24), tf.bfloat16),
        ((4, 8, 8, 24), tf.float32),
    ):
        spec = tf.TensorSpec(shape, dtype)
        tf.function(lambda x: seen.append(fused_norm.neighbours(x)), input_signature=[spec]).get_concrete_function()
    assert seen == [1, 1, 2, 1]
