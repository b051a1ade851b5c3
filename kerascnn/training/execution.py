"""Chooses the number of steps per call of the compiled function, such that Python costs little and nothing else changes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from kerascnn.config import Config
from kerascnn.data.views import VIEWS

# Cost of Python, Keras' loop and the callbacks per call (0.7 ms on a 2-core EPYC), and their largest share.
PYTHON_SECONDS, SHARE = 1e-3, 0.01
# Peak speed of a device, for the duration of a step; a slower device needs fewer steps per call.
OPERATIONS_PER_SECOND = {"cpu": 3e11, "gpu": 5e13}
# A signal waits for the end of a call.
LONGEST_SECONDS = 2.0


def execution_plan(
    whole: Sequence[int | None],
    *,
    most: int,
    operations: float,
    kind: str,
    replicas: int = 1,
    profile: bool = False,
) -> int:
    """Returns the steps per execution: the fewest that keep Python below one percent, else the most that are allowed.

    It is one under a strategy (Keras crashes, keras#19246) and while a profile marks steps.

    Args:
        whole: Numbers that it must divide, or None: the steps of the epoch (Keras would exceed the epoch), those that are
            done, those between two checkpoints.
        most: Steps between two points of a curve: a longer execution would omit points.
        operations: Floating-point operations per step.
        kind: "cpu" or "gpu".
        replicas: Devices that share a batch.
        profile: Whether single steps are traced.
    """
    if replicas > 1 or profile:
        return 1
    step = operations / OPERATIONS_PER_SECOND[kind]
    wanted = PYTHON_SECONDS / SHARE / max(step, 1e-9)
    most = min(most, max(1, int(LONGEST_SECONDS / max(step, 1e-9))))
    common = math.gcd(*(count for count in whole if count is not None))
    allowed = [steps for steps in range(1, common + 1) if common % steps == 0 and steps <= most]
    return next((steps for steps in allowed if steps >= wanted), allowed[-1])


def operations(config: Config, macs: float, asked: float) -> float:
    """Returns the floating-point operations of a training step.

    Args:
        config: The config.
        macs: Multiply-adds of its network for one image.
        asked: Those of a teacher that is asked about each image; 0 without one.
    """
    # Forward pass, and twice as much for the gradients; twice all of it for two passes.
    each = (12 if config.optim.sam_rho else 6) * macs * (VIEWS if config.augment.augmix_jsd else 1)
    return (each + 2 * asked) * config.fit.batch_size


def adopt(model: keras.Model, steps: int) -> None:
    """Sets the steps per call of a compiled `model`; a function for another number is traced again."""
    if model.steps_per_execution != steps:
        model.steps_per_execution = steps
        model.train_function = model.test_function = None
    if steps > 1 and model.train_function is None:
        model.train_function = _in_turn(model, steps)


def _in_turn(model: keras.Model, steps: int) -> Callable[[Any], Any]:
    """Runs several training steps on an iterator, and requests each batch when the step before has ended.

    Keras' own loop requests it during that step. That gains nothing, since batches are prefetched, but the waiting time could
    not be separated from the running time (`data.input_wait`).
    """
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)

    @tf.function(autograph=False)
    def run(batches: Any) -> Any:
        def another(done: Any, _: Any) -> tuple[Any, Any]:
            return done + 1, step(next(batches))

        first = step(next(batches))
        return tf.while_loop(lambda done, _: done < steps, another, (tf.constant(1), first))[1]

    return run
