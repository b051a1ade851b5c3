"""The description of every kind of block: its branches and its shortcut as chains of steps. No TensorFlow here.

Layers are built from these descriptions, parameters and multiply-adds are summed over them, and the names of filters and
published weights are derived from them. A block is a function of its counts (`channels` of the input, `outside` of the
output, `inner` between them), its strides, and the row with the common settings of a network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from kerascnn.architectures.rows import Chain
from kerascnn.architectures.steps import Block, Conv, Drop, Gate, Norm, Pad, Pool, Relu, Separable, Step, Trace

SHORTCUTS = ("A", "B", "D", "pool")


class Row(Protocol):
    """The attributes of a network's row that residual blocks use; a standalone layer has the same attributes."""

    @property
    def groups(self) -> int: ...
    @property
    def shortcut(self) -> str: ...
    @property
    def stride_first(self) -> bool: ...
    @property
    def use_bias(self) -> bool: ...


def named(step: Chain, name: str, **style: Any) -> Step:
    """Returns the step of a row's tuple (see `rows`) with the name `name`; `style` are options of its convolution."""
    if isinstance(step[0], int):
        return Conv(name, *step, **style)
    if isinstance(step[0], str):
        return Pool(name, *step)
    return inception(step, name=name, scale=style.get("scale", True))


# Residual networks


def basic(channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int = 0) -> Block:
    """Two 3x3 convolutions, ReLU after the addition (He et al., 2015, figure 5 left)."""
    chain = (
        Conv("conv1", inner, 3, strides, bias=row.use_bias),
        Conv("conv2", outside, 3, bias=row.use_bias, relu=False, zero=True),
    )
    return _residual("BasicBlock", channels, outside, inner, strides, row, se_units, chain)


def bottleneck(channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int = 0) -> Block:
    """1x1, 3x3 and 1x1 convolutions, ReLU after the addition (He et al., 2015, figure 5 right)."""
    first, second = (strides, 1) if row.stride_first else (1, strides)
    chain = (
        Conv("conv1", inner, 1, first, bias=row.use_bias),
        Conv("conv2", inner, 3, second, groups=row.groups, bias=row.use_bias),
        Conv("conv3", outside, 1, bias=row.use_bias, relu=False, zero=True),
    )
    return _residual("Bottleneck", channels, outside, inner, strides, row, se_units, chain)


RADIX = 2


@dataclass(frozen=True)
class SplitAttentionStep:
    """`RADIX` 3x3 convolutions side by side, whose outputs are averaged channel by channel (Zhang H. et al., 2020, figure 2).

    The weights of the average are computed from all channels' means, by a layer of `units` units.
    """

    name: str
    filters: int
    groups: int = 1

    @property
    def units(self) -> int:
        """A quarter of all splits' channels, a multiple of 8, at least 32."""
        return max(32, (self.filters * RADIX // 4 + 4) // 8 * 8)

    @property
    def steps(self) -> tuple[Conv, Conv, Conv]:
        """The splits, and the two layers that weigh them."""
        return (
            Conv("splits", RADIX * self.filters, 3, groups=RADIX * self.groups),
            Conv("reduce", self.units, 1, groups=self.groups, bias=True),
            Conv("expand", RADIX * self.filters, 1, groups=self.groups, bias=True, norm=False, relu=False),
        )

    def trace(self, trace: Trace, path: str) -> None:
        splits, *weighing = self.steps
        inner = Trace(trace.side, trace.channels).through((splits,))
        means = Trace(1, self.filters).through(weighing)
        peers = ("conv", "bn0", "fc1", "bn1", "fc2")
        for unit, peer in zip((*inner.units, *means.units), peers, strict=True):
            trace.unit(f"{path}{self.name}/{unit.path}", unit.params, unit.macs, f"{self.name}.{peer}")
        trace.side, trace.channels = inner.side, self.filters


def split_attention(channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int = 0) -> Block:
    """A bottleneck whose 3x3 convolution is a split attention; an average pooling has its stride (Zhang H. et al., 2020)."""
    pool = (Pool("average", "avg", 3, strides, "zeros"),) if strides > 1 else ()
    chain = (
        Conv("conv1", inner, 1, bias=row.use_bias),
        SplitAttentionStep("conv2", inner, row.groups),
        *pool,
        Conv("conv3", outside, 1, bias=row.use_bias, relu=False, zero=True),
    )
    return _residual("SplitAttentionBlock", channels, outside, inner, strides, row, se_units, chain)


def preact_basic(channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int = 0) -> Block:
    """Two 3x3 convolutions, each after normalization and ReLU (He et al., 2016, figure 1 b)."""
    plain: dict[str, Any] = {"norm": False, "relu": False}
    chain = (
        Conv("conv1", inner, 3, strides, **plain),
        Norm("norm2"),
        Conv("conv2", outside, 3, bias=row.use_bias, zero=True, **plain),
    )
    return _residual("PreActBasicBlock", channels, outside, inner, strides, row, se_units, chain)


def preact_bottleneck(channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int = 0) -> Block:
    """1x1, 3x3 and 1x1 convolutions, each after normalization and ReLU (He et al., 2016)."""
    first, second = (strides, 1) if row.stride_first else (1, strides)
    plain: dict[str, Any] = {"norm": False, "relu": False}
    chain = (
        Conv("conv1", inner, 1, first, **plain),
        Norm("norm2"),
        Conv("conv2", inner, 3, second, groups=row.groups, **plain),
        Norm("norm3"),
        Conv("conv3", outside, 1, bias=row.use_bias, zero=True, **plain),
    )
    return _residual("PreActBottleneck", channels, outside, inner, strides, row, se_units, chain)


def _residual(
    layer: str, channels: int, outside: int, inner: int, strides: int, row: Row, se_units: int, chain: tuple[Step, ...]
) -> Block:
    """The common parts of all residual blocks: gate and drop at the end of the branch, the shortcut, the position of the
    ReLU.
    """
    before = RESIDUAL[layer].pre_activation
    shortcut = _shortcut(channels, outside, strides, row, norm=not before)
    gate = (Gate("gate", se_units),) if se_units else ()
    return Block(
        layer=layer,
        options={
            "filters": outside,
            "strides": strides,
            "inner": inner,
            "groups": row.groups,
            "shortcut": row.shortcut,
            "stride_first": row.stride_first,
            "use_bias": row.use_bias,
            "se_units": se_units,
        },
        entry=(Norm("norm1"),) if before else (),
        branches=((*chain, *gate, Drop()),),
        shortcut=shortcut,
        shared=before and any(step.name == "projection" for step in shortcut),
        activation=None if before else "relu",
    )


def _shortcut(channels: int, outside: int, strides: int, row: Row, norm: bool) -> tuple[Step, ...]:
    """Returns steps that give the input the branch's shape; none if it has that shape."""

    def projection(strides: int) -> Conv:
        return Conv("projection", outside, 1, strides, bias=row.use_bias, norm=norm, relu=False)

    if strides == 1 and channels == outside:
        return ()
    if row.shortcut == "A":
        return (Pad("projection", outside, strides),)
    if row.shortcut == "pool" and channels == outside:
        return (Pool("pool", "max", 1, strides, "valid"),)
    if row.shortcut == "D" and strides > 1:
        return Pool("pool", "avg", strides, strides, "same"), projection(1)
    return (projection(strides),)


class ResidualKind(NamedTuple):
    """A kind of residual block: its description, output channels per unit of width, whether normalizations come first."""

    describe: Callable[..., Block]
    expansion: int = 1
    pre_activation: bool = False


# By name of the class in kerascnn.layers, as used in rows.
RESIDUAL = {
    "BasicBlock": ResidualKind(basic),
    "Bottleneck": ResidualKind(bottleneck, expansion=4),
    "SplitAttentionBlock": ResidualKind(split_attention, expansion=4),
    "PreActBasicBlock": ResidualKind(preact_basic, pre_activation=True),
    "PreActBottleneck": ResidualKind(preact_bottleneck, expansion=4, pre_activation=True),
}


def plain(outside: int, inner: int, strides: int) -> Block:
    """A basic block without its shortcut (He et al., 2015, figure 3 middle)."""
    chain = Conv("conv1", inner, 3, strides), Conv("conv2", outside, 3)
    options = {"filters": outside, "strides": strides, "inner": inner}
    return Block(layer="PlainBlock", options=options, branches=(chain,))


def pooling(filters: int, residual: bool) -> Block:
    """Convolution, pooling, normalization and ReLU; then x + conv3x3(conv3x3(x)) if it is residual (Page, 2018)."""
    entry = (
        Conv("conv", filters, 3, norm=False, relu=False),
        Pool("pool", "max", 2, 2, "valid"),
        Norm("norm"),
    )
    options = {"filters": filters, "residual": residual}
    if not residual:
        return Block(layer="PoolingBlock", options=options, entry=entry)
    branch = Conv("residual1", filters, 3), Conv("residual2", filters, 3)
    return Block(layer="PoolingBlock", options=options, entry=entry, branches=(branch,), shortcut=(), shared=True)


# Inception


def inception(branches: Chain, *, name: str = "", scale: bool = True) -> Block:
    """Parallel branches, concatenated (Szegedy et al., 2015, figure 2 b)."""
    chains = tuple(
        tuple(named(step, f"branch{i}_{j}", scale=scale) for j, step in enumerate(branch, 1))
        for i, branch in enumerate(branches, 1)
    )
    return Block(layer="InceptionBlock", options={"branches": branches, "scale": scale}, name=name, branches=chains)


def inception_residual(
    channels: int, branches: Chain, factor: float, activation: Any = "relu", *, scale: bool = True
) -> Block:
    """activation(x + factor * conv1x1(branches)) (Szegedy et al., 2017, figures 10, 11, 13 and 20)."""
    chain = (
        inception(branches, name="mixed", scale=scale),
        Conv("project", channels, 1, padding="valid", bias=True, norm=False, relu=False),
        Drop(),
    )
    return Block(
        layer="InceptionResidual",
        options={"branches": branches, "residual_scale": factor, "activation": activation, "scale": scale},
        branches=(chain,),
        shortcut=(),
        scale=factor,
        activation=activation,
    )


def xception(channels: int, filters: Sequence[int], strides: int, padding: str) -> Block:
    """ReLU and separable convolution, two or three times, pooling if it has strides (Chollet, 2017, figure 5)."""
    chain: list[Step] = []
    for i, count in enumerate(filters, 1):
        chain += [Relu(), Separable(f"conv{i}", count, relu=False, zero=i == len(filters))]
    if strides > 1:
        chain.append(Pool("pool", "max", 3, strides, padding))
    projects = strides > 1 or channels != filters[-1]
    return Block(
        layer="XceptionBlock",
        options={"filters": filters, "strides": strides, "pooling": padding},
        branches=(tuple(chain),),
        shortcut=(Conv("projection", filters[-1], 1, strides, relu=False),) if projects else (),
        join=(Drop(),),
    )


# The article's

# Kernels of the module's branches, after the 1x1 convolution at their beginning.
ARTICLE_KERNELS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "1x1": (),
    "1x3": ((1, 3),),
    "3x1": ((3, 1),),
    "3x3": ((3, 3),),
}
_UNNORMED: dict[str, Any] = {"bias": True, "norm": False}


def article_residual(channels: int, filters: int) -> Block:
    """y = F(x) + x, where F is one 3x3 convolution with its ReLU."""
    projection = Conv("projection", filters, 1, padding="valid", relu=False, **_UNNORMED)
    return Block(
        layer="ArticleResidual",
        options={"filters": filters},
        branches=((Conv("conv", filters, 3, **_UNNORMED),),),
        shortcut=(projection,) if channels != filters else (),
    )


def article_module(channels: int, filters: Sequence[int]) -> Block:
    """Four branches, a 1x1 convolution to the first branch's channels and one back to the input's."""
    branches = tuple(
        tuple(Conv(f"branch{i}_{j}", count, kernel, **_UNNORMED) for j, kernel in enumerate(((1, 1), *kernels), 1))
        for i, (count, kernels) in enumerate(zip(filters, ARTICLE_KERNELS.values(), strict=True), 1)
    )
    join = Conv("narrow", filters[0], 1, **_UNNORMED), Conv("widen", channels, 1, **_UNNORMED)
    return Block(layer="ArticleModule", options={"filters": filters}, branches=branches, join=join)
