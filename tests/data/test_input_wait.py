"""Input wait is the time that the consumer spends blocked in the iterator."""

import time

import pytest
import tensorflow as tf

from kerascnn.data import pipeline


def slow(seconds):
    def wait(x):
        time.sleep(seconds)
        return x

    dataset = tf.data.Dataset.range(1000).map(lambda x: tf.ensure_shape(tf.numpy_function(wait, [x], tf.int64), []))
    return dataset.prefetch(2)


@pytest.mark.parametrize(("producer", "consumer"), [(0.04, 0.0), (0.04, 0.02), (0.01, 0.05)])
def test_wait_is_the_time_blocked(producer, consumer):
    dataset, wait = pipeline.timed(slow(producer))
    iterator = iter(dataset)
    next(iterator)
    wait.reset()
    blocked = 0.0
    for _ in range(12):
        start = time.perf_counter()
        next(iterator)
        blocked += time.perf_counter() - start
        time.sleep(consumer)
    assert wait.seconds() == pytest.approx(blocked, abs=0.05)
    if producer > consumer:
        assert wait.seconds() > 0.6 * 12 * (producer - consumer)


def test_batches_and_cardinality_stay(tmp_path):
    finite = tf.data.Dataset.range(7).map(lambda x: (x, 2 * x, 3 * x))
    dataset, _ = pipeline.timed(finite)
    assert dataset.cardinality() == 7
    assert dataset.element_spec == finite.element_spec
    assert list(dataset.as_numpy_iterator()) == list(finite.as_numpy_iterator())
    endless, _ = pipeline.timed(finite.repeat())
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
