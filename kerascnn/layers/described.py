"""Layers made from descriptions: the layer of a step, and the block of a chain of steps. All channels-last."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from kerascnn.architectures.steps import Block, Conv, Drop, Gate, Norm, Pad, Pool, Relu, Separable, Step
from kerascnn.layers.chains import build_chain, through
from kerascnn.layers.conv import Conv2D, ConvBN, Pool2D
from kerascnn.layers.norm import BNReLU
from kerascnn.layers.parts import DropPath, PadShortcut, SeparableConvBN, SqueezeExcite

# Names of constructor arguments in files of earlier versions.
FORMER = {"zero_gamma": "zero_init_residual", "squeeze": "se_units"}


class Style(NamedTuple):
    """Settings outside of descriptions: those of all normalizations, and of the training of residual branches.

    Args:
        norm: momentum and epsilon.
        drop_path: Rate of `DropPath` at a branch's end.
        zero_init_residual: Whether blocks begin as identities.
    """

    norm: Mapping[str, float] = {}
    drop_path: float = 0.0
    zero_init_residual: bool = False


def layer_of(step: Step, style: Style, dtype=None) -> Callable:
    """Returns the fresh, unbuilt layer of a step, or a function for a step without a layer of its own."""
    return _LAYERS[type(step)](step, style, {"dtype": dtype, "name": step.name})


def _conv(step: Conv, style: Style, kwargs: dict[str, Any]) -> layers.Layer:
    zeros = step.zero and style.zero_init_residual
    activation = "relu" if step.relu else None
    if step.norm:
        kwargs |= {"gamma_initializer": "zeros" if zeros else "ones", "scale": step.scale, **style.norm}
        layer: type[layers.Layer] = ConvBN
    else:
        # A gamma of 0 before a ReLU, which has no gradient at 0, would keep the branch from ever learning.
        kwargs["kernel_initializer"] = "zeros" if zeros else "he_normal"
        layer = Conv2D
    return layer(
        step.filters,
        step.kernel,
        step.strides,
        step.padding,
        activation=activation,
        groups=step.groups,
        use_bias=step.bias,
        **kwargs,
    )


def _separable(step: Separable, style: Style, kwargs: dict[str, Any]) -> layers.Layer:
    gamma = "zeros" if step.zero and style.zero_init_residual else "ones"
    activation = "relu" if step.relu else None
    return SeparableConvBN(
        step.filters, step.kernel, activation=activation, gamma_initializer=gamma, **style.norm, **kwargs
    )


def _drop(step: Drop, style: Style, kwargs: dict[str, Any]) -> layers.Layer:
    return DropPath(style.drop_path, **kwargs) if style.drop_path else layers.Identity(**kwargs)


def _block(step: Block, style: Style, kwargs: dict[str, Any]) -> layers.Layer:
    options = {**step.options, **(style.norm if step.normalizes else {})}
    if step.drops:
        options["drop_path"] = style.drop_path
    if step.begins_as_identity:
        options["zero_init_residual"] = style.zero_init_residual
    return keras.saving.get_registered_object(f"kerascnn>{step.layer}")(**options, **kwargs)


_LAYERS: dict[type, Callable[..., Callable]] = {
    Conv: _conv,
    Separable: _separable,
    Norm: lambda step, style, kwargs: BNReLU(**style.norm, **kwargs),
    Relu: lambda step, style, kwargs: ops.relu,
    Pool: lambda step, style, kwargs: Pool2D(step.kind, step.size, step.strides, step.padding, **kwargs),
    Pad: lambda step, style, kwargs: PadShortcut(step.filters, step.strides, **kwargs),
    Gate: lambda step, style, kwargs: SqueezeExcite(step.units, **kwargs),
    Drop: _drop,
    Block: _block,
}


@dataclass
class Parts:
    """The layers of a block's chains. It is not a list, since Keras would name variables in files after a list attribute."""

    entry: list[Callable]
    branches: list[list[Callable]]
    shortcut: list[Callable]
    join: list[Callable]


class Described(layers.Layer):
    """A layer that computes what a `Block` describes, with the layers of its steps as attributes with their names.

    A subclass returns the description from `describe`.
    """

    drop_path = 0.0
    zero_init_residual = False
    made = False

    def describe(self, channels: int | None) -> Block:
        """Returns the block's description for inputs with `channels` channels."""
        raise NotImplementedError

    def part(self, step: Step) -> Callable:
        """Returns the layer of a step."""
        norm = {"momentum": self.momentum, "epsilon": self.epsilon} if self.block.normalizes else {}
        return layer_of(step, Style(norm, self.drop_path, self.zero_init_residual), self.dtype_policy)

    def keep(self, parts: Parts) -> None:
        """Sets the layers as attributes, which determine the names of variables in files."""
        for chain in (parts.entry, *parts.branches, parts.shortcut, parts.join):
            for layer in _layers(chain):
                setattr(self, layer.name, layer)

    def make(self, channels: int | None) -> None:
        """Makes all layers in the order of the description, which determines the order of weights and of random numbers."""
        self.block = self.describe(channels)
        entry, *branches, shortcut, join = (
            [self.part(step) for step in chain]
            for chain in (self.block.entry, *self.block.branches, self.block.shortcut or (), self.block.join)
        )
        self._parts, self.made = Parts(entry, branches, shortcut, join), True
        self.keep(self._parts)
        self._activate = keras.activations.get(self.block.activation)

    def build(self, input_shape):
        if not self.made:
            self.make(input_shape[-1])
        parts = self._parts
        start = build_chain(_layers(parts.entry), input_shape)
        build_chain(_layers(parts.shortcut), start if self.block.shared else input_shape)
        shapes = [build_chain(_layers(branch), start) for branch in parts.branches]
        if len({shape[1:-1] for shape in shapes}) > 1:
            raise ValueError(f"the branches of {self.name} end in different sizes: {[shape[1:-1] for shape in shapes]}")
        build_chain(_layers(parts.join), (*shapes[0][:-1], sum(shape[-1] for shape in shapes)))

    def call(self, x):
        block, parts = self.block, self._parts
        start = through(parts.entry, x)
        ends = [through(branch, start) for branch in parts.branches]
        y = through(parts.join, ops.concatenate(ends, axis=-1) if len(ends) > 1 else ends[0])
        if block.scale is not None:
            y = y * ops.cast(block.scale, y.dtype)
        if block.shortcut is not None:
            y = y + through(parts.shortcut, start if block.shared else x)
        return self._activate(y)

    @classmethod
    def from_config(cls, config):
        return super().from_config({FORMER.get(key, key): value for key, value in config.items()})


def _layers(chain: Iterable[Callable]) -> list[layers.Layer]:
    """Returns the layers among a chain's functions."""
    return [each for each in chain if isinstance(each, layers.Layer)]
