"""How long the consumer of a data set waits for it."""

from __future__ import annotations

import tensorflow as tf

from kerascnn.data.stream import as_written


class InputWait:
    """Seconds that a timed data set kept its consumer waiting, summed over all batches, and how many these are."""

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._total = tf.Variable(0.0, dtype=tf.float64, trainable=False, name="input_wait")
            self._batches = tf.Variable(0, dtype=tf.int64, trainable=False, name="batches")

    def seconds(self) -> float:
        """The sum so far."""
        return float(self._total.numpy())

    def batches(self) -> int:
        """Those that were asked for so far, also while a step runs."""
        return int(self._batches.numpy())

    def reset(self) -> None:
        """Start again from 0."""
        self._total.assign(0.0)
        self._batches.assign(0)

    def add(self, seconds: tf.Tensor) -> None:
        """Called by the data set."""
        self._total.assign_add(seconds, read_value=False)
        self._batches.assign_add(1, read_value=False)


@as_written
def timed(dataset: tf.data.Dataset) -> tuple[tf.data.Dataset, InputWait]:
    """The same data set, and how long its consumer is blocked in it.

    Time stamps are zipped around the data set: `zip` asks for the first, the batch and the second in turn, in the
    consumer's own thread. Under a strategy the consumer is TensorFlow's prefetching to the devices: an upper bound.
    Call it outside a strategy's scope.
    """
    wait = InputWait()
    now = tf.data.Dataset.counter().map(lambda _: tf.timestamp())

    def counted(before: tf.Tensor, batch: tuple[tf.Tensor, ...], after: tf.Tensor) -> tuple[tf.Tensor, ...]:
        wait.add(after - before)
        return batch

    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # a buffer behind the stamps would hide who waits
    zipped = tf.data.Dataset.zip((now, dataset, now)).map(counted)
    return zipped.apply(tf.data.experimental.assert_cardinality(dataset.cardinality())).with_options(options), wait
