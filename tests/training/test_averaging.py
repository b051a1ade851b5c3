"""Means of weights, and statistics of normalizations computed again."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.layers import BatchNormalization
from kerascnn.training import averaging


def test_the_mean_is_exact_and_counts_stay() -> None:
    members = [[np.full(2, value, "float32"), np.array([7, 1], "uint32")] for value in (1.0, 2.0, 6.0)]
    mean, count = averaging.mean_of(members)
    np.testing.assert_array_equal(mean, np.full(2, 3, "float32"))
    assert mean.dtype == "float32"
    np.testing.assert_array_equal(count, [7, 1])


@pytest.mark.parametrize("kind", [BatchNormalization, keras.layers.BatchNormalization])
def test_statistics_are_means_over_the_batches(kind: type[keras.layers.Layer]) -> None:
    norm = kind(momentum=0.9, name="norm")
    frozen = kind(name="frozen")
    network = keras.Sequential([keras.Input((2, 2, 3)), frozen, norm])
    frozen.trainable = False
    images = np.random.default_rng(0).normal(2.0, 3.0, size=(12, 2, 2, 3)).astype("float32")
    assert averaging.renormalize(network, tf.data.Dataset.from_tensor_slices((images, images)).batch(4)) == 1
    batches = images.reshape(3, -1, 3) / np.sqrt(1 + norm.epsilon)
    np.testing.assert_allclose(norm.moving_mean, batches.mean(1).mean(0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, batches.var(1).mean(0), rtol=1e-3)
    np.testing.assert_array_equal(frozen.moving_mean, np.zeros(3))
    assert norm.momentum == 0.9


@pytest.mark.parametrize(("epochs", "expected"), [(5, [4, 5]), (None, [4, 5]), (9, [])])
def test_the_last_epochs_are_kept(tmp_path: Path, epochs: int | None, expected: list[int]) -> None:
    last = averaging.LastEpochs(tmp_path, 2, epochs)
    for epoch in range(1, 6):
        last.keep(epoch, lambda epoch=epoch: [np.full(3, epoch, "float32")])
        if epoch == 4:  # a kill before the checkpoint, and the same epoch again
            last.keep(epoch, lambda epoch=epoch: [np.full(3, epoch, "float32")])
    assert last.kept() == expected
    if expected:
        np.testing.assert_array_equal(last.mean()[0], np.full(3, 4.5, "float32"))
    last.drop()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fit", [{"average_last": 1}, {"average_last": 4, "epochs": 3}])
def test_more_epochs_than_there_are_cannot_be_averaged(fit: dict) -> None:
    with pytest.raises(UserError, match="average-last: expected 2 to all epochs"):
        Config(fit=fit)
