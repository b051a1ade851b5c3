"""Private names of Keras 3.15."""

from collections.abc import Iterator, Sequence
from typing import Any

import keras


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


class MuonOfChoice(keras.optimizers.Muon):
    """Keras' Muon, whose subclass chooses what AdamW updates."""

    def by_adamw(self, variable: keras.Variable) -> bool:
        """Whether AdamW updates the variable."""
        return super()._should_use_adamw(variable)

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return self.by_adamw(variable)
