"""A first convolution that separates the directions in which patches of the training images vary, and is not trained.

Its outputs are uncorrelated and of equal variance from the first step on; a short training need not find that out (Page,
2018, part 8; Jordan, 2024, section 3.2).
"""

import math

import keras
import numpy as np
import tensorflow as tf

from kerascnn.config import Augment, Fit
from kerascnn.data import Splits, pipeline

IMAGES = 2_000  # whose patches are looked at: two million of them at 32 px, for a covariance of 27 x 27 numbers
# Added to each direction's variance, of pixels as the network sees them: what hardly varies is not blown up to noise.
EPSILON = 5e-4
# Of the largest variance: below it is rounding, as in the colours of grey images.
NOTHING = 1e-6


def stem(network: keras.Model) -> keras.layers.Layer:
    """The first layer of `network` that has weights: a convolution, with its normalization where there is one.

    A whitened one is not trained as a whole: its normalization has the statistics of what it whitened, and no gradient has to
    be carried to the largest images of the network.
    """
    return network.get_layer("stem_1")


def convolution(network: keras.Model) -> keras.layers.Conv2D:
    """The first convolution of `network`, behind its preprocessing: every arch begins with one."""
    first = stem(network)
    return getattr(first, "conv", first)


def batches(splits: Splits, fit: Fit) -> tf.data.Dataset:
    """Training images as they are, enough of them to whiten by, in the order of the run's first epoch."""
    size = min(fit.batch_size, len(splits.train))
    plain = pipeline.training(splits, augment=Augment(augment=("none",)), seed=fit.seed, batch_size=size)
    return plain.take(math.ceil(min(IMAGES, len(splits.train)) / size))


def whiten(network: keras.Model, images: tf.data.Dataset) -> str:
    """Put the whitening of `images` into the first convolution of `network`; returns a line that says so.

    Filters come in pairs of opposite sign, so that a ReLU behind them loses nothing, in order of falling variance. Where
    there are more filters than twice the directions (kernel height * width * 3, a third of it where all images are grey), the
    rest keep their initial values. A normalization behind them gets the statistics of their outputs.

    Args:
        network: Single-output, with a layer `preprocess`.
        images: From `batches`.
    """
    layer = convolution(network)
    seen = keras.Model(network.inputs, network.get_layer("preprocess").output)
    height, width = layer.kernel_size
    covariance, count = np.zeros((height * width * 3, height * width * 3)), 0
    for batch, *_ in images:
        pixels = tf.cast(seen(batch), tf.float32)
        patches = tf.image.extract_patches(pixels, (1, height, width, 1), (1, 1, 1, 1), (1, 1, 1, 1), "VALID")
        flat = tf.reshape(patches, (-1, height * width * 3))
        covariance += tf.matmul(flat, flat, transpose_a=True).numpy()
        count += len(flat)
    kernel = np.array(layer.kernel)
    directions = whitening(covariance / count)[: kernel.shape[-1] // 2]
    pairs = np.concatenate([directions, -directions])
    kernel[..., : len(pairs)] = np.moveaxis(pairs.reshape(-1, height, width, 3), 0, -1)
    layer.kernel.assign(kernel)
    _normalize(network, seen, images)
    return (
        f"whiten  the first convolution: {len(directions)} of {len(covariance)} directions of its patches; not trained"
    )


def _normalize(network: keras.Model, seen: keras.Model, images: tf.data.Dataset) -> None:
    """Give the normalization of the stem, if it has one, the mean and variance of what the convolution makes of `images`."""
    norm = getattr(stem(network), "bn", None)
    if norm is None:
        return
    layer = convolution(network)
    outputs = (tf.cast(layer(seen(batch)), tf.float32) for batch, *_ in images)
    moments = [[tf.reduce_mean(value, (0, 1, 2)).numpy() for value in (y, y**2)] for y in outputs]
    mean, square = np.mean(moments, axis=0)
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(square - mean**2)


def whitening(covariance: np.ndarray) -> np.ndarray:
    """Rows that make patches of this covariance, float [n, n], uncorrelated and of variance 1, the largest first.

    There are fewer than n where the patches don't vary in every direction.
    """
    variances, vectors = np.linalg.eigh(covariance)
    varies = variances > NOTHING * variances[-1]
    return (vectors[:, varies] / np.sqrt(variances[varies] + EPSILON)).T[::-1]
