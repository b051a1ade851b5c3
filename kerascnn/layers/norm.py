"""Batch normalization: Keras' layer with a fused form, and statistics that replicas share."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerascnn.layers import fused_norm, shared_statistics
from kerascnn.layers.paths import fast

__all__ = ["BNReLU", "BatchNormalization"]


@keras.saving.register_keras_serializable(package="kerascnn")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` (Ioffe and Szegedy, 2015) that is fused where that is faster.

    There are two differences from Keras. Moving statistics are averaged over the replicas of a strategy; otherwise their
    copies would diverge, and files would have those of the first replica. Images are normalized by one fused op with float32
    statistics, while Keras reads the tensor many times. Weights, their order and names and the class's name (which weight
    files contain) are those of Keras, and so are results except for rounding: the moving variance is also the biased one.

    Args:
        **kwargs: Those of `keras.layers.BatchNormalization`.

    Attributes:
        over_replicas: Whether training normalizes over the batch of all replicas, by one sum over them per layer and direction;
            set by `--sync-bn` for a training, and not part of files.

    Input and output: any shape; fused for (batch, height, width, channels) normalized over channels.
    """

    over_replicas = False

    def add_weight(self, *args, name=None, **kwargs):
        if name in ("moving_mean", "moving_variance"):
            kwargs["aggregation"] = "mean"
        return super().add_weight(*args, name=name, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if self.over_replicas and training and self.trainable and mask is None and not self.renorm:
            return self._normalized_over_replicas(inputs)
        if not self._fusable(inputs, mask):
            return super().call(inputs, training=training, mask=mask)
        channels = self.moving_mean.shape
        scale = tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels)
        offset = tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels)
        if not (training and self.trainable):
            mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
            return fused_norm.frozen(inputs, scale, offset, mean, variance, self.epsilon)
        outputs, mean, variance = fused_norm.trained(inputs, scale, offset, self.epsilon)
        self._update(self.moving_mean, mean)
        self._update(self.moving_variance, variance)
        return outputs

    def _fusable(self, inputs, mask) -> bool:
        """Returns whether the fused op computes the same as Keras; decided while tracing."""
        images = (
            len(inputs.shape) == 4 and self.axis in (-1, 3) and inputs.dtype in (tf.float32, tf.bfloat16, tf.float16)
        )
        plain = mask is None and not self.synchronized and not self.renorm and self.variable_dtype == "float32"
        return images and plain and fast()

    def _normalized_over_replicas(self, inputs):
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        channels = self.axis % len(x.shape)
        shape = [size if i == channels else 1 for i, size in enumerate(x.shape)]
        axes = [i for i in range(len(shape)) if i != channels]
        mean, variance = shared_statistics.moments(x, axes, shape, ops.cast(self.moving_mean, x.dtype))
        factor = ops.rsqrt(variance + self.epsilon) * (ops.cast(self.gamma, x.dtype) if self.scale else 1.0)
        offset = (ops.cast(self.beta, x.dtype) if self.center else 0.0) - mean * factor
        for variable, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            self._update(variable, ops.cast(tf.stop_gradient(value), variable.dtype))
        return ops.cast(x * ops.reshape(factor, shape) + ops.reshape(offset, shape), self.compute_dtype)

    def _update(self, variable, value) -> None:
        if not shared_statistics.noted(variable, value, self.momentum):
            variable.assign(variable * self.momentum + value * (1.0 - self.momentum))


@keras.saving.register_keras_serializable(package="kerascnn")
class BNReLU(keras.layers.Layer):
    """Batch normalization and ReLU, which precede a convolution in pre-activation networks (He et al., 2016).

    Args:
        momentum: Momentum of the moving statistics, in [0, 1).
        epsilon: Added to the variance.

    Input and output: (batch, height, width, channels).
    """

    def __init__(self, *, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        self.bn = BatchNormalization(momentum=momentum, epsilon=epsilon, dtype=self.dtype_policy, name="bn")

    def build(self, input_shape):
        self.bn.build(input_shape)

    def call(self, x):
        return keras.ops.relu(self.bn(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "epsilon": self.epsilon}
