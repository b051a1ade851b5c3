"""Residual blocks (He et al., 2015, 2016) and related ones.

All are channels-last: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters).
"""

from functools import reduce
from typing import Any

import keras
from keras import ops

from kerascnn.architectures import blocks
from kerascnn.architectures.blocks import RESIDUAL, SHORTCUTS
from kerascnn.architectures.steps import Block
from kerascnn.layers.chains import build_chain, chain_shape, strided_shape
from kerascnn.layers.described import Described, Parts, Style, layer_of

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "PlainBlock",
    "PoolingBlock",
    "PreActBasicBlock",
    "PreActBottleneck",
    "SplitAttention",
    "SplitAttentionBlock",
]


class ResidualBlock(Described):
    """Base class of the residual blocks, with their arguments.

    Args:
        filters: Number of output channels.
        strides: Step of the block.
        inner: Channels inside (default: `filters`, or a quarter of it in bottlenecks).
        groups: Groups of the 3x3 convolution of a bottleneck (ResNeXt: Xie et al., 2017).
        shortcut: Where shapes change: "A" (`PadShortcut`), "B" (1x1 convolution with the stride), "D" (average pooling, then a
            1x1 convolution: He T. et al., 2019), "pool" (B where channels change, else a strided maximum over single
            pixels: keras.applications' ResNetV2). ValueError for others.
        stride_first: Whether a bottleneck's first 1x1 has the stride (the papers, Keras), or its 3x3 (torchvision, "v1.5").
        use_bias: Whether convolutions have biases too, as in keras.applications.
        se_units: Units of a squeeze-and-excitation at the branch's end, 0 for none.
        drop_path: Rate of `DropPath` at the branch's end.
        zero_init_residual: Whether the block begins as the identity (Goyal et al., 2017).
        momentum: Momentum of the moving statistics of all normalizations.
        epsilon: Epsilon of all normalizations.
    """

    kind: blocks.ResidualKind

    def __init__(
        self,
        filters,
        strides=1,
        *,
        inner=None,
        groups=1,
        shortcut="B",
        stride_first=False,
        use_bias=False,
        se_units=0,
        drop_path=0.0,
        zero_init_residual=False,
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}. Received: shortcut={shortcut!r}")
        self.filters, self.strides, self.groups = filters, strides, groups
        self.inner = inner or filters // self.kind.expansion
        self.shortcut, self.stride_first, self.use_bias, self.se_units = shortcut, stride_first, use_bias, se_units
        self.drop_path, self.zero_init_residual = drop_path, zero_init_residual
        self.momentum, self.epsilon = momentum, epsilon

    def describe(self, channels) -> Block:
        return self.kind.describe(channels, self.filters, self.inner, self.strides, self, self.se_units)

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "inner": self.inner,
            "groups": self.groups,
            "shortcut": self.shortcut,
            "stride_first": self.stride_first,
            "use_bias": self.use_bias,
            "se_units": self.se_units,
            "drop_path": self.drop_path,
            "zero_init_residual": self.zero_init_residual,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="kerascnn")
class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut, ReLU after the addition (He et al., 2015, figure 5 left).

    Args:
        **kwargs: Those of `ResidualBlock`; the first convolution has the stride.
    """

    kind = RESIDUAL["BasicBlock"]


@keras.saving.register_keras_serializable(package="kerascnn")
class Bottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions and a shortcut, ReLU after the addition (He et al., 2015, figure 5 right).

    Args:
        **kwargs: Those of `ResidualBlock`.
    """

    kind = RESIDUAL["Bottleneck"]


@keras.saving.register_keras_serializable(package="kerascnn")
class SplitAttention(keras.layers.Layer):
    """Convolutions side by side, averaged channel by channel with weights that the image decides (Zhang H. et al., 2020).

    Args:
        filters: Number of output channels.
        groups: Groups of each convolution.
        momentum: Of the moving statistics of both normalizations.
        epsilon: Of both normalizations.

    Input: (batch, height, width, channels); output: (batch, height, width, filters).
    """

    def __init__(self, filters, groups=1, *, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.groups, self.momentum, self.epsilon = filters, groups, momentum, epsilon
        style = Style({"momentum": momentum, "epsilon": epsilon})
        steps = blocks.SplitAttentionStep(self.name, filters, groups).steps
        self.splits, self.reduce, self.expand = (layer_of(step, style, self.dtype_policy) for step in steps)

    def build(self, input_shape):
        build_chain((self.splits,), input_shape)
        build_chain((self.reduce, self.expand), (input_shape[0], 1, 1, self.filters))

    def call(self, x):
        splits = ops.split(self.splits(x), blocks.RADIX, axis=-1)
        means = ops.mean(reduce(ops.add, splits), axis=(1, 2), keepdims=True)
        shape = (-1, self.groups, blocks.RADIX, self.filters // self.groups)
        weights = ops.softmax(ops.reshape(self.expand(self.reduce(means)), shape), axis=2)
        weighed = (split * ops.reshape(weights[:, :, i], (-1, 1, 1, self.filters)) for i, split in enumerate(splits))
        return reduce(ops.add, weighed)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "groups": self.groups, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class SplitAttentionBlock(ResidualBlock):
    """1x1 convolution, `SplitAttention`, 1x1 convolution and a shortcut, ReLU after the addition (Zhang H. et al., 2020).

    Args:
        **kwargs: Those of `ResidualBlock`.
    """

    kind = RESIDUAL["SplitAttentionBlock"]

    def part(self, step):
        if isinstance(step, blocks.SplitAttentionStep):
            norm = {"momentum": self.momentum, "epsilon": self.epsilon}
            return SplitAttention(step.filters, step.groups, **norm, dtype=self.dtype_policy, name=step.name)
        return super().part(step)


@keras.saving.register_keras_serializable(package="kerascnn")
class PreActBasicBlock(ResidualBlock):
    """Two 3x3 convolutions, each after normalization and ReLU, and a shortcut (He et al., 2016, figure 1 b).

    Args:
        **kwargs: Those of `ResidualBlock`; with `use_bias` the last convolution and the projection have one.
    """

    kind = RESIDUAL["PreActBasicBlock"]


@keras.saving.register_keras_serializable(package="kerascnn")
class PreActBottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions, each after normalization and ReLU, and a shortcut (He et al., 2016).

    Args:
        **kwargs: Those of `ResidualBlock`; with `use_bias` the last convolution and the projection have one.
    """

    kind = RESIDUAL["PreActBottleneck"]


@keras.saving.register_keras_serializable(package="kerascnn")
class PlainBlock(Described):
    """Two 3x3 convolutions in sequence: a `BasicBlock` without its shortcut (He et al., 2015, figure 3 middle).

    Args:
        filters: Number of output channels.
        strides: Step of the first convolution.
        inner: Channels between the two (default: `filters`).
        momentum: Of the moving statistics of both normalizations.
        epsilon: Of both normalizations.
    """

    def __init__(self, filters, strides=1, *, inner=None, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides, self.inner = filters, strides, inner or filters
        self.momentum, self.epsilon = momentum, epsilon

    def describe(self, channels) -> Block:
        return blocks.plain(self.filters, self.inner, self.strides)

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"inner": self.inner, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), "filters": self.filters, "strides": self.strides, **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class PoolingBlock(Described):
    """A 3x3 convolution, 2x2 max pooling, normalization and ReLU, then x + conv3x3(conv3x3(x)) if it is residual.

    Pooling first leaves a quarter of the pixels to normalize, as in Page (2018, part 8). In a training step of resnet9 at
    half the width this takes 5 % less time than the other order.

    Args:
        filters: Number of output channels.
        residual: Whether the two further convolutions follow.
        momentum: Momentum of the moving statistics of all normalizations.
        epsilon: Epsilon of all normalizations.

    Input: (batch, height, width, channels); output: (batch, floor(height / 2), floor(width / 2), filters).
    """

    def __init__(self, filters, *, residual=True, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.residual, self.momentum, self.epsilon = filters, residual, momentum, epsilon
        self.make(None)

    def describe(self, channels) -> Block:
        return blocks.pooling(self.filters, self.residual)

    def keep(self, parts: Parts) -> None:
        self.entry, self.branch = parts.entry, parts.branches[0]

    def compute_output_shape(self, input_shape):
        return chain_shape(self.entry, input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "residual": self.residual, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
