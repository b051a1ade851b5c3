"""Small members of every kind of network: shapes, precision, training, saving, and what `build` refuses."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import layers, models
from kerascnn.errors import UserError
from kerascnn.models import cost

pytestmark = pytest.mark.training

# One member for each kind of block in the default suite; the others differ in numbers only.
KINDS = [
    "resnet20",
    "wrn16_4",
    "resnet9",
    "resnetv2_50",
    "seresnet50",
    "resnet_article",
    "inception_small",
    "inception_resnet_v1",
    "xception",
    "inception_article",
]
SIZES = dict.fromkeys(KINDS, 40) | {"inception_resnet_v1": 75}
TINY = {"width": 0.1, "width_divisor": 4}
SHALLOW = dict.fromkeys(("resnetv2_50", "seresnet50"), (1, 2, 1, 1))  # a first and a further block


def tiny(arch, shape=None, **options):
    size = SIZES.get(arch, 96)
    return models.build(arch, shape or (size, size, 3), 5, **{"blocks": SHALLOW.get(arch), **TINY, **options})


def pixels(arch, batch=2, larger=0):
    size = SIZES.get(arch, 96) + larger
    return np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype("uint8")


@pytest.fixture(scope="module")
def networks():
    """A tiny network of each kind, in bfloat16, for images of any size."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return {arch: tiny(arch, (None, None, 3)) for arch in KINDS}
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("arch", KINDS)
def test_forward_at_two_sizes(arch, networks):
    network = networks[arch]
    for larger in (0, 17):
        logits = network(pixels(arch, larger=larger))
        assert logits.shape == (2, 5)
        assert logits.dtype == "float32"
        assert np.isfinite(logits).all()
    assert network.get_layer("stage1").output.dtype == "bfloat16"
    assert network.get_layer("pool").output.shape[0] is None


def test_integers_and_floats_are_the_same_pixels(networks):
    network, x = networks["inception_small"], pixels("inception_small")
    np.testing.assert_array_equal(network(x), network(x.astype("float32")))


def test_float_pixels_reach_preprocessing_unrounded(networks):
    network = networks["resnet20"]
    scaled = keras.Model(network.input, network.get_layer("preprocess").output)
    x = np.full((1, 8, 8, 3), 127.9, "float32")  # bfloat16 has 128
    np.testing.assert_allclose(tf.cast(scaled(x), "float32"), 0.4 / 63.75, rtol=4e-3)


@pytest.mark.parametrize("arch", KINDS)
def test_one_training_step(arch):
    network = tiny(arch, dropout=0.0)
    network.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True, jit_compile=False)
    before = network.get_weights()
    assert np.isfinite(network.train_on_batch(pixels(arch, 4), np.eye(5)[:4]))
    after = network.get_weights()
    for weight, new in zip(network.weights, after, strict=True):
        assert np.isfinite(new).all(), weight.path
    changed = [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.9


ELSEWHERE = """
import pathlib, sys, keras, numpy as np
import kerascnn.layers
keras.utils.set_random_seed(1)
for path in pathlib.Path(".").glob("*.keras"):
    network = keras.models.load_model(path)
    np.save(path.with_suffix(".npy"), network(np.load(path.with_suffix(".pixels.npy"))))
assert "kerascnn.models" not in sys.modules
"""


def test_files_load_in_a_new_process(networks, tmp_path):
    some = {arch: networks[arch] for arch in ("resnet20", "inception_small", "inception_article")}
    for arch, network in some.items():
        network.save(tmp_path / f"{arch}.keras")
        np.save(tmp_path / f"{arch}.pixels.npy", pixels(arch))
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", ELSEWHERE], check=True, cwd=tmp_path)
    for arch, network in some.items():
        logits = np.load(tmp_path / f"{arch}.npy")
        np.testing.assert_allclose(logits, network(pixels(arch)), rtol=1e-5, atol=1e-5, err_msg=arch)


@pytest.mark.slow
@pytest.mark.parametrize("arch", sorted(models.ARCHS.keys() - set(KINDS)))
def test_every_other_network_runs_and_reloads(arch, tmp_path):
    network = tiny(arch)
    network.save(tmp_path / "network.keras")
    x = pixels(arch)
    logits = network(x)
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(x), logits)


def test_importing_the_tables_loads_no_tensorflow():
    code = (
        "import sys; from kerascnn.architectures import filters, tables;print({'tensorflow', 'keras'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arch", "size", "stem", "first"),
    [
        ("resnet18", 64, "auto", (3, 1)),
        ("resnet18", 65, "auto", (7, 2)),
        ("resnet18", None, "auto", (7, 2)),
        ("resnet18", 32, "large", (7, 2)),
        ("resnet18", 224, "small", (3, 1)),
        ("googlenet", 32, "auto", (3, 1)),
        ("resnet20", 224, "large", (3, 1)),  # the paper's own
        ("resnet_article", 32, "auto", (7, 2)),  # the article has one only
    ],
)
def test_stem(arch, size, stem, first):
    with cost.weightless():
        network = tiny(arch, (size, size, 3), stem=stem)
    layer = network.get_layer("stem_1")
    conv = getattr(layer, "conv", layer)
    assert (conv.kernel_size[0], conv.strides[0]) == first
    small = first[1] == 1
    assert len([layer for layer in network.layers if layer.name.startswith("stem_")]) == 1 or not small


def test_drop_path_rises_from_0_to_the_last_block():
    network = tiny("resnet20", drop_path=0.4)
    blocks = [layer for layer in network.layers if "_block" in layer.name]
    np.testing.assert_allclose([block.drop_path for block in blocks], np.linspace(0, 0.4, 9))
    assert isinstance(blocks[1].drop, layers.DropPath)
    assert len([v for v in network.variables if "seed_generator" in v.path]) == 8
    again = tiny("inception_resnet_v1", drop_path=0.2).get_layer("stage3_block6")
    assert again.drop_path == pytest.approx(0.2)


def test_zero_init_residual_and_dropout():
    network = tiny("resnet20", zero_init_residual=True, dropout=0.3)
    gammas = [v for v in network.weights if v.path.endswith("conv2/bn/gamma")]
    assert len(gammas) == 9
    assert not any(v.numpy().any() for v in gammas)
    assert network.get_layer("dropout").rate == 0.3
    assert "dropout" in [layer.name for layer in tiny("googlenet").layers]
    assert "dropout" not in [layer.name for layer in tiny("googlenet", dropout=0.0).layers]


@pytest.mark.parametrize(
    ("arch", "shape", "options", "message"),
    [
        ("resnet500", (32, 32, 3), {}, "perhaps you meant resnet50"),
        ("ResNet-50", (32, 32, 3), {}, "perhaps you meant resnet50"),
        ("resnet50", (32, 32, 1), {}, r"\(height, width, 3\)"),
        ("resnet50", (16, 16, 3), {"stem": "large"}, "at least 17 px"),
        ("inception_v3", (74, 299, 3), {}, "at least 75 px"),
        ("resnet50", (32, 32, 3), {"stem": "tiny"}, "auto, small or large"),
        ("resnet50d", (32, 32, 3), {"shortcut": "A"}, "expected auto, A or B"),
        ("googlenet", (64, 64, 3), {"shortcut": "B"}, "--shortcut: googlenet has no such choice"),
        ("googlenet", (64, 64, 3), {"drop_path": 0.1}, "no residual branches"),
        ("inception_resnet_v2", (99, 99, 3), {"zero_init_residual": True}, "--zero-init-residual"),
        ("resnet_article", (32, 32, 3), {"stem": "small"}, "one stem only"),
        ("resnet20", (32, 32, 3), {"width": 0.0}, "a width above 0"),
        ("resnet20", (32, 32, 3), {"filters": {"stage1": 0}}, "at least 1"),
        ("resnet20", (32, 32, 3), {"filters": {"stage4": 8}}, "perhaps stage"),
        ("resnext50_32x4d", (32, 32, 3), {"filters": {"stage1.inner": 33}}, "don't divide into 32 groups"),
    ],
)
def test_mistakes_are_explained(arch, shape, options, message):
    with pytest.raises(UserError, match=message):
        models.build(arch, shape, 10, **options)
    with pytest.raises(UserError, match="at least one class"):
        models.build("resnet20", (32, 32, 3), 0)


def test_auxiliary_heads_scale_and_train():
    options = {"width": 0.25, "width_divisor": 4, "filters": {"aux1.conv1": 6}}
    network = models.build("googlenet", (75, 75, 3), 5, **options)
    heads = models.auxiliary_heads("googlenet", network, 5, **options)
    whole = keras.Model(network.inputs, [network.output, *(head.logits for head in heads.values())])
    assert [output.shape for output in whole.outputs] == [(None, 5)] * 3
    assert {output.dtype for output in whole.outputs} == {"float32"}
    assert whole.get_layer("aux1").steps == ((6, 1),)
    assert whole.get_layer("aux2").steps == ((32, 1),)
    assert whole.get_layer("aux2").hidden == 256
    assert len(whole.weights) > len(network.weights)
    assert models.auxiliary_heads("resnet50", network, 5) == {}
    with pytest.raises(UserError, match="one size"):
        models.auxiliary_heads("googlenet", tiny("googlenet", (None, None, 3)), 5, **TINY)


def test_drop_block_follows_the_last_two_stages() -> None:
    network = models.build("resnet20", (32, 32, 3), 4, blocks=(1, 1, 1), width=0.25, drop_block=0.1, drop_block_size=3)
    dropping = [layer for layer in network.layers if isinstance(layer, layers.DropBlock)]
    assert [(layer.name, layer.rate, layer.size) for layer in dropping] == [
        ("stage2_drop_block", 0.1, 3),
        ("stage3_drop_block", 0.1, 3),
    ]
    plain = models.build("resnet20", (32, 32, 3), 4, blocks=(1, 1, 1), width=0.25)
    assert [weight.path for weight in plain.weights] == [weight.path for weight in network.weights]
