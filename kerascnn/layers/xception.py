"""Separable convolutions and the residual block made of them (Chollet, 2017). Channels-last."""

from typing import Any

import keras
from keras import layers, ops

from kerascnn.layers.chains import build_chain, identity, strided_shape
from kerascnn.layers.conv import Conv2D, ConvBN, Pool2D
from kerascnn.layers.norm import BatchNormalization
from kerascnn.layers.residual import DropPath


@keras.saving.register_keras_serializable(package="kerascnn")
class SeparableConvBN(layers.Layer):
    """A convolution of each channel by itself, a 1x1 convolution, batch normalization, activation.

    Nothing stands between the two convolutions (Chollet, 2017, section 4.7).

    Args:
        filters: Number of output channels.
        kernel_size: Side of the first convolution's kernel.
        activation: Name of the activation after the normalization, or None.
        gamma_initializer: Where gamma starts.
        momentum: Of the moving statistics.
        epsilon: Added to the variance.

    Input: (batch, height, width, channels); output: (batch, height, width, filters).
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        *,
        activation="relu",
        gamma_initializer="ones",
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.activation = keras.activations.get(activation)
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.momentum, self.epsilon = momentum, epsilon
        options = {"use_bias": False, "dtype": self.dtype_policy}
        self.depthwise = layers.DepthwiseConv2D(
            kernel_size, padding="same", depthwise_initializer="he_normal", name="depthwise", **options
        )
        self.pointwise = Conv2D(filters, 1, kernel_initializer="he_normal", name="pointwise", **options)
        self.bn = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            gamma_initializer=self.gamma_initializer,
            dtype=self.dtype_policy,
            name="bn",
        )

    def build(self, input_shape):
        build_chain((self.depthwise, self.pointwise, self.bn), input_shape)

    def call(self, x):
        return self.activation(self.bn(self.pointwise(self.depthwise(x))))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="kerascnn")
class XceptionBlock(layers.Layer):
    """ReLU and a separable convolution, two or three times, pooling where it strides, and a shortcut.

    Chollet, 2017, figure 5. The ReLU in front does nothing to a stem's output, so the first block needs no form of its own.

    Args:
        filters: Channels of each separable convolution.
        strides: Of the pooling; 1 for none.
        pooling: Padding of the pooling: "symmetric" (timm) or "same" (Keras).
        drop_path: Rate of `DropPath` at the branch's end.
        zero_gamma: Whether the block begins as its shortcut.
        momentum: Of the moving statistics of all normalizations.
        epsilon: Of all normalizations.

    Input: (batch, height, width, channels); output: (batch, ceil(height / strides), ceil(width / strides), filters[-1]).
    """

    def __init__(
        self,
        filters,
        strides=1,
        *,
        pooling="symmetric",
        drop_path=0.0,
        zero_gamma=False,
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.strides, self.pooling = list(filters), strides, pooling
        self.drop_path, self.zero_gamma, self.momentum, self.epsilon = drop_path, zero_gamma, momentum, epsilon

    def build(self, input_shape):
        policy, norm = self.dtype_policy, {"momentum": self.momentum, "epsilon": self.epsilon}
        gammas = ["ones"] * (len(self.filters) - 1) + ["zeros" if self.zero_gamma else "ones"]
        self.convs = [
            SeparableConvBN(filters, activation=None, gamma_initializer=gamma, dtype=policy, name=f"conv{i}", **norm)
            for i, (filters, gamma) in enumerate(zip(self.filters, gammas, strict=True), 1)
        ]
        self.pool, self.projection = identity("pool", policy), identity("projection", policy)
        if self.strides > 1:
            self.pool = Pool2D("max", 3, self.strides, self.pooling, dtype=policy, name="pool")
        if self.strides > 1 or input_shape[-1] != self.filters[-1]:
            options = {"activation": None, "dtype": policy, "name": "projection"}
            self.projection = ConvBN(self.filters[-1], 1, self.strides, **options, **norm)
        self.drop = DropPath(self.drop_path, dtype=policy, name="drop") if self.drop_path else identity("drop", policy)
        build_chain((*self.convs, self.pool, self.drop), input_shape)
        self.projection.build(input_shape)

    def call(self, x):
        branch = x
        for conv in self.convs:
            branch = conv(ops.relu(branch))
        return self.drop(self.pool(branch)) + self.projection(x)

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "strides": self.strides,
            "pooling": self.pooling,
            "drop_path": self.drop_path,
            "zero_gamma": self.zero_gamma,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
