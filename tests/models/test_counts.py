"""Parameters and multiply-adds of every architecture, against `figures.py`."""

import keras
import pytest

from kerascnn import models
from kerascnn.models import cost
from tests.models.figures import FIGURES, VARIANTS, equal


def test_every_arch_has_its_figures():
    assert FIGURES.keys() == models.ARCHS.keys()


# Deeper or wider copies of rows that the default suite has.
SLOW = {
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet101",
    "resnet110",
    "resnet152",
    "preact_resnet164",
    "resnet34d",
    "resnet101d",
    "resnet152d",
    "resnetv2_101",
    "resnetv2_152",
    "resnext101_32x8d",
    "wide_resnet101_2",
    "inception_resnet_v2",
    "inception_v3_keras",
    "inception_resnet_v2_keras",
    "xception_keras",
}
EVERY = [pytest.param(arch, marks=pytest.mark.slow) if arch in SLOW else arch for arch in FIGURES]


@pytest.mark.training
@pytest.mark.parametrize("arch", EVERY)
def test_published_network(arch):
    size, classes, trainable, statistics, macs, unit = FIGURES[arch]
    with cost.weightless():
        model = models.build(arch, (size, size, 3), classes)
        counted = cost.count(model)
        assert_contract(model, arch, classes)
    assert (counted.trainable, counted.params - counted.trainable) == (trainable, statistics)
    assert equal(counted.macs, macs, unit), counted


def assert_contract(model, arch, classes):
    names = [layer.name for layer in model.layers]
    row = models.ARCHS[arch]
    stages = [name for name in names if name.startswith("stage") and "_" not in name]
    assert stages == [f"stage{i}" for i in range(1, len(stages) + 1)]
    assert len(stages) >= 3
    order = [name for name in names if name in ("preprocess", "stem", "pool", "logits") or name in stages]
    assert order == ["preprocess", "stem", *stages, "pool", "logits"]
    assert ("dropout" in names) == (row.dropout > 0)
    assert model.name == arch
    assert model.output_shape == (None, classes)
    assert model.outputs[0].dtype == "float32"
    assert model.inputs[0].dtype == "float32"


@pytest.mark.parametrize(
    ("arch", "size", "classes", "options", "trainable", "macs", "unit"),
    [row if row[1] in (32, 224) else pytest.param(*row, marks=pytest.mark.slow) for row in VARIANTS],
)
def test_published_variant(arch, size, classes, options, trainable, macs, unit):
    with cost.weightless():
        counted = cost.count(models.build(arch, (size, size, 3), classes, **options))
    assert counted.trainable == trainable
    assert equal(counted.macs, macs, unit), counted


@pytest.mark.parametrize(
    ("arch", "weights", "trainable", "statistics", "macs"),
    [
        ("inception_v3", [0.4], 27_161_264, 36_224, 5.7189),
        ("googlenet", [0.3, 0.3], 13_385_816, 15_072, 1.5910),
        pytest.param("googlenet_tv", [0.3, 0.3], 13_004_888, 15_072, 1.5067, marks=pytest.mark.slow),
    ],
)
def test_auxiliary_heads(arch, weights, trainable, statistics, macs):
    size = models.ARCHS[arch].image_size
    with cost.weightless():
        network = models.build(arch, (size, size, 3), 1000)
        heads = models.auxiliary_heads(arch, network, 1000)
        assert list(heads) == [f"aux{i + 1}" for i in range(len(weights))]
        assert [head.weight for head in heads.values()] == weights
        whole = keras.Model(network.inputs, [network.output, *(head.logits for head in heads.values())])
        counted = cost.count(whole)
        alone = cost.count(network).trainable
    assert (counted.trainable, counted.params - counted.trainable) == (trainable, statistics)
    assert equal(counted.macs, macs, 1e9)
    assert alone == FIGURES[arch][2]
