"""Canaries: each fails where keras-tuner has changed what kerascnn/compat/keras_tuner.py relies on."""

from typing import Any

import keras_tuner
import pytest
from keras_tuner import oracles

from kerascnn.compat import keras_tuner as compat
from kerascnn.search import brackets

BROKE = f"keras-tuner {keras_tuner.__version__} has changed "
ORACLES: dict[type, dict[str, Any]] = {
    compat.RandomSearchOracle: {"max_trials": 5},
    compat.GridSearchOracle: {"max_trials": 5},
    compat.BayesianOptimizationOracle: {"max_trials": 5},
}


def made(kind: type, **options: Any) -> Any:
    space = keras_tuner.HyperParameters()
    space.Int("a", 1, 9)
    space.Choice("b", ["x", "y"])
    objective = keras_tuner.Objective("score", "max")
    oracle = kind(objective=objective, hyperparameters=space, seed=1, **options)
    oracle.verbose = 0
    return oracle


@pytest.mark.parametrize("kind", [compat.RandomSearchOracle, compat.BayesianOptimizationOracle])
def test_an_oracle_draws_by_our_method(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = made(kind, **ORACLES[kind])
    monkeypatch.setattr(kind, "random_values", lambda self: {"a": 7, "b": "y"})
    monkeypatch.setattr(kind, "save", lambda self: None)
    assert oracle.create_trial("one").hyperparameters.values == {"a": 7, "b": "y"}, BROKE + "Oracle._random_values"


def test_an_oracle_asks_us_for_duplicates_so_often() -> None:
    asked = []

    class Never(compat.RandomSearchOracle):
        def duplicate(self, values: dict[str, Any]) -> bool:
            asked.append(values)
            return True

    oracle = made(Never, max_trials=5)
    oracle.set_collisions(3)
    assert oracle.random_values() is None, BROKE + "Oracle._duplicate"
    assert len(asked) == 4, BROKE + "Oracle._max_collisions"
    assert compat.RandomSearchOracle.duplicate(oracle, {"a": 1, "b": "x"}) is False, BROKE + "Oracle._duplicate"


def test_no_trial_is_written(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle has no folder: keras-tuner's own method would fail."""
    oracle = made(compat.RandomSearchOracle, max_trials=5)
    monkeypatch.setattr(type(oracle), "save", lambda self: None)
    assert oracle.create_trial("one").status == "RUNNING", BROKE + "Oracle._save_trial"


def test_the_grid_goes_on_from_any_combination() -> None:
    oracle = made(compat.GridSearchOracle, max_trials=5)
    assert oracle.following({"a": 1, "b": "x"}) == {"a": 1, "b": "y"}, BROKE + "GridSearchOracle._get_next_combination"
    assert oracle.following({"a": 9, "b": "y"}) is None, BROKE + "GridSearchOracle._get_next_combination"


def test_a_process_of_one_seed_repeats() -> None:
    oracle = made(compat.BayesianOptimizationOracle, max_trials=5)
    drawn = []
    for seed in (5, 5, 6):
        oracle.reseed(seed)
        drawn.append((oracle.random_values(), oracle._random_state.uniform()))
    assert drawn[0] == drawn[1], BROKE + "Oracle._seed_state or BayesianOptimizationOracle._random_state"
    assert drawn[0][1] != drawn[2][1], BROKE + "BayesianOptimizationOracle._random_state"
    low, high = oracle.vector({"a": 1, "b": "x"}), oracle.vector({"a": 9, "b": "y"})
    assert 0 <= low[0] < high[0] <= 1, BROKE + "BayesianOptimizationOracle._nonfixed_space"
    assert low[1] < high[1], BROKE + "BayesianOptimizationOracle._nonfixed_space"


class Whole(compat.HyperbandOracle):
    """Brackets as keras-tuner has them."""

    def sizes(self, number: int) -> tuple[int, ...]:
        return tuple(size for size, _ in brackets.rungs(number, self.max_epochs))

    def shortened(self, sizes: tuple[int, ...], begun: int) -> tuple[int, ...]:
        return brackets.cut(sizes, begun)


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 8, 9, 10, 26, 27, 28, 81, 100, 243])
def test_our_brackets_are_those_of_keras_tuner(epochs: int) -> None:
    oracle = made(oracles.HyperbandOracle, max_epochs=epochs, factor=brackets.FACTOR)
    assert oracle._get_num_brackets() == brackets.count(epochs), BROKE + "HyperbandOracle._get_num_brackets"
    for number in range(brackets.count(epochs)):
        assert oracle._get_num_rounds(number) == number + 1, BROKE + "HyperbandOracle._get_num_rounds"
        theirs = [(oracle._get_size(number, rung), oracle._get_epochs(number, rung)) for rung in range(number + 1)]
        assert theirs == brackets.rungs(number, epochs), BROKE + "HyperbandOracle._get_size or _get_epochs"


def test_brackets_have_the_sizes_that_we_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the next bracket, and one that cannot be filled; what a bracket awaits is known."""
    monkeypatch.setattr(Whole, "save", lambda self: None)
    monkeypatch.setattr(Whole, "sizes", lambda self, number: (2, 1))
    oracle = made(Whole, max_epochs=3, factor=3)
    first, second = (oracle.create_trial(name) for name in ("one", "two"))
    assert oracle.awaited() == {first.trial_id, second.trial_id}, BROKE + "HyperbandOracle._brackets"
    for trial in (first, second):
        oracle.update_trial(trial.trial_id, {"score": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    third = oracle.create_trial("three")
    assert third.hyperparameters.values["tuner/round"] == 1, BROKE + "HyperbandOracle._get_size"
    monkeypatch.setattr(Whole, "random_values", lambda self: None)
    monkeypatch.setattr(Whole, "shortened", lambda self, sizes, begun: (begun,) * len(sizes))
    monkeypatch.setattr(Whole, "populate_space", lambda self, trial: {"status": "IDLE", "values": None})
    oracle._start_new_bracket()
    oracle._random_trial("four", oracle._brackets[-1])
    assert oracle._brackets[-1]["bracket_num"].sizes == (0, 0), BROKE + "HyperbandOracle._random_trial"
