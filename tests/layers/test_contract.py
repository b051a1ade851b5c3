"""One table that every layer of the package is in, and what each must do."""

import inspect
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import layers
from tests.pages import TEXTS, blocks

BRANCHES = (((3, 1),), ((2, 1), (4, 3)), (("avg", 3), (2, 1)), ((2, 1), (((3, (1, 3)),), ((3, (3, 1)),))))
REDUCTION = (((4, 3, 2, "valid"),), ((2, 1), (3, 3, 2, "valid")), (("max", 3, 2, "valid"),))

LAYERS = [  # class, arguments, input shape, output shape
    (layers.Conv2D, {"filters": 8, "kernel_size": 3, "strides": 2, "padding": "symmetric"}, (2, 8, 8, 3), (2, 4, 4, 8)),
    (layers.Conv2D, {"filters": 8, "kernel_size": 3, "groups": 4, "padding": "same"}, (2, 5, 5, 4), (2, 5, 5, 8)),
    (layers.ConvBN, {"filters": 8, "kernel_size": (1, 3), "strides": 2}, (2, 9, 9, 3), (2, 5, 5, 8)),
    (layers.ConvBN, {"filters": 4, "kernel_size": 3, "padding": "valid", "use_bias": True}, (2, 8, 8, 3), (2, 6, 6, 4)),
    (layers.Pool2D, {"kind": "max", "size": 3, "strides": 2}, (2, 8, 8, 3), (2, 4, 4, 3)),
    (layers.Pool2D, {"kind": "max", "size": 3, "strides": 2, "padding": "ceil"}, (2, 7, 8, 3), (2, 3, 4, 3)),
    (layers.Pool2D, {"kind": "avg", "size": 3, "padding": "zeros"}, (2, 7, 7, 3), (2, 7, 7, 3)),
    (layers.BatchNormalization, {}, (2, 5, 5, 4), (2, 5, 5, 4)),
    (layers.BatchNormalization, {"scale": False}, (4, 6), (4, 6)),
    (layers.BNReLU, {"epsilon": 1e-3}, (2, 5, 5, 4), (2, 5, 5, 4)),
    (layers.Preprocess, {"mean": [1, 2, 3], "std": [4, 5, 6], "reverse": True}, (2, 5, 5, 3), (2, 5, 5, 3)),
    (layers.SqueezeExcite, {"filters": 3}, (2, 5, 5, 6), (2, 5, 5, 6)),
    (layers.DropPath, {"rate": 0.5, "seed": 1}, (2, 5, 5, 4), (2, 5, 5, 4)),
    (layers.DropBlock, {"rate": 0.2, "size": 3, "seed": 1}, (2, 5, 5, 4), (2, 5, 5, 4)),
    (layers.PadShortcut, {"filters": 7, "strides": 2}, (2, 5, 5, 4), (2, 3, 3, 7)),
    (layers.BasicBlock, {"filters": 6, "strides": 2, "zero_init_residual": True}, (2, 8, 8, 4), (2, 4, 4, 6)),
    (layers.BasicBlock, {"filters": 6, "strides": 2, "shortcut": "A", "inner": 5}, (2, 7, 7, 4), (2, 4, 4, 6)),
    (layers.PlainBlock, {"filters": 6, "strides": 2, "inner": 5}, (2, 7, 7, 4), (2, 4, 4, 6)),
    (layers.Bottleneck, {"filters": 16, "strides": 2, "shortcut": "D", "se_units": 4}, (2, 7, 7, 8), (2, 4, 4, 16)),
    (layers.Bottleneck, {"filters": 8, "groups": 2, "inner": 4, "drop_path": 0.2}, (2, 8, 8, 8), (2, 8, 8, 8)),
    (
        layers.Bottleneck,
        {"filters": 8, "strides": 2, "stride_first": True, "use_bias": True},
        (2, 8, 8, 4),
        (2, 4, 4, 8),
    ),
    (layers.SplitAttention, {"filters": 6}, (2, 7, 7, 4), (2, 7, 7, 6)),
    (layers.SplitAttention, {"filters": 8, "groups": 2}, (2, 7, 7, 4), (2, 7, 7, 8)),
    (layers.SplitAttentionBlock, {"filters": 8, "strides": 2, "shortcut": "D"}, (2, 7, 7, 4), (2, 4, 4, 8)),
    (layers.PreActBasicBlock, {"filters": 6, "strides": 2, "zero_init_residual": True}, (2, 8, 8, 4), (2, 4, 4, 6)),
    (layers.PreActBottleneck, {"filters": 8, "strides": 2, "drop_path": 0.2}, (2, 8, 8, 4), (2, 4, 4, 8)),
    (
        layers.PreActBottleneck,
        {"filters": 8, "strides": 2, "shortcut": "pool", "use_bias": True},
        (2, 8, 8, 8),
        (2, 4, 4, 8),
    ),
    (layers.InceptionBlock, {"branches": BRANCHES}, (2, 8, 8, 6), (2, 8, 8, 15)),
    (layers.InceptionBlock, {"branches": REDUCTION, "scale": False}, (2, 8, 8, 6), (2, 3, 3, 13)),
    (
        layers.InceptionResidual,
        {"branches": BRANCHES, "residual_scale": 0.2, "drop_path": 0.1},
        (2, 8, 8, 6),
        (2, 8, 8, 6),
    ),
    (layers.SeparableConvBN, {"filters": 5, "kernel_size": 5}, (2, 8, 8, 3), (2, 8, 8, 5)),
    (layers.XceptionBlock, {"filters": [5, 6], "strides": 2, "pooling": "same"}, (2, 8, 8, 4), (2, 4, 4, 6)),
    (
        layers.XceptionBlock,
        {"filters": [5, 5, 4], "drop_path": 0.2, "zero_init_residual": True},
        (2, 7, 7, 4),
        (2, 7, 7, 4),
    ),
    (layers.PoolingBlock, {"filters": 6}, (2, 9, 9, 4), (2, 4, 4, 6)),
    (layers.PoolingBlock, {"filters": 6, "residual": False}, (2, 8, 8, 4), (2, 4, 4, 6)),
    (layers.ArticleResidual, {"filters": 6}, (2, 8, 8, 4), (2, 8, 8, 6)),
    (layers.ArticleResidual, {"filters": 4}, (2, 8, 8, 4), (2, 8, 8, 4)),
    (layers.ArticleModule, {"filters": [3, 4, 5, 6]}, (2, 8, 8, 4), (2, 8, 8, 4)),
    (layers.GridPool, {"grid": 4, "window": (5, 3)}, (2, 14, 9, 3), (2, 4, 4, 3)),
    (layers.EnsembleLogits, {"members": 3}, (2, 15), (2, 5)),
    (layers.EnsembleLogits, {"members": 2, "activation": "sigmoid"}, (2, 8), (2, 4)),
    (
        layers.AuxiliaryHead,
        {"num_classes": 5, "steps": ((8, 1), (9, 3, 1, "valid")), "grid": 4, "hidden": 6, "dropout": 0.5},
        (2, 9, 9, 4),
        (2, 5),
    ),
]
ABSTRACT = {"Described", "ResidualBlock"}
FLOAT32_OUT = {layers.AuxiliaryHead, layers.EnsembleLogits}  # logits

every_layer = pytest.mark.parametrize(
    ("cls", "options", "shape", "expected"), LAYERS, ids=[f"{i}-{row[0].__name__}" for i, row in enumerate(LAYERS)]
)


def subclasses(cls):
    return {cls}.union(*map(subclasses, cls.__subclasses__()))


def images(shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def test_every_layer_of_the_package_is_in_the_table():
    package = {cls.__name__ for cls in subclasses(keras.layers.Layer) if cls.__module__.startswith("kerascnn.layers.")}
    assert package - ABSTRACT == {row[0].__name__ for row in LAYERS}
    exported = {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}
    assert exported == package - ABSTRACT


@every_layer
def test_build_alone_creates_all_weights(cls, options, shape, expected):
    layer = cls(**options)
    layer.build(shape)
    built = [(weight.path, weight.shape) for weight in layer.weights]
    layer(images(shape))
    assert [(weight.path, weight.shape) for weight in layer.weights] == built


@every_layer
def test_symbolic_and_eager_shapes(cls, options, shape, expected):
    layer = cls(**options)
    assert layer.compute_output_shape(shape) == expected
    assert layer(keras.Input(batch_shape=shape)).shape == expected
    assert layer(images(shape)).shape == expected
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec(shape)).outputs[0]
    assert traced.shape == expected


@every_layer
def test_any_height_and_width(cls, options, shape, expected):
    if len(shape) == 2 or cls in (layers.GridPool, layers.AuxiliaryHead):
        pytest.skip("takes no image, or needs its size")
    inputs = keras.Input((None, None, shape[-1]))
    model = keras.Model(inputs, cls(**options)(inputs))
    assert model.output_shape == (None, None, None, expected[-1])
    assert model(images(shape)).shape == expected


@every_layer
def test_config_round_trip(cls, options, shape, expected):
    layer = cls(**options, name="some_name", dtype="mixed_bfloat16")
    copy = cls.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.dtype_policy.name == "mixed_bfloat16"
    read = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert read.get_config() == layer.get_config()
    for key, value in options.items():
        if key in ("kernel_size", "strides") and cls is layers.Conv2D:
            continue  # Keras keeps pairs
        assert _plain(layer.get_config()[key]) == _plain(value)


def _plain(value):
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@every_layer
def test_keras_file_round_trip(cls, options, shape, expected, tmp_path):
    policy = "mixed_bfloat16"  # what a block fails to hand down comes back as the global float32
    inputs = keras.Input(batch_shape=shape)
    model = keras.Model(inputs, cls(**options, dtype=policy)(inputs))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.dtype == "float32":  # else the state of a seed generator
            weight.assign(rng.uniform(0.5, 1, weight.shape))
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = keras.models.load_model(tmp_path / "model.keras")
    x = images(shape)
    before, after = model(x), copy(x)
    dtype = "float32" if cls in FLOAT32_OUT else "bfloat16"
    assert before.dtype == after.dtype == dtype
    np.testing.assert_array_equal(tf.cast(before, "float32"), tf.cast(after, "float32"))
    leaves = [
        layer for layer in copy._flatten_layers() if isinstance(layer, (layers.Conv2D, layers.BatchNormalization))
    ]
    assert {layer.dtype_policy.name for layer in leaves} <= {policy}


@every_layer
def test_two_steps_change_every_trainable_weight(cls, options, shape, expected):
    layer = cls(**options)
    layer.build(shape)
    before = [weight.numpy() for weight in layer.trainable_variables]
    optimizer = keras.optimizers.SGD(0.1)
    x, target = images((8, *shape[1:])), images((8, *expected[1:]), 1)
    for _ in range(2):  # the first one cannot reach past a gamma of 0
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((tf.cast(layer(x, training=True), "float32") - target) ** 2)
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
    after = [weight.numpy() for weight in layer.trainable_variables]
    for weight, old, new in zip(layer.trainable_variables, before, after, strict=True):
        if weight.path.endswith("conv/bias"):
            continue  # the normalization behind it takes any shift away
        assert np.isfinite(new).all(), weight.path
        assert not np.array_equal(old, new), weight.path


ELSEWHERE = """
import keras, numpy as np
import kerascnn.layers
model = keras.models.load_model("mine.keras")
np.save("after.npy", model(np.load("images.npy")))
"""


def test_the_network_of_the_docs_loads_in_a_new_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    example, *_ = blocks("python", TEXTS["docs/library.md"])
    exec(example, scope)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("float32")
    np.save("images.npy", pixels)
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", ELSEWHERE], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load("after.npy"), scope["model"](pixels), atol=1e-6)
