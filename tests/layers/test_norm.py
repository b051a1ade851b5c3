"""The fused normalization against Keras' own, on replicas, and in weight files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import layers
from kerascnn.devices import hardware
from kerascnn.devices.kernels import onednn
from kerascnn.layers.paths import fast, stock_paths


def pair(policy="float32", **options):
    """Our layer and Keras', with the same random weights."""
    ours = layers.BatchNormalization(dtype=policy, **options)
    stock = keras.layers.BatchNormalization(dtype=policy, **options)
    rng = np.random.default_rng(0)
    for layer in (ours, stock):
        layer.build((None, None, None, 5))
    for mine, theirs in zip(ours.weights, stock.weights, strict=True):
        assert (mine.name, mine.shape, mine.dtype) == (theirs.name, theirs.shape, theirs.dtype)
        mine.assign(rng.uniform(0.5, 2, mine.shape))
        theirs.assign(mine)
    return ours, stock


def images(dtype="float32"):
    return tf.cast(np.random.default_rng(1).normal(1.5, 2, (3, 7, 6, 5)), dtype)


def run(layer, x, training):
    """Output, and gradients to the input and the weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, "float32") * tf.cast(images(), "float32") ** 2)
    return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]


def op_types(function, *args):
    return {op.type for op in tf.function(function).get_concrete_function(*args).graph.get_operations()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("options", [{}, {"scale": False, "epsilon": 1e-5}, {"center": False, "momentum": 0.9}])
def test_fused_equals_keras(training, policy, options):
    ours, stock = pair(policy, **options)
    x = images("bfloat16" if policy == "mixed_bfloat16" else "float32")
    assert "FusedBatchNormV3" in op_types(lambda x: ours(x, training=training), x)
    # Gradients cancel: their error is the bfloat16 rounding of far larger terms.
    tolerance = {"rtol": 2e-2, "atol": 0.5} if policy == "mixed_bfloat16" else {"rtol": 1e-4, "atol": 1e-4}
    for mine, theirs in zip(run(ours, x, training), run(stock, x, training), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(tf.cast(mine, "float32"), tf.cast(theirs, "float32"), **tolerance)
    for mine, theirs in zip(ours.non_trainable_variables, stock.non_trainable_variables, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)  # the biased variance: n is small enough to see it
    changed = not np.allclose(stock.moving_mean, pair(policy, **options)[1].moving_mean)
    assert changed == training


def test_frozen_layer_keeps_its_statistics():
    ours, _ = pair()
    ours.trainable = False
    before = ours.moving_variance.numpy()
    np.testing.assert_array_equal(ours(images(), training=True), ours(images(), training=False))
    np.testing.assert_array_equal(ours.moving_variance, before)


def test_one_value_per_channel_has_variance_0():
    ours, _ = pair(momentum=0.0)
    ours(images()[:1, :1, :1], training=True)
    np.testing.assert_array_equal(ours.moving_variance, np.zeros(5))


@pytest.mark.parametrize("options", [{"synchronized": True}, {"renorm": True}, {"axis": 1}])
def test_forms_that_the_fused_op_does_not_compute(options):
    layer = layers.BatchNormalization(**options)
    layer.build((3, 7, 6, 5))
    assert "FusedBatchNormV3" not in op_types(lambda x: layer(x, training=True), images())


def test_stock_paths_and_xla_take_keras_own_form():
    ours, _ = pair()
    assert fast()
    with layers.stock_paths():
        assert not fast()
        assert "FusedBatchNormV3" not in op_types(lambda x: ours(x, training=True), images())
    assert fast()
    seen = []
    for jit in (True, False):
        tf.function(lambda x: seen.append(fast()) or x, jit_compile=jit)(1.0)
    assert seen == [False, True]


class Witness(keras.layers.Layer):
    """Notes what it may trace."""

    seen: list[bool] = []  # noqa: RUF012

    def call(self, x):
        self.seen.append(fast())
        return x


@pytest.mark.parametrize("jit", [True, False])
def test_a_compiled_model_decides_for_its_layers(jit):
    witness = Witness()
    model = keras.Sequential([keras.Input((3,)), witness, keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit)
    witness.seen = []
    model.train_on_batch(np.zeros((2, 3)), np.zeros((2, 1)))
    assert set(witness.seen) == {not jit}


def test_replicas_keep_equal_statistics():
    # Collective reductions of two strategies in one process take each other's keys ("Shape mismatch in the collective").
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        inputs = keras.Input((6, 6, 5))
        x = layers.BatchNormalization(name="bn")(inputs)
        model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
        model.compile("sgd", "mse", jit_compile=False)
    data = np.random.default_rng(0).normal(size=(16, 6, 6, 5)).astype("float32")
    data[8:] += 5  # the second replica's half
    model.fit(
        tf.data.Dataset.from_tensor_slices((data, np.zeros((16, 5), "float32"))).batch(16),
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    statistics = model.get_layer("bn").non_trainable_variables
    for variable in statistics:
        first, second = (local.numpy() for local in strategy.experimental_local_results(variable.value))
        np.testing.assert_array_equal(first, second)
    mean = 0.01 * (1 + 0.99) * data.reshape(2, -1, 5).mean(1).mean(0)
    np.testing.assert_allclose(statistics[0], mean, rtol=1e-4)


def test_weight_files_interchange_with_stock_layers(tmp_path):
    def model(source):
        inputs = keras.Input((8, 8, 3))
        x = source.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
        x = source.BatchNormalization()(x)
        x = source.Conv2D(4, 1)(x)
        return keras.Model(inputs, source.BatchNormalization()(x))

    ours, stock = model(layers), model(keras.layers)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    for source, target in ((ours, stock), (stock, ours)):
        for weight in source.weights:
            weight.assign(np.random.default_rng(2).uniform(0.5, 1.5, weight.shape))
        source.save_weights(tmp_path / "some.weights.h5")
        target.load_weights(tmp_path / "some.weights.h5")
        np.testing.assert_allclose(source(x), target(x), rtol=1e-4, atol=1e-5)
        for weight in target.weights:
            weight.assign(weight * 0)


def ops(layer, batch):
    graph = tf.function(lambda x: layer(x, training=False)).get_concrete_function(tf.TensorSpec((batch, 5, 5, 3))).graph
    return [op.type for op in graph.get_operations()]


@pytest.mark.parametrize(
    ("batch", "isa", "fused"),
    [(1, "avx2", False), (None, "avx2", False), (2, "avx2", True), (1, "avx512_bf16", True), (None, "avx512bw", True)],
)
@pytest.mark.skipif(not onednn(), reason="TensorFlow's CPU kernels are not oneDNN's")
def test_a_single_image_is_not_fused_where_that_takes_ten_times_as_long(monkeypatch, batch, isa, fused):
    monkeypatch.setattr(hardware, "isa", lambda *_: isa)
    layer = layers.BatchNormalization()
    layer.build((None, 5, 5, 3))
    layer.set_weights([*np.random.default_rng(0).uniform(0.5, 2.0, (4, 3))])
    assert ("FusedBatchNormV3" in ops(layer, batch)) == fused
    images = np.random.default_rng(1).normal(size=(batch or 4, 5, 5, 3)).astype("float32")
    with stock_paths():
        expected = layer(images, training=False)
    np.testing.assert_allclose(layer(images, training=False), expected, rtol=1e-5, atol=1e-5)
