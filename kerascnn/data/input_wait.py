"""Measures how long the consumer of a data set waits for it."""

from __future__ import annotations

import tensorflow as tf

from kerascnn.data.stream import as_written


class InputWait:
    """Seconds that the consumer of a timed data set has waited, and the number of batches."""

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._total = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="input_wait")
            self._batches = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches")

    def seconds(self) -> float:
        """Total seconds so far."""
        return float(self._total.numpy())

    def batches(self) -> int:
        """Number of requested batches so far, also during a step."""
        return int(self._batches.numpy())

    def reset(self) -> None:
        """Starts again from 0."""
        self._total.assign(0.0)
        self._batches.assign(0)

    def add(self, seconds: tf.Tensor) -> None:
        """Called by the data set."""
        self._total.assign_add(seconds, read_value=False)
        self._batches.assign_add(1, read_value=False)


@as_written
def timed(dataset: tf.data.Dataset) -> tuple[tf.data.Dataset, InputWait]:
    """Returns the same data set, and the time that its consumer is blocked in it.

    Time stamps are zipped around the data set: `zip` requests the first stamp, the batch and the second stamp in turn, in the
    consumer's own thread. Under a strategy the consumer is TensorFlow's prefetching to the devices, so that the time is an
    upper bound. Call it outside a strategy's scope.
    """
    wait = InputWait()
    now = tf.data.Dataset.counter().map(lambda _: tf.timestamp())

    def counted(before: tf.Tensor, batch: tuple[tf.Tensor, ...], after: tf.Tensor) -> tuple[tf.Tensor, ...]:
        wait.add(after - before)
        return batch

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # a buffer after the stamps would hide the waiting
    zipped = tf.data.Dataset.zip((now, dataset, now)).map(counted)
    return zipped.apply(tf.data.experimental.assert_cardinality(dataset.cardinality())).with_options(options), wait
