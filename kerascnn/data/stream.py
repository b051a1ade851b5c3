"""Streams of images: the order of training images, and images that are decoded in parallel and come in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import Phase
from kerascnn.data import decode
from kerascnn.data.sampling import Epoch

TRIES = 101  # an image and its successors; a data set with more damaged files in a row is unusable
# AutoGraph is not needed here: it is slow, and fails on bound methods.
as_written = tf.autograph.experimental.do_not_convert
# Traced once (half a second) for all data sets.
_STRING = [tf.TensorSpec([], tf.string)]
read_file = tf.function(decode.read, input_signature=_STRING, autograph=False)
native = tf.function(decode.native, input_signature=_STRING, autograph=False)
decoded = tf.function(decode.decode, input_signature=_STRING, autograph=False)
Read = Callable[[tf.Tensor], tf.Tensor]


def _nobody(parts: int) -> None:
    """Ignores the number of finished images."""


@as_written
def order(epoch_of: Epoch, count: int, batch_size: int, start_step: int = 0) -> tf.data.Dataset:
    """Returns endless batches of (showing, index), int64 [batch] each, of epochs that show `count` images each (`sampling`).

    A batch continues over the end of an epoch. A stream from `start_step` has the batches of a stream from 0 after that many.
    """
    first_epoch, offset = divmod(start_step * batch_size, count)

    def one_epoch(epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        showing, index = epoch_of(epoch)
        start = tf.where(tf.equal(epoch, first_epoch), tf.constant(offset, tf.int64), 0)
        return showing[start:], index[start:]

    return tf.data.Dataset.counter(first_epoch).map(one_epoch).rebatch(batch_size, drop_remainder=True)


def in_order(dataset: tf.data.Dataset, one: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
    """Maps each element by `one` to a data set of one element; they are computed in parallel and come in order."""
    cycle = 2 * (os.cpu_count() or 1)
    return dataset.interleave(one, cycle_length=cycle, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def or_else(attempt: tf.data.Dataset, otherwise: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the first element of `attempt` that is computed without an error, else that of `otherwise`."""
    return attempt.ignore_errors().concatenate(otherwise).take(1)


def successors(valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of each image's substitute, int64 [n], and whether there is one, float32 [n].

    A damaged image is replaced by the next valid one, cyclically, among TRIES. `training` finds the same without a table.
    """
    count, good = len(valid), np.flatnonzero(valid)
    if not len(good):
        return np.arange(count), np.zeros(count, np.float32)
    indices = np.arange(count)
    following = np.r_[good, good[0] + count][np.searchsorted(good, indices)]
    found = following - indices < TRIES
    return np.where(found, following % count, indices), found.astype(np.float32)


@as_written
def read_all(read: Read, count: int, phase: Phase | None = None) -> tf.Tensor:
    """Returns all encoded images, string [count]; "" for one that cannot be read."""
    # TensorFlow counts them: they are one batch, which is never copied.
    with tf.device("CPU:0"):
        counted = tf.Variable(0, dtype=tf.int64, trainable=False, name="read")

    def noted(index: tf.Tensor) -> tf.Tensor:
        counted.assign_add(1, read_value=False)
        return read(index)

    def one(index: tf.Tensor) -> tf.data.Dataset:
        return or_else(tf.data.Dataset.from_tensors(index).map(noted), tf.data.Dataset.from_tensors(b""))

    if phase is not None:
        phase.watch(lambda: int(counted.numpy()))
    return next(iter(in_order(tf.data.Dataset.range(count), one).batch(count)))


@as_written
def decodable(read: Read, indices: np.ndarray, advance: Callable[[int], None] = _nobody) -> np.ndarray:
    """Returns which of the encoded images at int64 [n] indices can be decoded, bool [n]."""

    def valid(index: tf.Tensor) -> tf.Tensor:
        return tf.size(decoded(read(index))) > 0

    flags = in_order(tf.data.Dataset.from_tensor_slices(indices), lambda index: _attempt(index, valid, False))

    def counted() -> Iterator[bool]:
        for flag in flags.as_numpy_iterator():
            advance(1)
            yield flag

    return np.fromiter(counted(), bool, len(indices))


@as_written
def decode_all(read: Read, into: np.ndarray, mode: decode.Mode, advance: Callable[[int], None] = _nobody) -> np.ndarray:
    """Fills uint8 [n, size, size, 3] with the images as scoring sees them; returns which could be decoded, bool [n]."""
    count, size = into.shape[:2]
    valid, at = np.zeros(count, bool), 0
    images = scored(tf.data.Dataset.range(count), read, size, mode)
    for some, flags in images.batch(64).prefetch(2).as_numpy_iterator():
        into[at : at + len(some)], valid[at : at + len(some)] = some, flags
        at += len(some)
        advance(len(some))
    return valid


@as_written
def scored(indices: tf.data.Dataset, read: Read, size: int, mode: decode.Mode) -> tf.data.Dataset:
    """Returns (uint8 [size, size, 3], bool []) of each index: the image as scoring sees it, or black and False."""
    blank = tf.zeros([size, size, 3], tf.uint8), False
    return in_order(
        indices, lambda index: _attempt(index, lambda p: (decode.resize(decoded(read(p)), size, mode), True), blank)
    )


def _attempt(index: tf.Tensor, function: Callable, otherwise: object) -> tf.data.Dataset:
    return or_else(tf.data.Dataset.from_tensors(index).map(function), tf.data.Dataset.from_tensors(otherwise))
