"""The steps of blocks and networks, and their effect on an image's side and channels. No TensorFlow here.

`blocks` arranges steps in blocks, `networks` blocks in networks. Layers are built from these steps; a `Trace` through them
gives parameters, multiply-adds, the smallest image and the names of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Kernel = int | tuple[int, int]


class LayerUnit(NamedTuple):
    """A layer with weights of its own: its path, its number of weights, its multiply-adds for one image.

    `peer` is its name in timm's block, if that does not follow from the path.
    """

    path: str
    params: int
    macs: int
    peer: str = ""


class Step(Protocol):
    """One layer, or a block of them."""

    @property
    def name(self) -> str:
        """Name of the layer in its block or network."""

    def trace(self, trace: Trace, path: str) -> None:
        """Takes `trace` through the step, whose layers' paths begin with `path`."""


class Trace:
    """A square image on its way through steps: its side, its channels, and the units passed so far.

    A side of 0 means that a step has left no pixel.
    """

    def __init__(self, side: int, channels: int = 3) -> None:
        self.side, self.channels = side, channels
        self.units: list[LayerUnit] = []

    def through(self, chain: Sequence[Step], path: str = "") -> Trace:
        for step in chain:
            step.trace(self, path)
        return self

    def side_by_side(self, chains: Sequence[Sequence[Step]], path: str) -> None:
        """Follows branches that start from the same image and are concatenated."""
        side, channels, ends = self.side, self.channels, []
        for chain in chains:
            self.side, self.channels = side, channels
            self.through(chain, path)
            ends.append((self.side, self.channels))
        self.side, self.channels = min(end[0] for end in ends), sum(end[1] for end in ends)

    def unit(self, path: str, params: int, macs: int = 0, peer: str = "") -> None:
        self.units.append(LayerUnit(path, params, macs, peer))

    def norm(self, path: str, scale: bool = True) -> None:
        """Passes a normalization: optional gamma, beta, moving mean and variance of each channel."""
        self.unit(path, (4 if scale else 3) * self.channels)


@dataclass(frozen=True)
class Conv:
    """A convolution, then a normalization and a ReLU where it has them.

    Args:
        name: Name of the layer.
        filters: Number of output channels.
        kernel: Side of the kernel, or height and width.
        strides: Step in both directions.
        padding: As in `kerascnn.layers.Conv2D`.
        groups: Number of groups of channels.
        bias: Whether the convolution has a bias.
        norm: Whether a normalization follows.
        scale: Whether the normalization has a gamma.
        relu: Whether a ReLU follows.
        zero: Whether it ends a residual branch, so that its gamma, or its kernel, starts at 0 with `zero_init_residual`.
    """

    name: str
    filters: int
    kernel: Kernel
    strides: int = 1
    padding: str = "symmetric"
    groups: int = 1
    bias: bool = False
    norm: bool = True
    scale: bool = True
    relu: bool = True
    zero: bool = False

    def trace(self, trace: Trace, path: str) -> None:
        height, width = (self.kernel, self.kernel) if isinstance(self.kernel, int) else self.kernel
        weights = height * width * (trace.channels // self.groups) * self.filters
        trace.side = after(trace.side, self.kernel, self.strides, self.padding)
        own = f"{path}{self.name}/conv" if self.norm else f"{path}{self.name}"
        trace.unit(own, weights + self.bias * self.filters, weights * trace.side**2)
        trace.channels = self.filters
        if self.norm:
            trace.norm(f"{path}{self.name}/bn", self.scale)


@dataclass(frozen=True)
class Separable:
    """A convolution of each channel by itself, a 1x1 convolution, a normalization, a ReLU where it has one."""

    name: str
    filters: int
    kernel: int = 3
    relu: bool = True
    zero: bool = False

    def trace(self, trace: Trace, path: str) -> None:
        depthwise, pointwise = self.kernel**2 * trace.channels, trace.channels * self.filters
        trace.unit(f"{path}{self.name}/depthwise", depthwise, depthwise * trace.side**2)
        trace.unit(f"{path}{self.name}/pointwise", pointwise, pointwise * trace.side**2)
        trace.channels = self.filters
        trace.norm(f"{path}{self.name}/bn")


@dataclass(frozen=True)
class Norm:
    """A normalization and a ReLU."""

    name: str

    def trace(self, trace: Trace, path: str) -> None:
        trace.norm(f"{path}{self.name}/bn")


@dataclass(frozen=True)
class Relu:
    """A separate ReLU, which is not a layer."""

    name: str = ""

    def trace(self, trace: Trace, path: str) -> None:
        """Changes no shape."""


@dataclass(frozen=True)
class Pool:
    """Pooling; `kind`, `size`, `strides` and `padding` as in `kerascnn.layers.Pool2D`."""

    name: str
    kind: str
    size: int
    strides: int = 1
    padding: str = "symmetric"

    def trace(self, trace: Trace, path: str) -> None:
        trace.side = after(trace.side, self.size, self.strides, self.padding)


@dataclass(frozen=True)
class Pad:
    """Every `strides`-th pixel, with zeros for the missing channels."""

    name: str
    filters: int
    strides: int = 1

    def trace(self, trace: Trace, path: str) -> None:
        trace.side, trace.channels = after(trace.side, 1, self.strides), self.filters


@dataclass(frozen=True)
class Gate:
    """A squeeze-and-excitation with `units` units in the middle."""

    name: str
    units: int

    def trace(self, trace: Trace, path: str) -> None:
        products = trace.channels * self.units
        trace.unit(f"{path}{self.name}/reduce", products + self.units, products)
        trace.unit(f"{path}{self.name}/expand", products + trace.channels, products)


@dataclass(frozen=True)
class Drop:
    """The point at which training drops a residual branch for whole images."""

    name: str = "drop"

    def trace(self, trace: Trace, path: str) -> None:
        """Changes no shape."""


@dataclass(frozen=True)
class Dense:
    """A matrix product with the means (or maxima) of all channels."""

    name: str
    filters: int
    bias: bool = True

    def trace(self, trace: Trace, path: str) -> None:
        products = trace.channels * self.filters
        trace.unit(f"{path}{self.name}", products + self.bias * self.filters, products)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A layer made of steps: activation(scale * join(branches(entry(x))) + shortcut).

    Args:
        layer: Class of kerascnn.layers that computes it.
        options: Arguments of that class that determine its shape.
        name: Name of the layer.
        entry: Common beginning of all branches.
        branches: Parallel chains, concatenated.
        join: Steps after the concatenation.
        shortcut: The added chain; empty for the input itself, None if nothing is added.
        shared: Whether the shortcut starts after `entry` instead of from the input.
        scale: Factor of the branches before the addition, or None.
        activation: Activation of the sum, or None.
    """

    layer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    entry: tuple[Step, ...] = ()
    branches: tuple[tuple[Step, ...], ...] = ((),)
    join: tuple[Step, ...] = ()
    shortcut: tuple[Step, ...] | None = None
    shared: bool = False
    scale: float | None = None
    activation: Any = None

    def steps(self) -> Iterator[Step]:
        """All steps in the order in which their layers are made."""
        yield from self.entry
        for branch in self.branches:
            yield from branch
        yield from self.shortcut or ()
        yield from self.join

    def leaves(self) -> Iterator[Step]:
        """All steps, with those of inner blocks instead of the blocks."""
        for step in self.steps():
            yield from step.leaves() if isinstance(step, Block) else (step,)

    @property
    def normalizes(self) -> bool:
        return any(isinstance(step, Norm | Separable) or getattr(step, "norm", False) for step in self.leaves())

    @property
    def drops(self) -> bool:
        return any(isinstance(step, Drop) for step in self.leaves())

    @property
    def begins_as_identity(self) -> bool:
        """Whether `zero_init_residual` affects it."""
        return any(getattr(step, "zero", False) for step in self.leaves())

    def trace(self, trace: Trace, path: str) -> None:
        path, before = f"{path}{self.name}/", (trace.side, trace.channels)
        trace.through(self.entry, path)
        start = (trace.side, trace.channels) if self.shared else before
        trace.side_by_side(self.branches, path)
        side, channels = trace.side, trace.channels
        if self.shortcut is not None:
            trace.side, trace.channels = start
            trace.through(self.shortcut, path)
            side = min(side, trace.side)
        trace.side, trace.channels = side, channels
        trace.through(self.join, path)


def after(side: int, kernel: Kernel, strides: int = 1, padding: str = "symmetric") -> int:
    """Returns the side after one convolution or pooling; 0 if nothing is left."""
    kernel = kernel if isinstance(kernel, int) else max(kernel)
    if padding == "valid":
        return max(0, (side - kernel) // strides + 1)
    if padding == "ceil":
        return max(0, -(-(side - kernel) // strides) + 1)
    return -(-side // strides) if side >= strides else 0
