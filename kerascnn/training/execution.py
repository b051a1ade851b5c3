"""How many steps one call of the compiled function runs, so that Python costs little and nothing else changes."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

# What Python, Keras' loop and the callbacks cost a call (0.7 ms of a 2-core EPYC), and the share that they may have.
PYTHON_SECONDS, SHARE = 1e-3, 0.01
# How fast a device computes at best, for a step's duration: one that is slower only needs fewer steps a call.
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
    """Steps per execution: the fewest that keep Python below one per cent, else the most that are allowed.

    One under a strategy (Keras crashes, keras#19246) and while a profile marks steps.

    Args:
        whole: Counts that it has to divide, None for one that does not matter: the epoch's steps (Keras would run over the
            epoch's end), those of it that are done, those between two checkpoints.
        most: Steps between two points of a curve: more in one execution would leave points out.
        operations: Floating-point operations of a step.
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


def adopt(model: keras.Model, steps: int) -> None:
    """Let a compiled `model` run so many steps a call; what was traced for another number is traced anew."""
    if model.steps_per_execution != steps:
        model.steps_per_execution = steps
        model.train_function = model.test_function = None
    if steps > 1 and model.train_function is None:
        model.train_function = _in_turn(model, steps)


def _in_turn(model: keras.Model, steps: int) -> Callable[[Any], Any]:
    """Several training steps on the batches of an iterator, of which each is asked for when the step before has ended.

    Keras' own loop asks while that step runs. Nothing is gained by it, for batches are kept ready; but how long a step
    was kept waiting could not be told from how long it ran (`data.timing`).
    """
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)

    @tf.function(autograph=False)
    def run(batches: Any) -> Any:
        def another(done: Any, _: Any) -> tuple[Any, Any]:
            return done + 1, step(next(batches))

        first = step(next(batches))
        return tf.while_loop(lambda done, _: done < steps, another, (tf.constant(1), first))[1]

    return run
