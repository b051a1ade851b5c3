"""Gradient checkpointing changes no number."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models
from kerascnn.errors import UserError
from kerascnn.training import remat, sharpness

RNG = np.random.default_rng(0)
IMAGES, TARGETS = RNG.integers(0, 255, (8, 32, 32, 3)).astype("uint8"), np.eye(4, dtype="float32")[np.arange(8) % 4]


def trained(again: bool, replicas: int = 1, policy: str = "float32", sam: bool = False) -> list[np.ndarray]:
    """All variables after two steps, with drop path and dropout."""
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope() if replicas > 1 else contextlib.nullcontext():
        model = models.build("resnet20", (32, 32, 3), 4, blocks=(1, 1, 1), width=0.25, drop_path=0.5, dropout=0.3)
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=False)
    step = sharpness.train_step(model, 0.1, adaptive=False) if sam else model.train_step
    model.train_step = remat.train_step(model, step) if again else step
    batches = tf.data.Dataset.from_tensors((IMAGES, TARGETS)).repeat()
    model.fit(batches, steps_per_epoch=2, verbose=0, shuffle=False)
    return [keras.ops.convert_to_numpy(variable.value) for variable in model.variables]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"replicas": 2}, marks=pytest.mark.slow),
        pytest.param({"policy": "mixed_bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"sam": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_weights_statistics_and_seeds_are_as_without(options: dict) -> None:
    for plain, again in zip(trained(False, **options), trained(True, **options), strict=True):
        tolerance = 2e-2 if options.get("policy") else 1e-5
        np.testing.assert_allclose(again, plain, rtol=tolerance, atol=tolerance)


def test_a_network_without_blocks_is_refused() -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(UserError, match=r"--remat: .* has no blocks"):
        remat.blocks_of(network)
