"""Sums over a row say what the network itself does."""

import pytest

from kerascnn import models
from kerascnn.architectures.counting import counted
from kerascnn.architectures.shape import Shape
from kerascnn.errors import UserError
from kerascnn.models import cost
from tests.models.figures import FIGURES, VARIANTS, equal


@pytest.mark.parametrize("arch", FIGURES)
def test_published_networks(arch: str) -> None:
    size, classes, trainable, statistics, macs, unit = FIGURES[arch]
    found = counted(arch, size, classes)
    assert found.params == trainable + statistics
    assert equal(found.macs, macs, unit)


@pytest.mark.parametrize(("arch", "size", "classes", "options", "trainable", "macs", "unit"), VARIANTS)
def test_published_variants(arch, size, classes, options, trainable, macs, unit) -> None:
    found = counted(arch, size, classes, Shape(**options))
    assert 0 <= found.params - trainable < trainable / 100  # the statistics of normalizations
    assert equal(found.macs, macs, unit)


@pytest.mark.training
@pytest.mark.parametrize(
    ("arch", "size", "options"),
    [
        ("resnet20", 32, {"blocks": (1, 2, 1), "bottleneck_ratio": 0.5, "shortcut": "B", "filters": {"stage2": 24}}),
        ("resnet20", 40, {"width": 0.3, "width_divisor": 1, "shortcut": "none"}),
        ("resnet50", 64, {"blocks": (1, 1, 1, 2), "bottleneck_ratio": 1.5, "width": 0.125}),
        ("inception_small", 33, {"width": 0.25, "filters": {"stage2.1x1": 12}, "branches": ("3x3",)}),
        ("googlenet", 65, {"width": 0.125, "width_divisor": 2}),
    ],
)
def test_options(arch: str, size: int, options: dict) -> None:
    with cost.weightless():
        truth = cost.count(models.build(arch, (size, size, 3), 7, **options))
    assert counted(arch, size, 7, Shape(**options)) == (truth.params, truth.macs)


def test_a_shortcut_that_cannot_be_is_no_network() -> None:
    with pytest.raises(UserError, match="cannot narrow 32 channels to 8"):
        counted("resnet20", 32, 10, Shape(filters={"stage1": 32, "stage2": 8}))
