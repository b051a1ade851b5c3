"""Canaries: each fails where Keras has changed what kerascnn/compat/keras.py relies on."""

import keras
import numpy as np
import pytest

from kerascnn.compat import keras as compat

BROKE = f"Keras {keras.__version__} has changed "


def network() -> keras.Sequential:
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="deep")])
    return keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2, name="last")])


def test_layers_inside_layers_are_found() -> None:
    assert {"deep", "last"} <= {layer.name for layer in compat.nested_layers(network())}, (
        BROKE + "Layer._flatten_layers"
    )


def test_a_built_layer_can_be_exchanged() -> None:
    class Holder(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.part = keras.layers.Dense(2)

        def build(self, shape: tuple[int, ...]) -> None:
            self.part.build(shape)

    holder = Holder()
    holder.build((None, 3))
    other = keras.layers.Dense(5)
    other.build((None, 3))
    compat.exchange(holder, "part", other)
    assert holder.part is other, BROKE + "Layer._tracker"
    assert [v.path for v in holder.weights] == [v.path for v in other.weights], BROKE + "Tracker.untrack"


def test_metrics_are_built_before_the_first_step() -> None:
    model = network()
    model.compile("sgd", "mse", metrics=["mae"])
    compat.build_metrics(model, (np.zeros((2, 4), "float32"), np.zeros((2, 2), "float32"), np.ones(2, "float32")))
    assert len(model.metrics_variables) >= 4, BROKE + "Model._symbolic_build"


def test_every_average_stands_beside_its_variable() -> None:
    model = network()
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    optimizer.build(model.trainable_variables)
    before = [np.array(variable) for variable in model.trainable_variables]
    for _ in range(2):
        optimizer.apply([keras.ops.ones_like(variable) for variable in model.trainable_variables])
    pairs = list(compat.moving_averages(optimizer))
    assert [id(v) for v, _ in pairs] == [id(v) for v in model.trainable_variables], (
        BROKE + "Optimizer._trainable_variables"
    )
    for (variable, average), start in zip(pairs, before, strict=True):
        moved = float(np.mean(np.array(average) - np.array(variable)))
        assert 0 < moved < float(np.mean(start - np.array(variable))), (
            BROKE + "Optimizer._model_variables_moving_average"
        )


class Decaying(compat.DecayInStep, keras.optimizers.SGD):
    pass


def test_weight_decay_is_left_to_the_step() -> None:
    kernel, bias = keras.Variable(np.ones(3, "float32"), name="k"), keras.Variable(np.ones(3, "float32"), name="b")
    optimizer = Decaying(0.1, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[bias])
    optimizer.build([kernel, bias])
    optimizer.apply([keras.ops.zeros(3), keras.ops.zeros(3)])
    np.testing.assert_array_equal(np.array(kernel), 1.0, err_msg=BROKE + "Optimizer._apply_weight_decay")
    assert optimizer.decays(kernel), BROKE + "Optimizer._use_weight_decay"
    assert not optimizer.decays(bias), BROKE + "Optimizer._use_weight_decay"
    assert optimizer.key(kernel) != optimizer.key(bias), BROKE + "Optimizer._var_key"


@pytest.mark.parametrize("choice", [True, False])
def test_muon_asks_what_adamw_updates(choice: bool) -> None:
    class Chosen(compat.MuonOfChoice):
        asked = 0

        def by_adamw(self, variable: keras.Variable) -> bool:
            Chosen.asked += 1
            return choice

    kernel = keras.Variable(np.eye(3, dtype="float32"), name="kernel")
    optimizer = Chosen(0.1)
    optimizer.build([kernel])
    optimizer.apply([keras.ops.ones((3, 3))])
    assert Chosen.asked, BROKE + "Muon._should_use_adamw"
    assert compat.MuonOfChoice(0.1).by_adamw(kernel) is False, BROKE + "Muon._should_use_adamw"
