"""Normalization over replicas: that of the whole batch, gradients included; moving statistics that are averaged in one sum."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Devices
from kerascnn.devices.plan import setup
from kerascnn.layers import shared_statistics
from kerascnn.layers.norm import BatchNormalization

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, (8, 5, 5, 6))
WEIGHTS = np.random.default_rng(1).normal(size=IMAGES.shape)


def network(dtype: str) -> keras.Model:
    inputs = keras.Input(IMAGES.shape[1:], dtype=dtype)
    norm = BatchNormalization(momentum=0.8, dtype=dtype, gamma_initializer=keras.initializers.Constant(1.5))
    return keras.Model(inputs, norm(inputs))


def results(devices: str, dtype: str, synchronized: bool, in_one_sum: bool = False) -> list[np.ndarray]:
    """Gradients of images, scale and offset, outputs, and moving statistics after one step over the whole batch."""
    plan = setup(Devices(devices=devices, dtype="float32"), 8)
    strategy = plan.strategy or tf.distribute.get_strategy()
    with plan.scope():
        model = network(dtype)
    if synchronized:
        shared_statistics.over_replicas(model)

    def step(data):
        x, weights = data
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = model(x, training=True)
            loss = tf.reduce_sum(tf.square(y) * weights)
        to_x, *others = tape.gradient(loss, [x, *model.trainable_variables])
        context = tf.distribute.get_replica_context()
        return y, to_x, *context.all_reduce(tf.distribute.ReduceOp.SUM, others)

    run = shared_statistics.in_one_sum(step) if in_one_sum else step
    rows = 8 // plan.replicas

    def part(values):
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(values[context.replica_id_in_sync_group * rows :][:rows], dtype)
        )

    found = tf.function(lambda *data: strategy.run(run, (data,)), autograph=False)(part(IMAGES), part(WEIGHTS))
    local = [strategy.experimental_local_results(value) for value in found]
    whole = [np.concatenate([v.numpy() for v in values]) for values in local[:2]]
    moving = [value.numpy() for variable in model.non_trainable_variables for value in _copies(variable)]
    return [*whole, *(values[0].numpy() for values in local[2:]), *moving[:: len(moving) // 2], *moving]


def _copies(variable):
    return getattr(variable.value, "values", [variable.value])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-4)])
def test_replicas_normalize_as_one_device_does(dtype, tolerance):
    one = results("cpu", dtype, synchronized=False)
    for in_one_sum in (False, True):
        two = results("cpu:2", dtype, synchronized=True, in_one_sum=in_one_sum)
        for value, expected in zip(two[:6], one[:6], strict=True):
            np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)
    apart = results("cpu:2", dtype, synchronized=False)
    assert abs(apart[0] - one[0]).max() > 1e-2, "without it each replica normalizes its own part"


def test_statistics_in_one_sum_are_the_means_of_the_replicas():
    each, together = (results("cpu:2", "float32", False, in_one_sum) for in_one_sum in (False, True))
    for value, expected in zip(together, each, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)
    first, second, *_ = together[6:]
    np.testing.assert_array_equal(first, second)


def test_it_is_no_part_of_a_file(tmp_path):
    model = network("float32")
    shared_statistics.over_replicas(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not loaded.layers[-1].over_replicas
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
