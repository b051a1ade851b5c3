"""Statistics of normalizations over replicas and hosts, by few sums: each one costs a round of messages between hosts.

Keras needs three sums for each synchronized normalization, and two for the moving statistics of each one.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerascnn.compat.keras import in_stateless_scope, nested_layers


def moments(x, axes: Sequence[int], shape: Sequence[int], shift):
    """Returns mean and biased variance over the batch of all replicas, [channels] each, by one sum over them.

    Args:
        x: A replica's part of the batch, of as many images as the other parts.
        axes: Axes to reduce.
        shape: Shape in which [channels] fits to `x`.
        shift: Values near the mean, [channels], equal on all replicas: squares of small numbers lose fewer digits.
    """
    shift = tf.stop_gradient(shift)
    centered = x - tf.reshape(shift, shape)
    both = tf.concat([tf.reduce_mean(centered, axes), tf.reduce_mean(tf.square(centered), axes)], 0)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
        both = context.all_reduce(tf.distribute.ReduceOp.MEAN, both)
    mean, square = tf.split(both, 2)
    return mean + shift, tf.maximum(square - tf.square(mean), 0.0)


def over_replicas(model: keras.Model) -> None:
    """Has all batch normalizations of a model normalize over the batch of all replicas."""
    for layer in nested_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.over_replicas = True


class _Notes(threading.local):
    """What the normalizations of this thread's replica want to note in this step; None outside of `in_one_sum`."""

    found: list[tuple[Any, Any, float]] | None = None


_notes = _Notes()


def noted(variable: Any, value: Any, momentum: float) -> bool:
    """Keeps a batch's statistic for the end of the step; returns False where the caller updates the variable itself."""
    if _notes.found is None or in_stateless_scope():
        return False
    _notes.found.append((variable, value, momentum))
    return True


def in_one_sum(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a training step that updates all moving statistics by their means over replicas, in one sum at its end."""

    def run(data: Any) -> Any:
        _notes.found = []
        try:
            logs = step(data)
            _update(_notes.found)
            return logs
        finally:
            _notes.found = None

    return run


def _update(found: Sequence[tuple[Any, Any, float]]) -> None:
    if not found:
        return
    values = [tf.cast(value, variable.dtype) for variable, value, _ in found]
    context = tf.distribute.get_replica_context()
    summed = context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.concat(values, 0))
    means = tf.split(summed, [value.shape[0] for value in values])

    def assign(strategy: Any, means: Sequence[Any]) -> None:
        for (variable, _, momentum), mean in zip(found, means, strict=True):
            strategy.extended.update(
                variable.value,
                lambda old, new, momentum=momentum: old.assign(old * momentum + new * (1.0 - momentum)),
                args=(mean,),
                group=False,
            )

    context.merge_call(assign, args=(means,))
