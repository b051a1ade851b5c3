"""Gradient checkpointing: blocks keep only their inputs, and compute the rest again for the gradient (Chen et al., 2016).

Keras' `RematScope` runs a block a second time as it is, which would update the statistics of normalizations twice and draw other
numbers for dropout. Here the second run is of the same numbers, and leaves nothing behind.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from kerascnn.errors import UserError
from kerascnn.layers.described import Described


class _Now(threading.local):
    """What this thread, of one replica, does now: a training step, and the second run of a block in it."""

    training = False
    again = False


_now = _Now()


@contextlib.contextmanager
def _set(name: str) -> Iterator[None]:
    before = getattr(_now, name)
    setattr(_now, name, True)
    try:
        yield
    finally:
        setattr(_now, name, before)


def blocks_of(network: keras.Model) -> list[keras.layers.Layer]:
    """Returns the residual blocks and Inception modules of a network.

    Raises:
        UserError: It has none.
    """
    found = [layer for layer in network.layers if isinstance(layer, Described)]
    if not found:
        raise UserError(f"--remat: {network.name} has no blocks or modules whose values could be computed again")
    return found


def train_step(network: keras.Model, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Returns a training step that is like `plain`, except that the blocks of `network` keep only their inputs."""
    for layer in blocks_of(network):
        if not hasattr(layer, "plain_call"):
            layer.plain_call = layer.call
            layer.call = _recomputed(layer, layer.plain_call)

    def step(data: Any) -> Any:
        with _set("training"):
            return plain(data)

    return step


def _recomputed(layer: keras.layers.Layer, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        if not _now.training or _now.again:
            return plain(x)
        floats = [v for v in layer.variables if keras.backend.is_float_dtype(v.dtype)]
        counts = [v for v in layer.variables if not keras.backend.is_float_dtype(v.dtype)]
        before = [tf.convert_to_tensor(variable) for variable in counts]
        moving = [i for i, variable in enumerate(floats) if not variable.trainable]

        @tf.custom_gradient
        def run(x: Any, *values: Any) -> Any:
            given = list(zip(floats, values, strict=True))
            with keras.StatelessScope(state_mapping=[*given, *zip(counts, before, strict=True)]) as scope:
                y = plain(x)
            after = [scope.get_current_value(variable) for variable in (*(floats[i] for i in moving), *counts)]

            def gradient(dy: Any, *_: Any) -> Any:
                # What the barrier passes depends on the gradient, so that TensorFlow does not keep the first values instead.
                with tf.control_dependencies([dy]):
                    again = [tf.identity(value) for value in (x, *values)]
                with (
                    tf.GradientTape() as tape,
                    keras.StatelessScope(
                        state_mapping=[*zip(floats, again[1:], strict=True), *zip(counts, before, strict=True)]
                    ),
                    _set("again"),
                ):
                    tape.watch(again)
                    y_again = layer(again[0], training=True)
                return tape.gradient(y_again, again, dy, unconnected_gradients=tf.UnconnectedGradients.ZERO)

            return (y, *after), gradient

        # The layer computes in its own precision, and so do the values that it is given.
        y, *after = run(x, *(tf.convert_to_tensor(variable) for variable in floats))
        for variable, value in zip((*(floats[i] for i in moving), *counts), after, strict=True):
            variable.assign(value)
        return y

    return call
