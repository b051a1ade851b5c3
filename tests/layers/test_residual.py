"""What residual blocks and their parts compute, beyond the contract of all layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import layers

BLOCKS = [
    layers.BasicBlock,
    layers.Bottleneck,
    layers.SplitAttentionBlock,
    layers.PreActBasicBlock,
    layers.PreActBottleneck,
]


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize("block", BLOCKS)
def test_zero_init_residual_begins_as_the_identity_and_learns(block):
    layer = block(8, zero_init_residual=True)
    x = np.abs(images(2, 6, 6, 8))  # a ReLU may follow
    np.testing.assert_allclose(layer(x, training=True), x, atol=1e-6)
    assert not np.allclose(block(8)(x, training=True), x, atol=1e-2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x, training=True) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    assert any(tf.reduce_any(gradient != 0) for gradient in gradients), (
        "a branch that starts at 0 could never start to learn"
    )


# Every shortcut at every change of channels and side in one block; in the others with both changes and without any.
@pytest.mark.parametrize("shortcut", ["A", "B", "D", "pool"])
@pytest.mark.parametrize(
    ("block", "channels", "strides"),
    [
        *((block, *change) for block in BLOCKS for change in ((8, 1), (4, 2))),
        *((layers.BasicBlock, *change) for change in ((8, 2), (4, 1))),
    ],
)
def test_every_shortcut_in_every_block(block, shortcut, channels, strides):
    layer = block(8, strides, shortcut=shortcut)
    assert layer(images(2, 7, 7, channels)).shape == (2, 7 // strides + strides - 1, 7 // strides + strides - 1, 8)
    projected = any("projection" in weight.path for weight in layer.weights)
    expected = shortcut != "A" and (channels != 8 or (strides > 1 and shortcut != "pool"))
    assert projected == expected


def test_blocks_reject_what_they_do_not_know():
    with pytest.raises(ValueError, match="shortcut must be one of"):
        layers.BasicBlock(8, shortcut="C")
    with pytest.raises(ValueError, match="cannot narrow"):
        layers.BasicBlock(4, shortcut="A").build((None, 8, 8, 6))
    with pytest.raises(ValueError, match=r"rate must be in \[0, 1\)"):
        layers.DropPath(1.0)


def test_pad_shortcut():
    x = images(1, 4, 4, 2)
    y = layers.PadShortcut(5, 2)(x).numpy()
    np.testing.assert_array_equal(y[..., 1:3], x[:, ::2, ::2])
    np.testing.assert_array_equal(y[..., [0, 3, 4]], np.zeros((1, 2, 2, 3)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("side", [4, 5])
def test_pad_shortcut_equals_its_plain_form(dtype, side):
    layer = layers.PadShortcut(5, 2, dtype=dtype)

    def results():
        @tf.function(autograph=False)
        def traced(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
            return y, tape.gradient(loss, x)

        x = tf.cast(images(2, side, side, 2), dtype)
        return traced(x), {op.type for op in traced.get_concrete_function(x).graph.get_operations()}

    fast, types = results()
    with layers.stock_paths():
        plain, plain_types = results()
    assert "AvgPool" in types
    assert "AvgPool" not in plain_types
    for mine, theirs in zip(fast, plain, strict=True):
        assert mine.dtype == theirs.dtype == dtype
        np.testing.assert_array_equal(*(tf.cast(value, "float32") for value in (mine, theirs)))


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    layer = layers.DropPath(0.25, seed=3)
    x = np.ones((4000, 2, 2, 1), "float32")
    np.testing.assert_array_equal(layer(x, training=False), x)
    y = layer(x, training=True).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
    assert (y == y[:, :1, :1]).all()
    assert abs(y.mean() - 1) < 0.05
    assert not np.array_equal(y, layer(x, training=True))
    assert len(layer.variables) == 1, "the draws' place is a variable, so that a checkpoint of all variables has it"


def test_drop_path_in_bfloat16():
    y = layers.DropPath(0.3, dtype="mixed_bfloat16")(tf.ones((64, 1, 1, 1), tf.bfloat16), training=True)
    assert y.dtype == "bfloat16"
    assert 0 < np.mean(keras.ops.convert_to_numpy(y).astype("float32") > 0) < 1


def test_squeeze_and_excitation():
    layer = layers.SqueezeExcite(2)
    x = images(2, 4, 4, 6)
    layer.build(x.shape)
    reduce, reduce_bias, expand, expand_bias = layer.get_weights()
    gate = np.maximum(x.mean((1, 2)) @ reduce + reduce_bias, 0) @ expand + expand_bias
    np.testing.assert_allclose(layer(x), x / (1 + np.exp(-gate))[:, None, None], rtol=1e-5)


def test_pre_activation_projects_what_is_activated():
    layer = layers.PreActBasicBlock(6, 2)
    x = images(2, 8, 8, 4)
    layer(x)
    for weight in (*layer.conv2.weights, *layer.norm1.bn.trainable_weights):
        weight.assign(weight * 0)  # no branch, and nothing passes the first normalization
    np.testing.assert_array_equal(layer(x), np.zeros((2, 4, 4, 6)))


def test_split_attention_averages_its_splits():
    layer = layers.SplitAttention(4)
    x = images(2, 5, 5, 6)
    layer.build(x.shape)
    first, second = np.split(layer.splits(x).numpy(), 2, axis=-1)
    means = (first + second).mean((1, 2), keepdims=True)
    logits = layer.expand(layer.reduce(means)).numpy()
    share = 1 / (1 + np.exp(logits[..., 4:] - logits[..., :4]))  # a softmax over two
    np.testing.assert_allclose(layer(x), first * share + second * (1 - share), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("size", "side"), [(3, 12), (1, 8), (9, 6)])
def test_drop_block_drops_squares_of_about_the_rate(size: int, side: int) -> None:
    """What is dropped are whole squares; the rest is scaled up, so that the sum stays; inference changes nothing."""
    layer = layers.DropBlock(0.15, size, seed=3)
    x = tf.ones((64, side, side, 8))
    y = layer(x, training=True).numpy()
    np.testing.assert_array_equal(layer(x).numpy(), x)
    dropped = y == 0
    assert 0.08 < dropped.mean() < 0.18  # squares overlap, so that a little less than the rate is dropped
    assert y.sum() == pytest.approx(y.size, rel=1e-4)
    size = min(size, side)
    windows = np.lib.stride_tricks.sliding_window_view(dropped, (size, size), axis=(1, 2)).all((-2, -1))
    covered = np.zeros_like(dropped)
    for row, column in np.ndindex(windows.shape[1:3]):
        covered[:, row : row + size, column : column + size] |= windows[:, row : row + 1, column : column + 1]
    np.testing.assert_array_equal(covered, dropped)
