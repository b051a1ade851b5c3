"""Private names of Keras 3.15."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops
from keras.src.backend.common.stateless_scope import in_stateless_scope

__all__ = ["in_stateless_scope"]  # whether assigned values are only noted, as in a second pass over a batch


def nested_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """All layers of `model`, those inside other layers among them."""
    return list(model._flatten_layers(include_self=False))


def state_of(layer: keras.layers.Layer) -> list[keras.Variable]:
    """The variables that a layer itself keeps and no gradient reaches, such as moving statistics."""
    return list(layer._non_trainable_variables)


def nodes(model: keras.Model) -> list[Any]:
    """The nodes of a functional model, each after those that it depends on."""
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def exchange(holder: keras.layers.Layer, name: str, layer: keras.layers.Layer) -> None:
    """Put `layer` in the place of the built layer `holder.name`, as Keras itself does to add LoRA's weights."""
    holder._tracker.unlock()
    holder._tracker.untrack(getattr(holder, name))
    setattr(holder, name, layer)
    holder._tracker.lock()


def build_metrics(model: keras.Model, batch: Any) -> None:
    """Create the variables of a compiled model's loss and metrics, which Keras does in the first step."""
    model._symbolic_build(data_batch=batch)


def note_loss(model: keras.Model, loss: Any, images: Any) -> None:
    """Count a training step's loss, which Keras divides by the number of replicas, as its own step does."""
    replicas = model.distribute_strategy.num_replicas_in_sync
    model._loss_tracker.update_state(loss * replicas, sample_weight=tf.shape(images)[0])


def moving_averages(optimizer: keras.optimizers.Optimizer) -> Iterator[tuple[keras.Variable, keras.Variable]]:
    """Each variable that an optimizer with `use_ema` updates, and its average."""
    return zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)


class DecayInStep(keras.optimizers.Optimizer):
    """Of an optimizer: weight decay is left to `update_step`, which knows the variable's own rate."""

    def key(self, variable: keras.Variable) -> str:
        """What tells the optimizer's variables apart."""
        return self._var_key(variable)

    def decays(self, variable: keras.Variable) -> bool:
        """Whether `exclude_from_weight_decay` did not name the variable."""
        return self._use_weight_decay(variable)

    def _apply_weight_decay(self, variables: Sequence[keras.Variable]) -> None:
        pass


class SumFirst(keras.optimizers.Optimizer):
    """Of an optimizer: under a strategy gradients are summed over the replicas before they are clipped or accumulated.

    Keras clips each replica's part by itself, and cannot accumulate. On one device this is Keras' own code.
    """

    def averaging(self, momentum: float) -> Any:
        """The decay of the averaged weights at this update."""
        return momentum

    def given_rate(self) -> Any:
        """The learning rate or schedule that the optimizer was made with."""
        return self._learning_rate

    def steps_done(self) -> keras.Variable:
        """The number of calls so far: of batches, also where several make one update."""
        return self._iterations

    def _backend_apply_gradients(self, grads: Sequence[Any], trainable_variables: Sequence[keras.Variable]) -> None:
        if self._distribution_strategy.num_replicas_in_sync == 1:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        values = [variable.value for variable in trainable_variables]
        summed = self._summed(grads, values)
        strategy, merge = self._distribution_strategy, tf.__internal__.distribute.interim.maybe_merge_call
        if self.gradient_accumulation_steps:
            places = [self._get_variable_index(variable) for variable in trainable_variables]
            sums = [gradient + self._accumulated_gradients[i].value for i, gradient in zip(places, summed, strict=True)]
            means = self._clip_gradients([value / self.gradient_accumulation_steps for value in sums])
            merge(self._update_or_wait, strategy, places, sums, means, values, self.learning_rate)
        else:
            pairs = list(zip(self._clip_gradients(summed), values, strict=True))
            merge(self._distributed_tf_update_step, strategy, pairs, self.learning_rate)
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)

    def _summed(self, grads: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """The gradients summed over the replicas, those of one dtype together, which a sum over hosts needs."""
        found: list[Any] = [None] * len(values)
        for dtype in dict.fromkeys(value.dtype for value in values):
            places = [i for i, value in enumerate(values) if value.dtype == dtype]
            pairs = self._all_reduce_sum_gradients([(grads[i], values[i]) for i in places])
            for i, (gradient, _) in zip(places, pairs, strict=True):
                found[i] = gradient
        return found

    def _update_or_wait(
        self, strategy: Any, places: list[int], sums: list[Any], means: list[Any], values: list[Any], rate: Any
    ) -> None:
        """In the context of all replicas, since a replica's own cannot decide to wait: the update, or a longer sum."""
        sums_so_far = [self._accumulated_gradients[i].value for i in places]

        def put(variable: Any, value: Any) -> None:
            strategy.extended.update(variable, lambda a, b: a.assign(b), args=(value,), group=False)

        def update() -> None:
            self._distributed_tf_update_step(strategy, list(zip(means, values, strict=True)), rate)
            for variable in sums_so_far:
                strategy.extended.update(variable, lambda a: a.assign(tf.zeros_like(a)), group=False)

        def wait() -> None:
            for variable, value in zip(sums_so_far, sums, strict=True):
                put(variable, value)

        tf.cond((self._iterations.value + 1) % self.gradient_accumulation_steps == 0, update, wait)

    def _update_model_variables_moving_average(self, trainable_variables: Sequence[keras.Variable]) -> None:
        momentum = self.averaging(self.ema_momentum) * ops.cast(self.iterations != 0, "float32")
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            share = ops.cast(momentum, average.dtype)
            average.assign(share * average + (1 - share) * variable)


class SGDOfMomentum(keras.optimizers.SGD):
    """Keras' SGD, whose momentum may be a tensor, which Keras compares with 0."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if isinstance(self.momentum, float):
            super().update_step(gradient, variable, learning_rate)
            return
        m = self.momentums[self._get_variable_index(variable)]
        move = learning_rate * gradient
        self.assign(m, m * self.momentum - move)
        self.assign_add(variable, m * self.momentum - move if self.nesterov else m)


class RMSpropOutside(keras.optimizers.RMSprop):
    """Keras' RMSprop with epsilon outside the root and the rate outside the momentum, as in PyTorch (Tieleman and Hinton)."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        velocity = self._velocities[place]
        self.assign(velocity, self.rho * velocity + (1 - self.rho) * ops.square(gradient))
        step = gradient / (ops.sqrt(velocity) + self.epsilon)
        if self.momentum > 0:
            momentum = self._momentums[place]
            self.assign(momentum, self.momentum * momentum + step)
            step = momentum
        self.assign_sub(variable, learning_rate * step)


class MuonOfChoice(keras.optimizers.Muon):
    """Keras' Muon, whose subclass chooses what AdamW updates."""

    def by_adamw(self, variable: keras.Variable) -> bool:
        """Whether AdamW updates the variable."""
        return super()._should_use_adamw(variable)

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return self.by_adamw(variable)
