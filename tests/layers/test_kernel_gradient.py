"""The gradient to the kernel as matrix products, against oneDNN's own form."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.devices.kernels import onednn
from kerascnn.layers import Conv2D, kernel_gradient, stock_paths

needs_onednn = pytest.mark.skipif(not onednn(), reason="this TensorFlow's CPU kernels are not oneDNN's")
needs_bfloat16 = pytest.mark.skipif(not onednn(tf.bfloat16), reason="bfloat16 is not oneDNN's on this CPU")


def conv(kernel=3, padding="same", channels=128, policy="mixed_bfloat16", **options):
    layer = Conv2D(channels, kernel, padding=padding, use_bias=False, dtype=policy, **options)
    layer.build((None, None, None, channels))
    return layer


def images(side=4, channels=128, batch=3):
    return tf.constant(np.random.default_rng(0).normal(size=(batch, side, side, channels)).astype("float32"))


def results(layer, x, training=True):
    """Output, gradients to the input and the kernel, and the types of the operations that made them."""

    @tf.function(autograph=False)
    def traced(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(layer(x, training=training), "float32")
            loss = tf.reduce_mean(y**2)
        return [y, *tape.gradient(loss, [x, layer.trainable_variables[0].value])]

    found = traced(x)
    return found, {op.type for op in traced.get_concrete_function(x).graph.get_operations()}


@needs_bfloat16
@pytest.mark.parametrize("padding", ["same", "symmetric", "valid"])
@pytest.mark.parametrize("kernel", [3, (1, 3), (5, 1)])
@pytest.mark.parametrize(("strides", "side"), [(1, 5), (2, 5), (2, 8), ((1, 2), 7)])
def test_equals_the_plain_form(padding, kernel, strides, side):
    layer, x = conv(kernel, padding, strides=strides), images(side)
    fast, types = results(layer, x)
    assert "Conv2DBackpropFilter" not in types
    with stock_paths():
        plain, plain_types = results(layer, x)
    assert "Conv2DBackpropFilter" in plain_types
    for mine, theirs in zip(fast, plain, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, atol=1e-2 * np.abs(theirs).max())


@needs_bfloat16
@pytest.mark.parametrize("padding", ["same", "symmetric", "valid"])
def test_1x1_kernels_where_the_cpu_has_amx(padding, monkeypatch):
    layer, x = conv(1, padding, channels=64), images(9, channels=64)
    monkeypatch.setattr(kernel_gradient, "cpu_flags", lambda: frozenset())
    plain, plain_types = results(layer, x)
    assert "Conv2DBackpropFilter" in plain_types
    monkeypatch.setattr(kernel_gradient, "cpu_flags", lambda: frozenset({"amx_bf16", "avx512_bf16"}))
    fast, types = results(layer, x)
    assert "Conv2DBackpropFilter" not in types
    for mine, theirs in zip(fast, plain, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, atol=1e-2 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("kernel", "places", "strides", "amx", "expected"),
    [
        ((3, 3, 512, 512), 49, (1, 1), False, True),
        ((3, 3, 512, 512), 49, (1, 1), True, True),
        ((3, 3, 256, 256), 196, (1, 1), False, False),
        ((3, 3, 256, 256), 196, (2, 2), False, True),
        ((3, 3, 256, 256), 784, (2, 2), True, False),
        ((3, 3, 64, 64), 49, (1, 1), True, False),
        ((1, 7, 192, 192), 289, (1, 1), True, False),
        ((1, 1, 256, 64), 3136, (1, 1), False, False),
        ((1, 1, 256, 64), 3136, (1, 1), True, True),
        ((1, 1, 2048, 512), 49, (1, 1), False, False),
        ((1, 1, 512, 2048), 49, (1, 1), True, True),
        ((1, 1, 512, 1024), 196, (2, 2), True, False),
        ((1, 1, 192, 32), 1225, (1, 1), True, False),
    ],
)
def test_where_products_are_faster(kernel, places, strides, amx, expected):
    assert kernel_gradient.faster(kernel, places, strides, amx) is expected


@pytest.mark.parametrize(
    ("kernel", "places", "strides", "expected"),
    [
        ((3, 3, 128, 128), 784, (2, 2), True),  # ResNet-50's three
        ((3, 3, 512, 512), 49, (2, 2), True),
        ((3, 3, 288, 384), 289, (2, 2), True),  # Inception v3's
        ((3, 3, 32, 64), 64, (2, 2), False),
        ((7, 7, 3, 64), 12544, (2, 2), False),
        ((3, 3, 512, 512), 49, (1, 1), False),
        ((1, 1, 2048, 512), 49, (1, 1), True),
        ((1, 1, 1280, 320), 64, (1, 1), True),
        ((1, 1, 1024, 512), 196, (1, 1), True),
        ((1, 1, 512, 1024), 196, (2, 2), True),
        ((1, 1, 256, 1024), 196, (1, 1), False),
        ((1, 1, 256, 512), 784, (2, 2), False),
        ((1, 1, 2048, 64), 49, (1, 1), False),
    ],
)
def test_where_products_are_faster_in_float32(kernel, places, strides, expected):
    assert kernel_gradient.faster_in_float32(kernel, places, strides) is expected


@needs_onednn
@pytest.mark.parametrize(("kernel", "strides", "side"), [(3, 2, 8), (3, 2, 9), (1, 1, 4), (1, 2, 5)])
def test_a_layer_in_float32_equals_the_plain_form(kernel, strides, side, monkeypatch):
    monkeypatch.setattr(kernel_gradient, "cpu_flags", lambda: frozenset({"avx2"}))
    layer, x = conv(kernel, "symmetric", policy="float32", strides=strides), images(side)
    fast, types = results(layer, x)
    assert "Conv2DBackpropFilter" not in types
    with stock_paths():
        plain, plain_types = results(layer, x)
    assert "Conv2DBackpropFilter" in plain_types
    for mine, theirs in zip(fast, plain, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5 * np.abs(theirs).max())
    monkeypatch.setattr(kernel_gradient, "cpu_flags", lambda: frozenset({"avx2", "avx512bw"}))
    assert "Conv2DBackpropFilter" in results(layer, x)[1]  # not measured there


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(
    ("kernel", "strides"),
    [((1, 1), (1, 1)), *itertools.product([(3, 3), (1, 3), (5, 1)], [(1, 1), (2, 2), (1, 2), (3, 2)])],
)
@pytest.mark.parametrize("side", [5, 6, 7])
def test_equals_the_plain_form_in_float32(padding, kernel, strides, side):
    """Every shape, taken by a layer or not, in float32: a neighbour's place can be told from the right one there."""
    x, weights = images(side, channels=8)[:, :, 1:], tf.random.stateless_normal((*kernel, 8, 12), (1, 2))

    def gradients(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, weights])
            loss = tf.reduce_mean(convolve(x, weights) ** 2)
        return tape.gradient(loss, [x, weights])

    mine = gradients(lambda x, w: kernel_gradient.convolution(x, w, strides, padding))
    theirs = gradients(lambda x, w: tf.nn.conv2d(x, w, strides, padding))
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(other).max())


@needs_bfloat16
@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (conv(policy="float32"), images()),
        (conv(1, strides=2), images()),
        (conv(strides=2), images(side=36)),
        (conv(groups=2), images()),
        (conv(dilation_rate=2), images(8)),
        (conv(activation="relu"), images()),
        (conv(channels=64), images(channels=64)),
        (conv(1, "valid"), images()),
        (conv(), images(side=9)),
    ],
)
def test_what_is_left_to_onednn_without_amx(layer, x, monkeypatch):
    monkeypatch.setattr(kernel_gradient, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert "Conv2DBackpropFilter" in results(layer, x)[1]


def test_inference_holds_nothing_but_a_convolution():
    _, types = results(conv(), images(), training=False)
    assert "IdentityN" not in types  # what a custom gradient leaves in a graph


@needs_bfloat16
def test_images_of_unknown_size_are_left_to_onednn():
    kernel = conv().kernel
    assert kernel_gradient.pays(tf.cast(images(), tf.bfloat16), kernel, (1, 1), "same")
    unknown = tf.TensorSpec((None, None, 4, 128), tf.bfloat16)
    assert not kernel_gradient.pays(unknown, kernel, (1, 1), "same")
