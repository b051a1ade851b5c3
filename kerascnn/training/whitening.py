"""Whitening of the first convolution: its filters separate the directions of variation of training patches and are not trained.

Its outputs are uncorrelated and have equal variance from the first step on, which a short training then does not need to
learn (Page, 2018, part 8; Jordan, 2024, section 3.2).
"""

import math

import keras
import numpy as np
import tensorflow as tf

from kerascnn.config import Augment, Fit
from kerascnn.data import Splits, pipeline

IMAGES = 2_000  # training images for the covariance: two million patches at 32 px, for 27 x 27 numbers
# Added to the variance of each direction, in the network's pixels, so that small variations are not amplified to noise.
EPSILON = 5e-4
# Share of the largest variance; below it is rounding error, as in the colors of gray images.
NOTHING = 1e-6


def stem(network: keras.Model) -> keras.layers.Layer:
    """Returns the first layer of `network` with weights: a convolution, with its normalization if there is one.

    A whitened stem is not trained at all: its normalization has the statistics of the whitened outputs, and no gradient needs
    to reach the largest images of the network.
    """
    return network.get_layer("stem_1")


def convolution(network: keras.Model) -> keras.layers.Conv2D:
    """Returns the first convolution of `network`, after its preprocessing: every arch begins with one."""
    first = stem(network)
    return getattr(first, "conv", first)


def batches(splits: Splits, fit: Fit) -> tf.data.Dataset:
    """Returns enough unaugmented training images to whiten by, in the order of the run's first epoch."""
    size = min(fit.batch_size, len(splits.train))
    plain = pipeline.training(splits, augment=Augment(augment=("none",)), seed=fit.seed, batch_size=size)
    return plain.take(math.ceil(min(IMAGES, len(splits.train)) / size))


def whiten(network: keras.Model, images: tf.data.Dataset) -> str:
    """Sets the first convolution of `network` to whiten `images`; returns a line about it.

    Filters come in pairs of opposite sign, so that a following ReLU loses nothing, in the order of falling variance. If there
    are more filters than twice the directions (kernel height * width * 3, a third of it if all images are gray), the rest
    keep their initial values. A following normalization gets the statistics of their outputs.

    Args:
        network: A single-output network with a layer `preprocess`.
        images: Images from `batches`.
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
    """Gives the normalization of the stem, if any, the mean and variance of the convolution's outputs for `images`."""
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
    """Returns rows that make patches with this covariance, float [n, n], uncorrelated with variance 1, the largest first.

    There are fewer than n rows if the patches do not vary in every direction.
    """
    variances, vectors = np.linalg.eigh(covariance)
    varies = variances > NOTHING * variances[-1]
    return (vectors[:, varies] / np.sqrt(variances[varies] + EPSILON)).T[::-1]
