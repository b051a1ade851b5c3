"""Every network as chains of named steps: stem, stages, end, head. No TensorFlow here.

`concrete` turns an arch's name and a `Shape` into the row that is built; `network` turns a row into steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerascnn.architectures import blocks, filters
from kerascnn.architectures import branches as kept
from kerascnn.architectures.rows import (
    Arch,
    ArticleInception,
    ArticleResNet,
    Chain,
    Inception,
    Residual,
    ResNet,
    ResNet9,
    Xception,
)
from kerascnn.architectures.shape import Shape
from kerascnn.architectures.steps import Block, Conv, Dense, LayerUnit, Norm, Pool, Separable, Step, Trace
from kerascnn.architectures.tables import SMALL_IMAGE
from kerascnn.errors import UserError

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Network:
    """The steps of a network.

    Args:
        stem: Steps from the image on.
        stages: Blocks of each stage, with the steps that halve the image.
        end: Steps after the last stage.
        head: Steps that compute the logits.
    """

    stem: Steps
    stages: tuple[Steps, ...]
    end: Steps
    head: Steps

    @property
    def body(self) -> Steps:
        """All steps except the head."""
        return (*self.stem, *(step for stage in self.stages for step in stage), *self.end)

    @property
    def blocks(self) -> list[Block]:
        return [step for step in self.body if isinstance(step, Block)]


def minimum(body: Steps) -> int:
    """The smallest side that leaves every step at least one output, and each stride more than one pixel."""
    return next(side for side in range(1, 1025) if Trace(side).through(body).side)


# From a name to a row


def concrete(arch: str, shape: Shape, sides: Sequence[int | None]) -> Arch:
    """Returns the row of `arch` with all choices made: filter counts, branches, shortcut and stem.

    Args:
        arch: A name in ARCHS.
        shape: Differences from the published network.
        sides: Height and width of the images, if known.

    Raises:
        UserError: The arch does not have a choice.
    """
    row, _ = filters.resolve(arch, shape)
    if shape.branches:
        row = kept.only(row, arch, shape.branches)
    if shape.shortcut != "auto":
        row = _with_shortcut(row, arch, shape.shortcut)
    return replace(row, stem=_chosen_stem(row, arch, shape.stem, sides))


def _with_shortcut(row: Arch, arch: str, shortcut: str) -> Arch:
    if not isinstance(row, ResNet):
        raise UserError(f"--shortcut: {arch} has no such choice; expected auto, got {shortcut!r}")
    if shortcut == "none" and (row.block != "BasicBlock" or row.se_ratio):
        raise UserError(f"--shortcut none: {arch} is no network of two 3x3 convolutions per block; resnet20 is one")
    if shortcut not in (row.shortcut, "none") and not {shortcut, row.shortcut} <= {"A", "B"}:
        raise UserError(f"--shortcut: expected auto, A or B (and only {row.shortcut} here), got {shortcut!r}")
    return replace(row, shortcut=shortcut)


def _chosen_stem(row: Arch, arch: str, stem: str, sides: Sequence[int | None]) -> Chain:
    """Returns the paper's stem, or the small one: a 3x3 convolution of stride 1 with the same channels, no pooling."""
    if stem not in ("auto", "small", "large"):
        raise UserError(f"--stem: expected auto, small or large, got {stem!r}")
    if isinstance(row, ArticleResNet | ArticleInception):
        if stem == "small":
            raise UserError(f"--stem: {arch} has one stem only; expected auto or large, got small")
        return row.stem
    known = [side for side in sides if side is not None]
    small = bool(known) and max(known) <= SMALL_IMAGE if stem == "auto" else stem == "small"
    if not small or row.image_size <= SMALL_IMAGE:
        return row.stem
    return ((Trace(SMALL_IMAGE).through(_named(row.stem, "stem")).channels, 3),)


# From a row to steps


def network(row: Arch, classes: int = 1) -> Network:
    """Returns the steps of a row with concrete counts.

    Raises:
        UserError: A shortcut without weights would have to reduce the channels.
    """
    return _NETWORKS[type(row)](row, classes)


def _resnet(row: ResNet, classes: int) -> Network:
    kind = blocks.RESIDUAL[row.block]
    # The stem and the end of a pre-activation network differ: branches begin with a normalization and end without one.
    style = {"norm": False, "relu": False} if kind.pre_activation else {}
    stem = _named(row.stem, "stem", bias=row.use_bias, **style)
    channels = Trace(SMALL_IMAGE).through(stem).channels
    stages = []
    for stage, depth in enumerate(row.depths):
        steps = []
        for block in range(depth):
            # The papers halve the image in the first block of all stages but the first; `stride_last` in the last one of all
            # but the last.
            place = (stage < len(row.depths) - 1, depth - 1) if row.stride_last else (stage > 0, 0)
            strides, outside = (2 if place == (True, block) else 1), row.widths[stage] * kind.expansion
            described = _residual_block(row, channels, outside, row.inner[stage][block], strides)
            steps.append(replace(described, name=f"stage{stage + 1}_block{block + 1}"))
            channels = outside
        stages.append(tuple(steps))
    return Network(stem, tuple(stages), (Norm("norm"),) if kind.pre_activation else (), (Dense("logits", classes),))


def _residual_block(row: ResNet, channels: int, outside: int, inner: int, strides: int) -> Block:
    if row.shortcut == "none":
        return blocks.plain(outside, inner, strides)
    if row.shortcut == "A" and outside < channels:
        raise UserError(f"a shortcut of kind A cannot narrow {channels} channels to {outside}; --shortcut B can")
    units = max(1, outside // row.se_ratio) if row.se_ratio else 0
    return blocks.RESIDUAL[row.block].describe(channels, outside, inner, strides, row, units)


def _resnet9(row: ResNet9, classes: int) -> Network:
    stages = tuple(
        (replace(blocks.pooling(count, residual), name=f"stage{i}_block1"),)
        for i, (count, residual) in enumerate(row.stages, 1)
    )
    return Network(_named(row.stem, "stem"), stages, (), (Dense("logits", classes, bias=False),))


def _inception(row: Inception, classes: int) -> Network:
    stem = _named(row.stem, "stem", scale=row.scale)
    stages = []
    trace = Trace(1024).through(stem)
    for i, chain in enumerate(row.stages, 1):
        steps: list[Step] = []
        for step in chain:
            blocks_before = sum(isinstance(each, Block) for each in steps)
            steps.append(_inception_step(step, f"stage{i}", blocks_before + 1, trace.channels, row.scale))
            trace.through(steps[-1:])
        stages.append(tuple(steps))
    return Network(stem, tuple(stages), (), (Dense("logits", classes),))


def _inception_step(step: Chain | Residual, stage: str, block: int, channels: int, scale: bool) -> Step:
    if isinstance(step, Residual):
        activation = "relu" if step.relu else None
        described = blocks.inception_residual(channels, step.branches, step.scale, activation, scale=scale)
        return replace(described, name=f"{stage}_block{block}")
    kind = {int: "conv", str: "pool"}.get(type(step[0]), f"block{block}")
    return blocks.named(step, f"{stage}_{kind}", scale=scale)


def _xception(row: Xception, classes: int) -> Network:
    stem = _named(row.stem, "stem")
    channels, stages = Trace(SMALL_IMAGE).through(stem).channels, []
    for i, chain in enumerate(row.stages, 1):
        steps: list[Step] = []
        for j, (counts, strides, residual) in enumerate(chain, 1):
            name = f"stage{i}_block{j}"
            if residual:
                steps.append(replace(blocks.xception(channels, counts, strides, row.pooling), name=name))
            else:
                steps += [Separable(f"{name}_{k}", count) for k, count in enumerate(counts, 1)]
            channels = counts[-1]
        stages.append(tuple(steps))
    return Network(stem, tuple(stages), (), (Dense("logits", classes),))


# The two networks of the comparison article, as its text states them: convolution, bias and ReLU throughout, max pooling, no
# normalization. What was mended, since the article's code does not run, or does not do what its text says:
#
# - Tensors of different channel counts are added: here a 1x1 convolution of x stands in the shortcut.
# - The residual network flattens its last map, which ties it to one image size: here a global average stands before the
#   dense layer.
# - A wrong channel number enters the convolution behind the Inception module's concatenation: here it is the branches' sum.
# - The module's text names kernels 1x1, 1x3, 3x1 and 3x3 and asks for several scales, its code has 3x3 three times: here the
#   text's. The pooling branch that the text mentions and the code lacks is left out.
# - The Inception network's logits pass through a ReLU and are not pooled: here they are averaged over the image, as they are.
#
# Where the article has a residual's ReLU it stays: F ends in one before the addition, and none follows.


def _article_resnet(row: ArticleResNet, classes: int) -> Network:
    stem = _named(row.stem, "stem", bias=True, norm=False)
    plain = tuple(Conv(f"stage1_conv{i}", count, 3, bias=True, norm=False) for i, count in enumerate(row.plain, 1))
    stages: list[Steps] = [plain]
    channels = plain[-1].filters
    for i, count in enumerate(row.residual, 2):
        block = replace(blocks.article_residual(channels, count), name=f"stage{i}_block1")
        stages.append((Pool("stage2_pool", *_HALF), block) if i == 2 else (block,))
        channels = count
    return Network(stem, tuple(stages), (Pool("last_pool", *_HALF),), (Dense("logits", classes),))


_HALF = ("max", 2, 2, "valid")


def _article_inception(row: ArticleInception, classes: int) -> Network:
    stem = _named(row.stem, "stem", bias=True, norm=False)
    channels, stages = Trace(SMALL_IMAGE).through(stem).channels, []
    for i, modules in enumerate(row.stages, 1):
        steps: list[Step] = [Pool(f"stage{i}_pool", "max", 3, 2)] if i > 1 else []
        for j, counts in enumerate(modules, 1):
            steps.append(replace(blocks.article_module(channels, counts), name=f"stage{i}_block{j}"))
        stages.append(tuple(steps))
    # The features are the last stage's pooling here: the classifier works on a map.
    head = Conv("scores", classes, 1, padding="valid", bias=True, norm=False, relu=False)
    return Network(stem, tuple(stages), (Pool("pool", "max", 3, 2),), (head,))


def _named(chain: Chain, prefix: str, **style: Any) -> Steps:
    """Returns the steps of a row's chain with the names `prefix_1`, `prefix_2`, ..."""
    return tuple(blocks.named(step, f"{prefix}_{i}", **style) for i, step in enumerate(chain, 1))


_NETWORKS: dict[type[Arch], Callable[..., Network]] = {
    ResNet: _resnet,
    ResNet9: _resnet9,
    Inception: _inception,
    Xception: _xception,
    ArticleResNet: _article_resnet,
    ArticleInception: _article_inception,
}


def units(row: Arch) -> list[LayerUnit]:
    """Returns all layers with weights in the order of the graph."""
    found = network(row)
    return Trace(SMALL_IMAGE).through((*found.body, *found.head)).units
