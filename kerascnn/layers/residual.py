"""Residual blocks (He et al., 2015) and their parts.

All are channels-last: (batch, height, width, channels) to (batch, ceil(height / strides), ceil(width / strides), filters).
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from kerascnn.layers.chains import build_chain, chain_shape, identity, strided_shape, through
from kerascnn.layers.conv import Conv2D, ConvBN, Pool2D
from kerascnn.layers.norm import BNReLU
from kerascnn.layers.paths import fast

SHORTCUTS = ("A", "B", "D", "pool")


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
        # Keras' own state of its random layers: a variable, so that saving all variables of a model saves the draws' place.
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
class PadShortcut(layers.Layer):
    """Shortcut without weights: every `strides`-th pixel, zeros for the channels that x lacks (He et al., 2015, option A).

    The zeros stand half in front and half behind, as in most reimplementations.

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


class ResidualBlock(layers.Layer):
    """What all residual blocks take; itself no block.

    Args:
        filters: Number of output channels.
        strides: Step of the block.
        inner: Channels inside (default: `filters`, a quarter of it in bottlenecks).
        groups: Groups of the 3x3 convolution of a bottleneck (ResNeXt: Xie et al., 2017).
        shortcut: Where shapes change: "A" (`PadShortcut`), "B" (1x1 convolution with the stride), "D" (average pooling, then a
            1x1 convolution: He T. et al., 2019), "pool" (B where channels change, else a strided maximum over single
            pixels: keras.applications' ResNetV2). ValueError for others.
        stride_first: Whether a bottleneck's first 1x1 has the stride (the papers, Keras), or its 3x3 (torchvision, "v1.5").
        use_bias: Whether convolutions have biases too, as in keras.applications.
        squeeze: Units of a squeeze-and-excitation at the branch's end, 0 for none.
        drop_path: Rate of `DropPath` at the branch's end.
        zero_gamma: Whether the block begins as the identity (Goyal et al., 2017).
        momentum: Of the moving statistics of all normalizations.
        epsilon: Of all normalizations.
    """

    EXPANSION = 1

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
        squeeze=0,
        drop_path=0.0,
        zero_gamma=False,
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut must be one of {', '.join(SHORTCUTS)}. Received: shortcut={shortcut!r}")
        self.filters, self.strides, self.groups = filters, strides, groups
        self.inner = inner or filters // self.EXPANSION
        self.shortcut, self.stride_first, self.use_bias, self.squeeze = shortcut, stride_first, use_bias, squeeze
        self.drop_path, self.zero_gamma, self.momentum, self.epsilon = drop_path, zero_gamma, momentum, epsilon

    def _conv(self, name, filters, kernel_size, strides=1, **options):
        norm = {"momentum": self.momentum, "epsilon": self.epsilon, "use_bias": self.use_bias}
        return ConvBN(filters, kernel_size, strides, dtype=self.dtype_policy, name=name, **norm, **options)

    def _bottleneck_strides(self) -> tuple[int, int]:
        """Strides of the first 1x1 and of the 3x3 convolution."""
        return (self.strides, 1) if self.stride_first else (1, self.strides)

    def _last(self, name, kernel_size):
        """The last convolution of a branch. Its gamma may start at 0, so that deep networks start like shallow ones."""
        gamma = "zeros" if self.zero_gamma else "ones"
        return self._conv(name, self.filters, kernel_size, activation=None, gamma_initializer=gamma)

    def _build_ends(self, input_shape) -> list:
        """Gate and drop of the branch, to be built behind its convolutions; the shortcut, built here."""
        policy = self.dtype_policy
        self.gate = SqueezeExcite(self.squeeze, dtype=policy, name="gate") if self.squeeze else identity("gate", policy)
        self.drop = DropPath(self.drop_path, dtype=policy, name="drop") if self.drop_path else identity("drop", policy)
        self.pool, self.projection = self._shortcut_layers(input_shape)
        build_chain((self.pool, self.projection), input_shape)
        return [self.gate, self.drop]

    def _shortcut_layers(self, input_shape):
        """Pooling and projection that give the input the branch's shape; identities where it has it."""
        policy = self.dtype_policy
        if self.strides == 1 and input_shape[-1] == self.filters:
            return identity("pool", policy), identity("projection", policy)
        if self.shortcut == "A":
            return identity("pool", policy), PadShortcut(self.filters, self.strides, dtype=policy, name="projection")
        if self.shortcut == "pool" and input_shape[-1] == self.filters:
            return Pool2D("max", 1, self.strides, "valid", dtype=policy, name="pool"), identity("projection", policy)
        if self.shortcut == "D" and self.strides > 1:
            pool = Pool2D("avg", self.strides, self.strides, "same", dtype=policy, name="pool")
            return pool, self._projection(1)
        return identity("pool", policy), self._projection(self.strides)

    def _projection(self, strides):
        return self._conv("projection", self.filters, 1, strides, activation=None)

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
            "squeeze": self.squeeze,
            "drop_path": self.drop_path,
            "zero_gamma": self.zero_gamma,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(package="kerascnn")
class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions and a shortcut, ReLU after the addition (He et al., 2015, figure 5 left).

    Args:
        **kwargs: Those of `ResidualBlock`; the first convolution has the stride.
    """

    def build(self, input_shape):
        self.conv1 = self._conv("conv1", self.inner, 3, self.strides)
        self.conv2 = self._last("conv2", 3)
        build_chain([self.conv1, self.conv2, *self._build_ends(input_shape)], input_shape)

    def call(self, x):
        branch = self.drop(self.gate(self.conv2(self.conv1(x))))
        return ops.relu(branch + self.projection(self.pool(x)))


@keras.saving.register_keras_serializable(package="kerascnn")
class PlainBlock(layers.Layer):
    """Two 3x3 convolutions one behind the other: a `BasicBlock` without its shortcut (He et al., 2015, figure 3 middle).

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

    def build(self, input_shape):
        options = {"momentum": self.momentum, "epsilon": self.epsilon, "dtype": self.dtype_policy}
        self.conv1 = ConvBN(self.inner, 3, self.strides, name="conv1", **options)
        self.conv2 = ConvBN(self.filters, 3, name="conv2", **options)
        build_chain((self.conv1, self.conv2), input_shape)

    def call(self, x):
        return self.conv2(self.conv1(x))

    def compute_output_shape(self, input_shape):
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        own = {"inner": self.inner, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), "filters": self.filters, "strides": self.strides, **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class Bottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions and a shortcut, ReLU after the addition (He et al., 2015, figure 5 right).

    Args:
        **kwargs: Those of `ResidualBlock`.
    """

    EXPANSION = 4

    def build(self, input_shape):
        first, second = self._bottleneck_strides()
        self.conv1 = self._conv("conv1", self.inner, 1, first)
        self.conv2 = self._conv("conv2", self.inner, 3, second, groups=self.groups)
        self.conv3 = self._last("conv3", 1)
        build_chain([self.conv1, self.conv2, self.conv3, *self._build_ends(input_shape)], input_shape)

    def call(self, x):
        branch = self.drop(self.gate(self.conv3(self.conv2(self.conv1(x)))))
        return ops.relu(branch + self.projection(self.pool(x)))


@keras.saving.register_keras_serializable(package="kerascnn")
class PoolingBlock(layers.Layer):
    """A 3x3 convolution, 2x2 max pooling, normalization and ReLU, then x + conv3x3(conv3x3(x)) where it is residual.

    Pooled first, a quarter of the pixels is normalized: the form that Page came to (2018, part 8). In a training step of resnet9
    at half the width it takes 5 % less time than the other order.

    Args:
        filters: Number of output channels.
        residual: Whether the two further convolutions follow.
        momentum: Of the moving statistics of all normalizations.
        epsilon: Of all normalizations.

    Input: (batch, height, width, channels); output: (batch, floor(height / 2), floor(width / 2), filters).
    """

    def __init__(self, filters, *, residual=True, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.residual, self.momentum, self.epsilon = filters, residual, momentum, epsilon
        options = {"momentum": momentum, "epsilon": epsilon, "dtype": self.dtype_policy}
        policy = self.dtype_policy
        self.entry = [
            Conv2D(
                filters, 3, 1, "symmetric", use_bias=False, kernel_initializer="he_normal", dtype=policy, name="conv"
            ),
            Pool2D("max", 2, 2, "valid", dtype=policy, name="pool"),
            BNReLU(name="norm", **options),
        ]
        self.branch = [ConvBN(filters, 3, name=f"residual{i}", **options) for i in (1, 2)] if residual else []

    def build(self, input_shape):
        build_chain(self.branch, build_chain(self.entry, input_shape))

    def call(self, x):
        x = through(self.entry, x)
        return x + through(self.branch, x) if self.branch else x

    def compute_output_shape(self, input_shape):
        return chain_shape(self.entry, input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {"filters": self.filters, "residual": self.residual, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
