"""Adaptive clipping, by the norm of each filter."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Optim
from kerascnn.training import optim, updating


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3,), (0,)), ((4, 3), (0,)), ((3, 3, 2, 4), (0, 1, 2)), ((3, 3, 4, 1), (0, 1))],
)
def test_adaptive_clipping_bounds_each_filter_by_its_own_norm(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    weights, gradient = (rng.normal(size=shape).astype("float32") for _ in range(2))

    def norm(values):
        return np.sqrt(np.sum(values**2, axis=axes, keepdims=True))

    clipped = np.array(updating.adaptively_clipped(tf.constant(gradient), keras.Variable(weights), 0.1))
    np.testing.assert_allclose(norm(clipped), 0.1 * norm(weights), rtol=1e-4)
    np.testing.assert_allclose(clipped / norm(clipped), gradient / norm(gradient), rtol=1e-4)
    free = np.array(updating.adaptively_clipped(tf.constant(gradient), keras.Variable(weights), 1e3))
    np.testing.assert_array_equal(free, gradient)


def test_the_head_is_not_clipped_adaptively() -> None:
    body, head = (keras.Variable(np.ones((4, 3), "float32"), name="kernel") for _ in range(2))
    section = Optim(optimizer="sgd", lr=1.0, momentum=0, weight_decay=0, warmup=0, schedule="constant", clip_agc=0.1)
    built = optim.build(section, total_steps=9, steps_per_epoch=9, trainable=[body, head], head=[head])
    built.apply([np.ones((4, 3), "float32")] * 2, [body, head])
    np.testing.assert_allclose(body.numpy(), 0.9, rtol=1e-5)
    np.testing.assert_array_equal(head.numpy(), 0)
