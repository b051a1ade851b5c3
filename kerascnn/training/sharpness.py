"""Sharpness-aware minimization: the gradient is taken at the worst weights near by (SAM: Foret et al., 2021)."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerascnn.compat import keras as compat
from kerascnn.errors import UserError

SMALLEST = 1e-12  # norm of a gradient
ETA = 0.01  # added to the size of a weight, so that a weight of 0 moves too (Kwon et al., 2021, section 4)


def train_step(model: keras.Model, rho: float, *, adaptive: bool) -> Callable[[Any], dict[str, Any]]:
    """Returns the training step of a compiled `model` with two passes over each batch, for `model.train_step`.

    The first pass is an ordinary one: it updates the statistics of normalizations and gives loss and scores. The second one is
    at the weights that the first one's gradient leads up to, with the same dropout, and leaves nothing behind but its gradient,
    with which the optimizer updates. Under a strategy all replicas go the same way, by the sum of their gradients.

    Args:
        model: A model of `build_and_compile`.
        rho: Distance to the weights of the second pass, in the norm of all weights together.
        adaptive: Whether distances are relative to the size of each weight of a kernel (ASAM: Kwon et al., 2021).
    """
    seeds = [variable for variable in model.variables if not keras.backend.is_float_dtype(variable.dtype)]

    def step(data: Any) -> dict[str, Any]:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        before = [(seed, tf.convert_to_tensor(seed)) for seed in seeds]
        trainable = model.trainable_weights

        def run() -> tuple[Any, Any]:
            y_pred = model(x, training=True)
            return y_pred, model.compute_loss(x, y, y_pred, sample_weight, training=True)

        with tf.GradientTape() as tape:
            y_pred, loss = run()
            scaled = model.optimizer.scale_loss(loss)
        compat.note_loss(model, loss, x)
        moved = uphill(trainable, tape.gradient(scaled, trainable), rho, adaptive=adaptive)
        with tf.GradientTape() as tape, keras.StatelessScope(state_mapping=[*before, *moved]):
            tape.watch([value for _, value in moved])
            scaled = model.optimizer.scale_loss(run()[1])
        gradients = tape.gradient(scaled, [value for _, value in moved])
        for (variable, _), gradient in zip(moved, gradients, strict=True):
            if gradient is None:
                raise UserError(
                    f"--sam-rho: {variable.path} is not read through Keras, so that it cannot be moved for the second pass;"
                    " train this network without"
                )
        model.optimizer.apply_gradients(zip(gradients, [variable for variable, _ in moved], strict=True))
        return model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    return step


def uphill(
    trainable: Sequence[keras.Variable], gradients: Sequence[Any], rho: float, *, adaptive: bool
) -> list[tuple[keras.Variable, Any]]:
    """Returns each variable that has a gradient, and its value after a step of length `rho` along all gradients together.

    Args:
        trainable: Variables.
        gradients: Their gradients, a replica's own under a strategy, or None.
        rho, adaptive: As in `train_step`.
    """
    pairs = [
        (variable, gradient) for variable, gradient in zip(trainable, gradients, strict=True) if gradient is not None
    ]
    context = tf.distribute.get_replica_context()
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, [gradient for _, gradient in pairs])
    values = [tf.convert_to_tensor(variable) for variable, _ in pairs]
    sizes = [abs(value) + ETA if adaptive and len(value.shape) > 1 else 1.0 for value in values]
    directions = [size * gradient for size, gradient in zip(sizes, summed, strict=True)]
    length = ops.sqrt(sum(ops.sum(ops.square(direction)) for direction in directions))
    factor = rho / ops.maximum(length, SMALLEST)
    return [
        (variable, value + factor * size * direction)
        for (variable, _), value, size, direction in zip(pairs, values, sizes, directions, strict=True)
    ]
