"""The order of training images: one endless stream that can start anywhere."""

from __future__ import annotations

import tensorflow as tf


def order(count: int, seed: int, batch_size: int, start_step: int = 0) -> tf.data.Dataset:
    """Batches of (epoch, index), int64 [batch] each, without end; every epoch is one permutation of `count` images.

    A batch wraps over an epoch's end. Starting at `start_step` gives what a stream from 0 gives after as many batches.
    """
    start = start_step * batch_size
    first_epoch, offset = divmod(start, count)
    key = tf.constant(seed % 2**63, tf.int64)

    def one_epoch(epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), seed=tf.stack([key, epoch]))
        index = index[tf.where(tf.equal(epoch, first_epoch), tf.constant(offset, tf.int64), 0) :]
        return tf.fill(tf.shape(index), epoch), index

    return tf.data.Dataset.counter(first_epoch).map(one_epoch).rebatch(batch_size, drop_remainder=True)
