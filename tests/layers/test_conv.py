"""Padding as the published networks have it, and grouped convolutions, against plain forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn.layers import Conv2D, Pool2D, conv, stock_paths


def images(*shape, low=-1.0):
    return np.random.default_rng(0).uniform(low, 1, shape).astype("float32")


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize(("kernel", "strides"), [(3, 1), (3, 2), (7, 2), (1, 2), ((1, 3), 2), (5, 3)])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_symmetric_padding_is_the_same_on_both_sides(side, kernel, strides, policy):
    layer = Conv2D(4, kernel, strides, "symmetric", use_bias=False, dtype=policy)
    x = tf.constant(images(2, side, side, 3))
    layer.build(x.shape)
    height, width = ((size - 1) // 2 for size in layer.kernel_size)
    around = ((0, 0), (height, height), (width, width), (0, 0))

    def results(call, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.cast(call(), "float32")
            loss = tf.reduce_sum(y**2)
        return [y, *tape.gradient(loss, [x, kernel])]

    weights = tf.constant(layer.kernel)  # the plain form in float64 throughout, which is not oneDNN's

    def plainly():
        return tf.nn.conv2d(tf.pad(tf.cast(x, "float64"), around), tf.cast(weights, "float64"), strides, "VALID")

    plain = results(plainly, weights)
    for mine, theirs in zip(results(lambda: layer(x), layer.kernel.value), plain, strict=True):
        bound = 1e-5 if policy == "float32" else 0.03
        np.testing.assert_allclose(mine, theirs, atol=bound * np.abs(theirs).max())


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 7, 8, 12])
@pytest.mark.parametrize(("kernel", "strides"), [(1, 2), (1, (1, 2)), (1, 3), (3, 2), (1, 1)])
def test_gradients_of_narrow_convolutions_with_strides(kernel, strides, channels):
    """Against float64, which is not oneDNN's: its AVX2 form of 1x1 kernels with strides reads beyond narrow pixels."""

    def gradients(policy):
        layer = Conv2D(8, kernel, strides, "symmetric", use_bias=False, dtype=policy)
        layer.build((None, None, None, channels))
        layer.kernel.assign(images(*layer.kernel.shape))
        x = tf.constant(images(2, 14, 14, channels), policy)
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [x, layer.kernel.value])

    expected = gradients("float64")
    for _ in range(3):  # what lies beyond differs
        for mine, theirs in zip(gradients("float32"), expected, strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-5 * np.abs(theirs).max())


def test_what_cannot_be_padded():
    with pytest.raises(ValueError, match="odd kernel"):
        Conv2D(4, 2, padding="symmetric")
    with pytest.raises(ValueError, match="channels-last"):
        Conv2D(4, 3, data_format="channels_first")
    with pytest.raises(ValueError, match="odd window"):
        Pool2D("max", 2, 2)
    with pytest.raises(ValueError, match="not supported"):
        Pool2D("avg", 3, 2)
    with pytest.raises(ValueError, match="max or avg"):
        Pool2D("min", 3)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float64"])
def test_grouped_convolution_equals_keras_form(policy, monkeypatch):
    layer = Conv2D(8, 3, 2, "symmetric", groups=4, use_bias=False, dtype=policy)
    x = tf.constant(images(2, 8, 8, 12))
    layer.build(x.shape)

    def results():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x), "float32")
            loss = tf.reduce_sum(y**2)
        return [y, *tape.gradient(loss, [x, layer.trainable_variables[0]])]

    with stock_paths():
        expected = results()
    at_once = results()
    monkeypatch.setattr(
        conv, "onednn", lambda dtype: False
    )  # the form of a TensorFlow whose CPU kernels lack the gradient
    one_by_one = results()
    tolerance = {"rtol": 3e-2, "atol": 0.1} if policy.startswith("mixed") else {"rtol": 1e-4, "atol": 1e-4}
    for plain, *fast in zip(expected, at_once, one_by_one, strict=True):
        for form in fast:
            np.testing.assert_allclose(form, plain, **tolerance)


def windows(x, size, strides, pad, fill):
    """Every window of one channel: (rows, columns, size, size)."""
    x = np.pad(x, pad, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size))
    return view[::strides, ::strides]


@pytest.mark.parametrize("side", [7, 8])
def test_max_pooling(side):
    x = images(1, side, side, 1, low=-3) - 2  # negative: padding must not win
    plane = x[0, :, :, 0]

    def pooled(*arguments):
        return Pool2D("max", *arguments)(x)[0, :, :, 0]

    symmetric = windows(plane, 3, 2, 1, -np.inf).max((2, 3))
    np.testing.assert_array_equal(pooled(3, 2), symmetric)
    np.testing.assert_array_equal(pooled(3, 2, "zeros"), windows(plane, 3, 2, 1, 0).max((2, 3)))
    np.testing.assert_array_equal(pooled(3, 2, "valid"), windows(plane, 3, 2, 0, 0).max((2, 3)))
    # torch's ceil_mode: a last window over the edge where the rest of the image would be left out
    np.testing.assert_array_equal(pooled(3, 2, "ceil"), windows(plane, 3, 2, (0, 1), -np.inf).max((2, 3)))
    np.testing.assert_array_equal(pooled(2, 2, "ceil"), windows(plane, 2, 2, (0, 1), -np.inf).max((2, 3)))
    np.testing.assert_array_equal(pooled(3, 2, "same"), keras.ops.max_pool(x, 3, 2, "same")[0, :, :, 0])


def test_average_pooling_with_and_without_its_padding():
    x = images(1, 6, 6, 1)
    plane = x[0, :, :, 0]
    with_zeros = Pool2D("avg", 3, padding="zeros")(x)[0, :, :, 0]
    np.testing.assert_allclose(with_zeros, windows(plane, 3, 1, 1, 0).mean((2, 3)), atol=1e-6)
    without = Pool2D("avg", 3)(x)[0, :, :, 0]
    np.testing.assert_allclose(without, np.nanmean(windows(plane, 3, 1, 1, np.nan), (2, 3)), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "strides", "padding"),
    [
        ("max", 3, 2, "symmetric"),
        ("max", 3, 2, "ceil"),
        ("max", 3, 2, "zeros"),
        ("avg", 3, 1, "zeros"),
        ("avg", 3, 1, "symmetric"),
    ],
)
def test_pooling_in_bfloat16_is_that_of_the_same_numbers_in_float32(kind, size, strides, padding):
    numbers = tf.cast(images(2, 8, 8, 3, low=-3) - 2, tf.bfloat16)  # negative: padding must not win

    def results(dtype):
        x = tf.cast(numbers, dtype)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = Pool2D(kind, size, strides, padding, dtype=dtype)(x)
            loss = tf.reduce_sum(y)
        return [tf.cast(value, tf.float32).numpy() for value in (y, tape.gradient(loss, x))]

    for mine, theirs in zip(results("bfloat16"), results("float32"), strict=True):
        assert np.isfinite(mine).all()
        np.testing.assert_allclose(mine, theirs, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("padding", "size", "strides"), [("symmetric", 3, 2), ("symmetric", 5, 2), ("ceil", 3, 2), ("ceil", 2, 2)]
)
def test_finite_padding_changes_no_maximum(padding: str, size: int, strides: int, signed: bool) -> None:
    """8 bits cannot hold -3e38 beside what a network computes; zeros are no harm after a rectifier, edges nowhere."""
    pool = Pool2D("max", size, strides, padding)
    # 7 rows and 8 columns: a last window that reaches over the edge, and one that does not.
    images = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype("float32") - 1

    def run(x):
        return pool(x if signed else tf.nn.relu(x))

    expected = run(images)
    traced = tf.function(run, input_signature=[tf.TensorSpec((None, 7, 8, 3), tf.float32)])
    with conv.finite_padding():
        graph = traced.get_concrete_function().graph
    np.testing.assert_array_equal(traced(images), expected)
    kinds = {op.type for op in graph.get_operations()}
    assert ("MirrorPad" in kinds) == signed
    assert "PadV2" not in kinds
    numbers = [tf.make_ndarray(op.get_attr("value")) for op in graph.get_operations() if op.type == "Const"]
    assert all(np.abs(number).max() < 100 for number in numbers)
