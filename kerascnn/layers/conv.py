"""Convolution and pooling with the published networks' padding; the conv-norm-activation unit. All channels-last."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerascnn.devices.kernels import onednn
from kerascnn.layers import kernel_gradient
from kerascnn.layers.norm import BatchNormalization
from kerascnn.layers.paths import fast

__all__ = ["Conv2D", "ConvBN", "Pool2D"]

PADDINGS = ("symmetric", "same", "valid")


@keras.saving.register_keras_serializable(package="kerascnn")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`, channels-last, that also pads as the published networks do.

    At stride 2 TensorFlow's "same" pads an even input on the right and below only, where Caffe and torch pad both sides.
    Weights, their names and the class's name (which weight files contain) are Keras' own.

    Args:
        filters: Number of output channels.
        kernel_size: One integer, or height and width; odd where the padding is symmetric.
        strides: One integer, or height and width.
        padding: "symmetric" ((kernel - 1) / 2 zeros on every side), or Keras' "same" or "valid".
        **kwargs: Those of `keras.layers.Conv2D`.

    Input: (batch, height, width, channels); output: (batch, ceil(height / stride), ceil(width / stride), filters) unless
    "valid". Raises ValueError for an even kernel with symmetric padding.
    """

    def __init__(self, filters, kernel_size, strides=1, padding="valid", **kwargs):
        self.symmetric = padding == "symmetric"
        super().__init__(filters, kernel_size, strides, "same" if self.symmetric else padding, **kwargs)
        if self.data_format != "channels_last":
            raise ValueError(f"Conv2D is channels-last only. Received: data_format={self.data_format}")
        if self.symmetric and not all(size % 2 for size in self.kernel_size):
            raise ValueError(f"symmetric padding needs an odd kernel. Received: kernel_size={self.kernel_size}")

    def call(self, inputs, training=None):
        # Only in training, so that inference graphs contain only a convolution.
        plain = self.groups == 1 and max(self.dilation_rate) == 1 and not self.use_bias
        linear = self.activation is keras.activations.linear
        if training and plain and linear and kernel_gradient.pays(inputs, self.kernel, self.strides, self.padding):
            padded, padding = self._padded(inputs)
            return kernel_gradient.convolution(padded, tf.convert_to_tensor(self.kernel), self.strides, padding)
        return super().call(inputs)

    def convolution_op(self, inputs, kernel):
        inputs, padding = self._padded(inputs)
        if kernel_gradient.wrong_in_onednn(inputs, kernel, self.strides):
            down, right = self.strides
            return ops.conv(inputs[:, ::down, ::right], kernel, 1, "valid", self.data_format)
        if self.groups > 1 and max(self.dilation_rate) == 1 and fast():
            return grouped_convolution(inputs, kernel, self.strides, padding.upper(), self.groups)
        return ops.conv(inputs, kernel, list(self.strides), padding, self.data_format, self.dilation_rate)

    def _padded(self, inputs):
        """Returns the inputs, and the padding that is left for the operation."""
        if self.symmetric and max(self.strides) > 1 and max(self.kernel_size) > 1:
            # tf.pad + VALID stays in oneDNN; an explicit padding list in tf.nn.conv2d leaves it: 80 x slower on a CPU.
            return pad(inputs, *((size - 1) // 2 for size in self.kernel_size)), "valid"
        return inputs, self.padding

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": "symmetric" if self.symmetric else self.padding}


def pad(x, height: int, width: int, value: float = 0.0):
    """Pads `x` with this number of rows and columns of `value` on every side."""
    return tf.pad(x, ((0, 0), (height, height), (width, width), (0, 0)), constant_values=tf.cast(value, x.dtype))


def uncounted(x, before: int, after: int):
    """Pads `x` with values that are never the maximum of a window that also covers the image.

    The value is the lowest number of the type. Within `finite_padding` it is a number that occurs: zero if `x` cannot be
    negative, else the rows and columns at the edge, which every such window covers as well.
    """
    sides = ((0, 0), (before, after), (before, after), (0, 0))
    if not _FINITE.get():
        return tf.pad(x, sides, constant_values=x.dtype.min)
    return tf.pad(x, sides) if _never_negative(x) else tf.pad(x, sides, mode="SYMMETRIC")


_FINITE = contextvars.ContextVar("finite", default=False)


@contextlib.contextmanager
def finite_padding() -> Iterator[None]:
    """Within it, graphs pad maxima with finite numbers: an 8-bit range that includes -3e38 has no room for others."""
    before = _FINITE.set(True)
    try:
        yield
    finally:
        _FINITE.reset(before)


def _never_negative(x) -> bool:
    """Returns whether a tensor of a graph is a rectified one, or derived from such tensors."""
    if tf.executing_eagerly() and not hasattr(x, "op"):
        return False
    waiting, kinds = [x.op], {"Relu", "Relu6"}
    through = {
        "ConcatV2": slice(0, -1),
        "MaxPool": slice(0, 1),
        "AvgPool": slice(0, 1),
        "AddV2": slice(0, 2),
        "Pad": slice(0, 1),
    }
    through["Identity"] = slice(0, 1)
    while waiting:
        op = waiting.pop()
        if op.type in through:
            waiting += [each.op for each in op.inputs[through[op.type]]]
        elif op.type not in kinds:
            return False
    return True


def grouped_convolution(x, kernel, strides: tuple[int, int], padding: str, groups: int):
    """A grouped convolution without the nested XLA function that Keras wraps it in, on CPUs as well.

    128 channels in 32 groups at 56 x 56 in float32, forward and backward: 11 s in XLA, 67 ms split, 37 ms here.
    """
    if tf.config.list_physical_devices("GPU") or onednn(x.dtype):
        return tf.nn.conv2d(x, kernel, strides, padding)
    # On a CPU only oneDNN's kernels for these two dtypes have a gradient for grouped convolutions.
    parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([tf.nn.conv2d(part, weights, strides, padding) for part, weights in parts], -1)


@keras.saving.register_keras_serializable(package="kerascnn")
class Pool2D(keras.layers.Layer):
    """Max or average pooling with the paddings of the published networks.

    Args:
        kind: "max" or "avg".
        size: Side of the window.
        strides: Step of the window.
        padding: "symmetric" ((size - 1) / 2 on every side that never count: minus infinity in a maximum, left out of an
            average), "zeros" (the same, counted as zeros: torch's count_include_pad, Keras' ZeroPadding2D), "ceil" (none,
            but a last window may reach over the edge: torch's ceil_mode), or Keras' "same" or "valid".

    Input: (batch, height, width, channels). Raises ValueError for an unknown kind or padding, for an even window with
    symmetric padding, and for a symmetric average with strides, which no published network has.
    """

    def __init__(self, kind, size, strides=1, padding="symmetric", **kwargs):
        super().__init__(**kwargs)
        if kind not in ("max", "avg"):
            raise ValueError(f"kind must be max or avg. Received: kind={kind!r}")
        if padding not in (*PADDINGS, "zeros", "ceil"):
            raise ValueError(f"padding must be symmetric, zeros, ceil, same or valid. Received: padding={padding!r}")
        if padding in ("symmetric", "zeros") and size % 2 == 0:
            raise ValueError(f"{padding} padding needs an odd window. Received: size={size}")
        if kind == "avg" and (padding == "ceil" or (padding == "symmetric" and strides > 1)):
            raise ValueError(f"an average over {padding} padding with strides {strides} is not supported")
        self.kind, self.size, self.strides, self.padding = kind, size, strides, padding

    def call(self, x):
        pool = ops.max_pool if self.kind == "max" else ops.average_pool
        side = (self.size - 1) // 2
        if self.padding == "zeros":
            return pool(pad(x, side, side), self.size, self.strides, "valid")
        if self.padding == "ceil":
            return pool(uncounted(x, 0, self.strides - 1), self.size, self.strides, "valid")
        if self.padding == "symmetric" and self.strides > 1:
            return pool(uncounted(x, side, side), self.size, self.strides, "valid")
        return pool(x, self.size, self.strides, "valid" if self.padding == "valid" else "same")

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        return (batch, *(self._side(side) for side in sides), channels)

    def _side(self, side: int | None) -> int | None:
        if side is None:
            return None
        if self.padding == "valid":
            return (side - self.size) // self.strides + 1
        if self.padding == "ceil":
            return -(-(side - self.size) // self.strides) + 1
        return -(-side // self.strides)

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "size": self.size, "strides": self.strides, "padding": self.padding}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="kerascnn")
class ConvBN(keras.layers.Layer):
    """Convolution, batch normalization, activation: the atom of both families (Ioffe and Szegedy, 2015).

    Args:
        filters: Number of output channels.
        kernel_size: One integer, or height and width.
        strides: One integer.
        padding: "symmetric", "same" or "valid" (see `Conv2D`).
        activation: Name of the activation after the normalization, or None.
        groups: Groups of the convolution; they divide the channels of both sides.
        use_bias: Whether the convolution has a bias as well (only where published weights have one).
        scale: Whether the normalization has a gamma.
        gamma_initializer: Initializer of gamma; "zeros" makes a residual block begin as the identity.
        momentum: Momentum of the moving statistics, in [0, 1).
        epsilon: Added to the variance.

    Input: (batch, height, width, channels); output as `Conv2D`'s.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="symmetric",
        *,
        activation="relu",
        groups=1,
        use_bias=False,
        scale=True,
        gamma_initializer="ones",
        momentum=0.9,
        epsilon=1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides, self.padding = filters, kernel_size, strides, padding
        self.activation = keras.activations.get(activation)
        self.groups, self.use_bias, self.scale = groups, use_bias, scale
        self.gamma_initializer = keras.initializers.get(gamma_initializer)
        self.momentum, self.epsilon = momentum, epsilon
        self.conv = Conv2D(
            filters,
            kernel_size,
            strides,
            padding,
            groups=groups,
            use_bias=use_bias,
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="conv",
        )
        self.bn = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            scale=scale,
            gamma_initializer=self.gamma_initializer,
            dtype=self.dtype_policy,
            name="bn",
        )

    def build(self, input_shape):
        self.conv.build(input_shape)
        self.bn.build(self.conv.compute_output_shape(input_shape))

    def call(self, x):
        return self.activation(self.bn(self.conv(x)))

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "activation": keras.activations.serialize(self.activation),
            "groups": self.groups,
            "use_bias": self.use_bias,
            "scale": self.scale,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
