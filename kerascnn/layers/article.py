"""The blocks of the two networks of the comparison article: convolution, bias, ReLU; no normalization. Channels-last.

`kerascnn.models.article` says what of the article they keep and what they mend.
"""

from typing import Any

import keras
from keras import layers, ops

from kerascnn.layers.chains import build_chain, identity, through
from kerascnn.layers.conv import Conv2D


def conv_relu(filters, kernel_size, strides=1, **kwargs) -> Conv2D:
    """A convolution with bias and ReLU, padded symmetrically."""
    options = {"activation": "relu", "kernel_initializer": "he_normal", **kwargs}
    return Conv2D(filters, kernel_size, strides, "symmetric", **options)


@keras.saving.register_keras_serializable(package="kerascnn")
class ArticleResidual(layers.Layer):
    """y = F(x) + x, where F is one 3x3 convolution with its ReLU; none follows the addition.

    Args:
        filters: Number of output channels; where the input has another number, x goes through a 1x1 convolution.

    Input: (batch, height, width, channels); output: (batch, height, width, filters).
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        policy = self.dtype_policy
        self.conv = conv_relu(self.filters, 3, dtype=policy, name="conv")
        self.projection = identity("projection", policy)
        if input_shape[-1] != self.filters:
            options = {"kernel_initializer": "he_normal", "dtype": policy, "name": "projection"}
            self.projection = Conv2D(self.filters, 1, **options)
        self.conv.build(input_shape)
        self.projection.build(input_shape)

    def call(self, x):
        return self.conv(x) + self.projection(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="kerascnn")
class ArticleModule(layers.Layer):
    """Four branches side by side, then a 1x1 convolution to the first branch's channels and one back to the input's.

    The branches: 1x1; 1x1 then 1x3; 1x1 then 3x1; 1x1 then 3x3.

    Args:
        filters: Channels of the four branches, in all of their convolutions.

    Input and output: (batch, height, width, channels).
    """

    KERNELS = ((), ((1, 3),), ((3, 1),), ((3, 3),))

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = list(filters)
        if len(self.filters) != len(self.KERNELS):
            raise ValueError(f"ArticleModule has four branches. Received: filters={filters}")

    def build(self, input_shape):
        policy = self.dtype_policy
        self.branches = [
            [
                conv_relu(filters, kernel, dtype=policy, name=f"branch{i}_{j}")
                for j, kernel in enumerate(((1, 1), *kernels), 1)
            ]
            for i, (filters, kernels) in enumerate(zip(self.filters, self.KERNELS, strict=True), 1)
        ]
        self.narrow = conv_relu(self.filters[0], 1, dtype=policy, name="narrow")
        self.widen = conv_relu(input_shape[-1], 1, dtype=policy, name="widen")
        for branch in self.branches:
            build_chain(branch, input_shape)
        build_chain((self.narrow, self.widen), (*input_shape[:-1], sum(self.filters)))

    def call(self, x):
        mixed = ops.concatenate([through(branch, x) for branch in self.branches], axis=-1)
        return self.widen(self.narrow(mixed))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": list(self.filters)}
