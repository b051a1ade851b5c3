"""Filter counts by name: what is printed is what is built."""

import re

import keras
import pytest

from kerascnn import layers, models
from kerascnn.architectures import filters
from kerascnn.architectures.modules import v3
from kerascnn.architectures.shape import Shape
from kerascnn.architectures.tables import row
from kerascnn.errors import UserError
from kerascnn.models import cost


def test_labels_follow_the_kernels():
    (a, *_), (reduction, b, *_), (_, c, _) = v3(("avg", 3))
    assert filters.labels(a) == [["1x1"], ["5x5_reduce", "5x5"], ["3x3_reduce", "3x3_1", "3x3_2"], [None, "pool_proj"]]
    assert filters.labels(reduction) == [["3x3"], ["3x3b_reduce", "3x3b_1", "3x3b_2"], [None]]
    assert filters.labels(b)[1:3] == [
        ["7x7_reduce", "7x7_1", "7x7_2"],
        ["7x7b_reduce", "7x7b_1", "7x7b_2", "7x7b_3", "7x7b_4"],
    ]
    assert filters.labels(c)[1] == ["3x3_reduce", [["3x3_1x3"], ["3x3_3x1"]]]


def test_names_of_a_residual_network():
    assert filters.names("resnet20") == {
        "stem": (16,),
        **{f"stage{i}": (count,) for i, count in ((1, 16), (2, 32), (3, 64))},
        **{f"stage{i}.inner": (count,) * 3 for i, count in ((1, 16), (2, 32), (3, 64))},
        **{f"stage{i}_block{j}.inner": (count,) for i, count in ((1, 16), (2, 32), (3, 64)) for j in (1, 2, 3)},
    }
    assert filters.names("resnext50_32x4d")["stage2.inner"] == (256,) * 4
    assert filters.names("googlenet")["stage1.3x3_reduce"] == (96, 128)
    assert filters.names("inception_v4")["stem.conv11"] == (192,)


@pytest.mark.parametrize("arch", models.ARCHS)
def test_every_name_changes_what_it_stands_for(arch):
    published, names = filters.resolve(arch)
    everywhere = [name for name in names if "_block" not in name]
    assert published == filters.resolve(arch, Shape(width_divisor=64))[0]
    assert all(count > 0 for counts in names.values() for count in counts)
    for name in everywhere[:: max(1, len(everywhere) // 6)]:
        changed, after = filters.resolve(arch, Shape(filters={name: 992}))
        assert changed != published
        assert after[name] == (992,) * len(names[name])
        others = {other for other in names if after[other] != names[other]}
        assert all(other.startswith(re.split(r"[._]", name)[0]) for other in others)


def test_the_most_specific_name_wins():
    given = {"stage2": 48, "stage2.inner": 24, "stage2_block3.inner": 12}
    resolved, _ = filters.resolve("resnet20", Shape(width=0.5, filters=given))
    assert resolved.widths == (8, 48, 32)
    assert resolved.inner == ((8, 8, 8), (24, 24, 12), (32, 32, 32))
    follows, _ = filters.resolve("resnet50", Shape(filters={"stage2": 50}))
    assert follows.inner[1] == (50, 50, 50, 50)
    module, _ = filters.resolve("googlenet", Shape(filters={"stage1.3x3": 40, "stage1_block2.3x3": 44}))
    assert [block[1][1] for block in module.stages[0]] == [(40, 3), (44, 3)]


@pytest.mark.parametrize(
    ("width", "width_divisor", "expected"),
    [(0.5, 8, (32, 64)), (0.3, 8, (16, 40)), (0.3, 1, (19, 38)), (0.01, 4, (4, 4))],
)
def test_width_is_rounded(width, width_divisor, expected):
    resolved, _ = filters.resolve("resnet18", Shape(width=width, width_divisor=width_divisor))
    assert resolved.widths[:2] == expected


def test_groups_divide_whatever_the_width():
    resolved, _ = filters.resolve("resnext50_32x4d", Shape(width=0.6))
    assert all(count % 32 == 0 for stage in resolved.inner for count in stage)


def test_unknown_name():
    with pytest.raises(
        UserError, match=r"googlenet has no filters called 'stage1.3x3_reduc'; perhaps stage1.3x3_reduce"
    ):
        filters.resolve("googlenet", Shape(filters={"stage1.3x3_reduc": 8}))


@pytest.mark.training
@pytest.mark.parametrize("arch", ["resnet20", "googlenet", "xception", "inception_article"])
def test_what_is_built_has_the_counts(arch):
    """All convolutions of the stages, in the graph's order, have the printed counts (residual outputs follow their stage)."""
    options = {"width": 0.3, "width_divisor": 2}
    _, names = filters.resolve(arch, Shape(**options))
    size = row(arch).image_size
    with cost.weightless():
        network = models.build(arch, (size, size, 3), 10, **options)
    built = [layer.filters for layer in network._flatten_layers() if isinstance(layer, keras.layers.Conv2D)]
    for name, counts in names.items():
        if not name.startswith("aux"):
            assert set(counts) <= set(built), name
    stems = [count for name, counts in names.items() if name.startswith("stem") for count in counts]
    assert built[: len(stems)] == stems
    if arch == "googlenet":
        block = network.get_layer("stage2_block3")
        steps = [layer for chain in block.chains for layer in chain if isinstance(layer, layers.ConvBN)]
        labels = [label for branch in filters.labels(block.branches) for label in branch if label]
        assert [step.filters for step in steps] == [names[f"stage2_block3.{label}"][0] for label in labels]
