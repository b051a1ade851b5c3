"""Layers for blocks: gate, drop, shortcut without weights, separable convolution. All channels-last."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from kerascnn.layers.chains import build_chain, strided_shape
from kerascnn.layers.conv import Conv2D
from kerascnn.layers.norm import BatchNormalization
from kerascnn.layers.paths import fast

__all__ = ["DropBlock", "DropPath", "PadShortcut", "SeparableConvBN", "SqueezeExcite"]


@keras.saving.register_keras_serializable(package="kerascnn")
class SqueezeExcite(layers.Layer):
    """Scales each channel by a gate computed from all channels' means (Hu et al., 2018, section 3).

    Args:
        filters: Units of the narrow layer in the middle.

    Input and output: (batch, height, width, channels).
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        policy, channels = self.dtype_policy, input_shape[-1]
        self.reduce = layers.Dense(self.filters, "relu", kernel_initializer="he_normal", dtype=policy, name="reduce")
        self.expand = layers.Dense(channels, "sigmoid", dtype=policy, name="expand")
        self.reduce.build((input_shape[0], channels))
        self.expand.build((input_shape[0], self.filters))

    def call(self, x):
        gate = self.expand(self.reduce(ops.mean(x, axis=(1, 2))))
        return x * gate[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="kerascnn")
class DropPath(layers.Layer):
    """Drops a residual branch for whole images, in training only (stochastic depth; Huang et al., 2016).

    Args:
        rate: Probability of dropping, in [0, 1); what is kept is divided by 1 - rate. ValueError outside.
        seed: Seed of the draws, or None.

    Input and output: (batch, ...).
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1). Received: rate={rate}")
        self.rate, self.seed = rate, seed
        # As in Keras' own random layers: a variable, so that saving all variables of a model saves the state of the draws.
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        keep = 1.0 - self.rate
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        draws = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        return x * (ops.cast(draws < keep, x.dtype) / ops.cast(keep, x.dtype))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerascnn")
class DropBlock(layers.Layer):
    """Drops squares of neighboring pixels of each channel, in training only (Ghiasi et al., 2018).

    Args:
        rate: Expected share of the pixels that are dropped, in [0, 1); what is kept is scaled up by as much as the batch lost.
            ValueError outside.
        size: Side of a square in pixels, cut to that of the image.
        seed: Seed of the draws, or None.

    Input and output: (batch, height, width, channels) of a known height and width.
    """

    def __init__(self, rate, size=7, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be in [0, 1). Received: rate={rate}")
        self.rate, self.size, self.seed = rate, size, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        batch, height, width, channels = ops.shape(x)
        size = min(self.size, *x.shape[1:3])
        rows, columns = height - size + 1, width - size + 1  # of corners of squares that lie within the image
        share = self.rate * ops.cast(height * width, "float32") / ops.cast(size * size * rows * columns, "float32")
        draws = keras.random.uniform((batch, rows, columns, channels), dtype="float32", seed=self.seed_generator)
        edge = ((0, 0), (size - 1, size - 1), (size - 1, size - 1), (0, 0))
        corners = ops.pad(ops.cast(draws < share, "float32"), edge)
        kept = 1.0 - ops.max_pool(corners, size, 1, "valid")
        scale = ops.cast(ops.size(kept), "float32") / ops.maximum(ops.sum(kept), 1.0)
        return x * ops.cast(kept * scale, x.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "size": self.size, "seed": self.seed}


@keras.saving.register_keras_serializable(package="kerascnn")
class PadShortcut(layers.Layer):
    """Shortcut without weights: every `strides`-th pixel, zeros for the channels that x lacks (He et al., 2015, option A).

    Half of the zeros are added before and half after the channels, as in most reimplementations.

    Args:
        filters: Number of output channels, no fewer than the input's (ValueError).
        strides: Step in both directions.
    """

    def __init__(self, filters, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides

    def build(self, input_shape):
        if input_shape[-1] > self.filters:
            raise ValueError(
                f"a shortcut of kind A cannot narrow {input_shape[-1]} channels to {self.filters}; use kind B"
            )

    def call(self, x):
        missing = self.filters - x.shape[-1]
        if self.strides > 1 and fast():
            # The same pixels in a third of the time: slices with steps and their gradient were 7.8 % of a step of resnet20.
            x = tf.nn.avg_pool2d(x, 1, self.strides, "VALID")
        else:
            x = x[:, :: self.strides, :: self.strides, :]
        return tf.pad(x, ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)))

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable(package="kerascnn")
class SeparableConvBN(layers.Layer):
    """A convolution of each channel by itself, a 1x1 convolution, batch normalization, activation.

    There is nothing between the two convolutions (Chollet, 2017, section 4.7).

    Args:
        filters: Number of output channels.
        kernel_size: Side of the first convolution's kernel.
        activation: Name of the activation after the normalization, or None.
        gamma_initializer: Initializer of gamma.
        momentum: Momentum of the moving statistics.
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
