"""Parameters and multiply-adds of every architecture, against `figures.py`."""

import keras
import pytest

from kerascnn import models
from kerascnn.models import cost
from tests.models.contract import assert_contract
from tests.models.figures import FIGURES, VARIANTS, equal


def test_every_arch_has_its_figures():
    assert FIGURES.keys() == models.ARCHS.keys()


# tests/architectures/test_counting.py has every figure, as a sum over the description; tests/models/test_description.py
# builds a small network of each kind of block and compares. Here each family at its published size, slowly all of them.
FEW = {"resnet20", "resnet50", "resnetv2_50_keras", "resnet9", "xception"}
FEW_VARIANTS = {"resnet20", "resnet18"}
EVERY = [arch if arch in FEW else pytest.param(arch, marks=pytest.mark.slow) for arch in FIGURES]


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


@pytest.mark.training
@pytest.mark.parametrize(
    ("arch", "size", "classes", "options", "trainable", "macs", "unit"),
    [row if row[0] in FEW_VARIANTS else pytest.param(*row, marks=pytest.mark.slow) for row in VARIANTS],
)
def test_published_variant(arch, size, classes, options, trainable, macs, unit):
    with cost.weightless():
        counted = cost.count(models.build(arch, (size, size, 3), classes, **options))
    assert counted.trainable == trainable
    assert equal(counted.macs, macs, unit), counted


@pytest.mark.training
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
