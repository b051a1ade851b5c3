"""Descriptions of blocks: where they stride, what their shortcuts are, what a trace through them counts."""

import pytest

from kerascnn.architectures import blocks, networks
from kerascnn.architectures.rows import ResNet
from kerascnn.architectures.shape import Shape
from kerascnn.architectures.steps import Conv, Pool, Trace, after
from kerascnn.architectures.tables import row

ROW = ResNet(year=2015, paper="none")


@pytest.mark.parametrize("kind", blocks.RESIDUAL)
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("shortcut", ["B", "D", "pool"])
def test_branch_and_shortcut_end_in_one_shape(kind: str, strides: int, shortcut: str) -> None:
    for channels in (16, 8):
        described = blocks.RESIDUAL[kind].describe(
            channels, 16, 4, strides, ResNet(year=2015, paper="none", shortcut=shortcut)
        )
        ends = []
        for chain in (*described.branches, described.shortcut or ()):
            trace = Trace(9, channels).through((*described.entry, *chain))
            ends.append((trace.side, trace.channels))
        assert ends == [(after(9, 1, strides), 16)] * 2


def test_the_stride_stands_where_the_row_says() -> None:
    def strides(**options) -> list[int]:
        described = blocks.bottleneck(64, 256, 64, 2, ResNet(year=2015, paper="none", **options))
        return [step.strides for step in described.branches[0] if isinstance(step, Conv)]

    assert strides() == [1, 2, 1]
    assert strides(stride_first=True) == [2, 1, 1]


def test_a_shortcut_that_averages_projects_without_a_stride() -> None:
    described = blocks.bottleneck(256, 512, 128, 2, ResNet(year=2018, paper="none", shortcut="D"))
    assert described.shortcut == (
        Pool("pool", "avg", 2, 2, "same"),
        Conv("projection", 512, 1, relu=False),
    )


def test_stages_halve_the_image_in_their_first_block_or_their_last() -> None:
    def sides(arch: str) -> list[list[int]]:
        found = networks.network(networks.concrete(arch, Shape(), (224, 224)))
        trace = Trace(224).through(found.stem)
        return [[trace.through((step,)).side for step in stage] for stage in found.stages]

    assert [stage[0] for stage in sides("resnet50")] == [56, 28, 14, 7]
    assert sides("resnetv2_50_keras")[0] == [56, 56, 28]
    assert row("resnetv2_50_keras").stride_last


def test_a_trace_says_where_nothing_is_left() -> None:
    body = networks.network(networks.concrete("resnet18", Shape(stem="large"), (224, 224))).body
    assert networks.minimum(body) == 17
    assert Trace(16).through(body).side == 0
    assert Trace(17).through(body).side == 1
