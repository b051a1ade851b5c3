"""The residual block of separable convolutions (Chollet, 2017). Channels-last."""

from dataclasses import replace
from typing import Any

import keras

from kerascnn.architectures import blocks
from kerascnn.architectures.steps import Block
from kerascnn.layers.chains import strided_shape
from kerascnn.layers.described import Described, Parts
from kerascnn.layers.parts import SeparableConvBN

__all__ = ["XceptionBlock"]


@keras.saving.register_keras_serializable(package="kerascnn")
class XceptionBlock(Described):
    """ReLU and a separable convolution, two or three times, pooling if it has strides, and a shortcut.

    Chollet, 2017, figure 5. The first ReLU does not change the output of a stem, so the first block needs no form of its own.

    Args:
        filters: Channels of each separable convolution.
        strides: Strides of the pooling; 1 for none.
        pooling: Padding of the pooling: "symmetric" (timm) or "same" (Keras).
        drop_path: Rate of `DropPath` at the branch's end.
        zero_init_residual: Whether the block begins as its shortcut.
        momentum: Momentum of the moving statistics of all normalizations.
        epsilon: Epsilon of all normalizations.

    Input: (batch, height, width, channels); output: (batch, ceil(height / strides), ceil(width / strides), filters[-1]).
    """

    def __init__(
        self,
        filters,
        strides=1,
        *,
        pooling="symmetric",
        drop_path=0.0,
        zero_init_residual=False,
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.strides, self.pooling = list(filters), strides, pooling
        self.drop_path, self.zero_init_residual = drop_path, zero_init_residual
        self.momentum, self.epsilon = momentum, epsilon

    def describe(self, channels) -> Block:
        return blocks.xception(channels, self.filters, self.strides, self.pooling)

    def keep(self, parts: Parts) -> None:
        (branch,) = parts.branches
        self.convs = [layer for layer in branch if isinstance(layer, SeparableConvBN)]
        super().keep(replace(parts, branches=[[layer for layer in branch if layer not in self.convs]]))

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "strides": self.strides,
            "pooling": self.pooling,
            "drop_path": self.drop_path,
            "zero_init_residual": self.zero_init_residual,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
