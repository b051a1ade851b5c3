"""Muon: how far it moves a kernel, and what it leaves to AdamW."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Optim
from kerascnn.training import optim


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (1, 1, 8, 32)])
@pytest.mark.parametrize("gpus", [0, 1])
def test_muon_moves_a_kernel_by_the_rate_in_every_direction(
    shape: tuple[int, ...], gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's singular values are about the rate, its singular vectors the gradient's, and Keras' form gives the same."""
    gradient = np.random.default_rng(0).normal(size=shape).astype("float32")
    kernel = keras.Variable(np.zeros(shape, "float32"), name="kernel")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [None] * gpus)
    section = Optim(optimizer="muon", lr=0.1, momentum=0, weight_decay=0, warmup=0, schedule="constant")
    optimizer = optim.build(section, total_steps=10, steps_per_epoch=10, trainable=[kernel])
    optimizer.apply([gradient], [kernel])
    matrix = gradient.reshape(-1, shape[-1])
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    step = left.T @ -kernel.numpy().reshape(matrix.shape) @ right.T
    widening = max(1.0, shape[-1] / len(matrix)) ** 0.5
    assert np.diag(step) == pytest.approx(np.full(len(step), 0.1 * widening), rel=0.35)
    assert np.abs(step - np.diag(np.diag(step))).max() < 1e-3
    keras_form = keras.optimizers.Muon.zeropower_via_newtonschulz5(optimizer, tf.constant(matrix), 5)
    np.testing.assert_allclose(-kernel.numpy().reshape(matrix.shape), 0.1 * widening * keras_form, atol=1e-4)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (3, 3, 8, 1)])
def test_muon_leaves_all_but_kernels_that_mix_channels_to_adamw(shape: tuple[int, ...]) -> None:
    variables = {name: [keras.Variable(np.ones(shape, "float32"), name="kernel")] for name in ("muon", "adamw")}
    for name, rate in (("muon", 0.1), ("adamw", 0.1 * optim.ADAM_RATIO)):
        section = Optim(optimizer=name, lr=rate, weight_decay=0, warmup=0, schedule="constant")
        optimizer = optim.build(section, total_steps=10, steps_per_epoch=10, trainable=variables[name])
        for seed in range(3):
            optimizer.apply([np.random.default_rng(seed).normal(size=shape).astype("float32")], variables[name])
    np.testing.assert_allclose(variables["muon"][0].numpy(), variables["adamw"][0].numpy(), rtol=1e-5)
    assert np.abs(variables["muon"][0].numpy() - 1).max() > 1e-3
