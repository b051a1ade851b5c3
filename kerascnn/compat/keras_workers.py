"""The repair of Keras 3.15 for `MultiWorkerMirroredStrategy`, and the end of a training that lost a worker.

tests/compat/test_keras_workers.py fails once Keras needs no repair.

Stock `fit` fails twice (keras#20585): before the first step in `_maybe_symbolic_build`, which reduces a batch of several workers
with an axis, and in the step's function in `reduce_per_replica`, which concatenates scalars. Everything is built here before
(`build_metrics`), and of the metrics of a step a worker needs its own; those of an epoch are summed where they are read.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context


def mend(model: keras.Model, strategy: tf.distribute.Strategy) -> None:
    """Has the `fit` and `evaluate` of a compiled and built model run over several workers."""

    def over_workers(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @tf.function(autograph=False, reduce_retracing=True)
        def run(batches: Any) -> Any:
            logs = strategy.run(step, args=(next(batches),))
            return {name: strategy.experimental_local_results(value)[0] for name, value in logs.items()}

        return run

    model._make_function = over_workers
    model._maybe_symbolic_build = lambda **_: None


def abort(reason: str) -> None:
    """Ends a sum over workers that waits for one that is gone: it raises UnavailableError, as all later ones do."""
    context.context().abort_collective_ops(tf.errors.UNAVAILABLE, reason)
