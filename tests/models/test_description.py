"""What a network's description says is what is built: every layer with weights, its path and size in the same order, its cost."""

from collections import Counter
from math import prod

import pytest

from kerascnn import models
from kerascnn.architectures import networks
from kerascnn.architectures.counting import counted
from kerascnn.architectures.shape import Shape
from kerascnn.architectures.steps import Trace
from kerascnn.models import cost
from tests.models.contract import assert_contract

pytestmark = pytest.mark.training

# One for each kind of block; the others differ in numbers only.
KINDS = (
    "resnet20",
    "resnet50d",
    "seresnet50",
    "resnext50_32x4d",
    "resnest50",
    "wrn16_4",
    "resnetv2_50_keras",
    "resnet9",
    "inception_small",
    "inception_v4",
    "inception_v3_keras",
    "inception_resnet_v1",
    "xception",
    "resnet_article",
    "inception_article",
)
SHAPE = Shape(width=0.1, width_divisor=4)


@pytest.mark.parametrize(
    "arch", [arch if arch in KINDS else pytest.param(arch, marks=pytest.mark.slow) for arch in models.ARCHS]
)
def test_what_is_described_is_built(arch: str) -> None:
    assert_described(arch, SHAPE)


def test_a_plain_network_too() -> None:
    assert_described("resnet20", Shape(shortcut="none"))


def assert_described(arch: str, shape: Shape) -> None:
    found = networks.network(networks.concrete(arch, shape, (96, 96)), 5)
    described = {unit.path: unit.params for unit in Trace(96).through((*found.body, *found.head)).units}
    with cost.weightless():
        model = models.build(arch, (96, 96, 3), 5, shape)
        counts = cost.count(model)
    built: Counter[str] = Counter()
    for variable in model.weights:
        built[variable.path.rpartition("/")[0]] += prod(variable.shape)
    assert list(built.items()) == list(described.items())
    assert (counts.params, counts.macs) == counted(arch, 96, 5, shape)
    assert_contract(model, arch, 5)
