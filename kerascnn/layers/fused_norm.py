"""Batch normalization over channels by one fused op, in float32 statistics.

In bfloat16 oneDNN is fast only at multiples of 16 channels, otherwise 6 to 30 times slower. For other numbers, as from
`--width` and searches, neighboring pixels are normalized side by side, as the channels of one pixel.
"""

import math
import os

import tensorflow as tf

from kerascnn.devices import hardware
from kerascnn.devices.kernels import onednn

VECTOR = 16  # channels


def trained(x, scale, offset, epsilon: float):
    """Returns `x` normalized by its own statistics, with these: mean and biased variance, which have no gradient.

    Args:
        x: (batch, height, width, channels), float32, bfloat16 or float16.
        scale, offset: float32 [channels].
        epsilon: Added to the variance.
    """
    together = neighbours(x)
    if together > 1:
        return _trained_side_by_side(x, scale, offset, epsilon, together)
    return _trained(x, scale, offset, epsilon)


def frozen(x, scale, offset, mean, variance, epsilon: float):
    """Returns `x` normalized by given statistics, float32 [channels] each; otherwise as `trained`."""
    if _alone(x):
        factor = scale * tf.math.rsqrt(variance + epsilon)
        return x * factor + (offset - mean * factor)
    together = neighbours(x)
    if together > 1:
        scales, offsets, means, variances = (tf.tile(value, [together]) for value in (scale, offset, mean, variance))
        wide = _side_by_side(x, together)
        return tf.reshape(_frozen(wide, scales, offsets, means, variances, epsilon), tf.shape(x))
    return _frozen(x, scale, offset, mean, variance, epsilon)


def _alone(x) -> bool:
    """Whether `x` may be one image, and this machine slow at it where the op is fused into the convolution before it."""
    if x.shape[0] not in (None, 1) or x.dtype != tf.float32 or not onednn() or tf.config.list_physical_devices("GPU"):
        return False
    return not hardware.fuses_single_images(hardware.isa(hardware.cpu_flags(), os.environ))


def neighbours(x) -> int:
    """Returns how many pixels are treated as one, 1 if their channels fit or no number would; decided while tracing.

    Measured on a 2-core EPYC with avx512_bf16, ms forward and in all for 3.5 million values, as they are and side by side:
    24 channels 13.5 and 30.5, 1.3 and 4.4; 88 channels 8.1 and 19.6, 1.4 and 4.5. Without it a whole step of ResNet-20 at
    half the width takes 2.8 times as long, of Xception (728 channels) 1.2 times. In float32 only the forward pass is slower,
    by 3: two passes would eat that in training, and an inference took 3 to 4 % longer with it.
    """
    if x.dtype != tf.bfloat16 or None in x.shape[1:] or not onednn(x.dtype) or tf.config.list_physical_devices("GPU"):
        return 1
    together = VECTOR // math.gcd(x.shape[-1], VECTOR)
    pixels = x.shape[1] * x.shape[2]
    return together if pixels % together == 0 or (x.shape[0] or 1) * pixels % together == 0 else 1


def _side_by_side(x, together: int):
    pixels = x.shape[1] * x.shape[2]
    places = (-1, pixels // together, 1) if pixels % together == 0 else (1, -1, 1)
    return tf.reshape(x, (*places, together * x.shape[-1]))


def _trained(x, scale, offset, epsilon: float):
    nothing = tf.zeros((0,))
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
    )
    count = _count(x)
    return (
        outputs,
        mean,
        variance * ((count - 1.0) / count),
    )  # the op returns the unbiased variance, 0 for one value


def _count(x):
    """Returns the number of values per channel, float32."""
    return tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), tf.float32)


def _frozen(x, scale, offset, mean, variance, epsilon: float):
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    )[0]


def _trained_side_by_side(x, scale, offset, epsilon: float, together: int):
    @tf.custom_gradient
    def forward(x, scale, offset):
        wide = _side_by_side(x, together)
        ones = tf.ones(wide.shape[-1])
        _, *own = _trained(wide, ones, ones, epsilon)
        means, variances = (tf.reshape(value, (together, -1)) for value in own)
        mean = tf.reduce_mean(means, 0)
        variance = tf.reduce_mean(variances + (means - mean) ** 2, 0)
        scales, offsets, means, variances = (tf.tile(value, [together]) for value in (scale, offset, mean, variance))

        def backward(gradient, *_):
            gradient = _side_by_side(gradient, together)
            to_x, *others = _backward(gradient, wide, scales, means, variances, epsilon, together)
            return tf.reshape(to_x, tf.shape(x)), *others

        outputs = _frozen(wide, scales, offsets, means, variances, epsilon)
        return (tf.reshape(outputs, tf.shape(x)), mean, variance), backward

    return forward(x, scale, offset)


def _backward(gradient, wide, scales, means, variances, epsilon: float, together: int):
    """Returns gradients of `wide`, scale and offset.

    The op subtracts from the gradient of each channel of `wide` that channel's own contribution to scale and offset, instead
    of the contribution of all channels that belong together. The difference is the normalized channel, with differences as
    its scale and offset.
    """
    to_wide, *own, _, _ = tf.raw_ops.FusedBatchNormGradV3(
        y_backprop=gradient,
        x=wide,
        scale=scales,
        reserve_space_1=means,
        reserve_space_2=variances,
        reserve_space_3=tf.zeros((0,)),
        epsilon=epsilon,
        is_training=True,
    )
    whole = [tf.reduce_sum(tf.reshape(value, (together, -1)), 0) for value in own]
    step = scales * tf.math.rsqrt(variances + epsilon) / _count(wide)
    scale, offset = (step * (one - tf.tile(all_ / together, [together])) for one, all_ in zip(own, whole, strict=True))
    return to_wide + _frozen(wide, scale, offset, means, variances, epsilon), *whole
