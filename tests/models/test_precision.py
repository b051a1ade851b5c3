"""The float32 twin of a mixed-precision network, also of one that was trained on replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import layers, models

pytestmark = pytest.mark.training

TINY = {"width": 0.5, "drop_path": 0.2}


def pixels(count):
    return np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3)).astype("float32")


def assert_float32_copy(twin, network):
    for mine, theirs in zip(twin.weights, network.weights, strict=True):
        assert mine.name == theirs.name
        np.testing.assert_array_equal(mine.numpy(), keras.ops.convert_to_numpy(theirs))
    computing = [layer for layer in twin._flatten_layers() if not isinstance(layer, keras.layers.InputLayer)]
    assert {layer.dtype_policy.name for layer in computing} == {"float32"}
    assert [layer.name for layer in twin.layers] == [layer.name for layer in network.layers]


def test_twin_of_a_mixed_precision_network():
    keras.config.set_dtype_policy("mixed_bfloat16")
    network = models.build("resnet20", (16, 16, 3), 4, **TINY)
    twin = models.float32_twin(network)
    assert_float32_copy(twin, network)
    keras.config.set_dtype_policy("float32")
    plain = models.build("resnet20", (16, 16, 3), 4, **TINY)
    plain.set_weights(network.get_weights())
    x = pixels(3)
    np.testing.assert_array_equal(twin(x), plain(x))
    np.testing.assert_allclose(twin(x), network(x), rtol=0.05, atol=0.5)
    assert not np.array_equal(twin(x), network(x))
    assert network.get_layer("stage1_block1").conv1.conv.compute_dtype == "bfloat16"


def test_the_twin_of_a_compiled_network_is_not_compiled():
    network = models.build("resnet9", (16, 16, 3), 4, width=0.125)
    network.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    twin = models.float32_twin(network)
    assert network.compiled
    assert not twin.compiled
    assert twin.name == network.name


def test_twin_of_every_kind_of_block():
    keras.config.set_dtype_policy("mixed_bfloat16")
    for arch in ("inception_small", "xception", "inception_article", "resnet9"):
        network = models.build(arch, (32, 32, 3), 3, width=0.1, width_divisor=4)
        assert_float32_copy(models.float32_twin(network), network)


def test_twin_stays_in_float32_when_it_is_read_under_another_policy(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    twin = models.float32_twin(models.build("resnet20", (16, 16, 3), 4, **TINY))
    twin.save(tmp_path / "twin.keras")
    x = pixels(2)
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "twin.keras")(x), twin(x))


def test_twin_after_training_on_replicas():
    keras.config.set_dtype_policy("mixed_bfloat16")
    # Collective reductions of two strategies in one process take each other's keys ("Shape mismatch in the collective").
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        network = models.build("resnet20", (16, 16, 3), 4, **TINY)
        network.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((pixels(8), np.eye(4, dtype="float32")[[0, 1, 2, 3] * 2])).batch(8)
    network.fit(data, shuffle=False, verbose=0)
    twin = models.float32_twin(network)
    assert_float32_copy(twin, network)
    assert not any(isinstance(variable.value, tf.distribute.DistributedValues) for variable in twin.variables)
    assert isinstance(twin.get_layer("stage1_block1").conv1.bn, layers.BatchNormalization)
    np.testing.assert_allclose(twin(pixels(2)), network(pixels(2)), rtol=0.05, atol=0.5)
