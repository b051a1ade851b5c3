"""keras-tuner's oracles under a budget: how many, which, in what order, and what a restart finds."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from kerascnn.search import brackets, oracles
from kerascnn.search.space import Parameter, Space

SPACE = Space("small", {}, (Parameter("a", low=1, high=8, step=1), Parameter("b", choices=(1, 2, 4, 8))))
NAMES = list(oracles.TUNERS)
QUICK = [name for name in NAMES if name != "bayesian"]  # fitting its process takes a second for each proposal


class Constraint:
    """Costs a * b; what means the same has the same product."""

    def __init__(self, limit: float = 100.0) -> None:
        self.limit = limit

    def key(self, values: dict[str, Any]) -> str:
        return f"{values['a'] * values['b']}"

    def excess(self, values: dict[str, Any]) -> float:
        return values["a"] * values["b"] / self.limit


def build(tuner: str, constraint: Constraint, count: int, epochs: int = 9, seed: int = 0, **more: Any) -> Any:
    return oracles.build(
        tuner, SPACE, constraint=constraint, candidates=count, epochs=epochs, direction="max", seed=seed, **more
    )


def score(values: dict[str, Any]) -> float:
    return -((values["a"] - 5) ** 2) - (values["b"] - 4) ** 2 + values.get("tuner/epochs", 0) / 100


def end(oracle: Any, trial: Any) -> None:
    oracle.update_trial(trial.trial_id, {"score": score(trial.hyperparameters.values)})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def search(oracle: Any, most: int = 10_000) -> list[dict[str, Any]]:
    """The values of every trial until the oracle stops."""
    found: list[dict[str, Any]] = []
    while len(found) < most:
        trial = oracle.create_trial(f"w{len(oracle.trials)}")
        assert trial.status in ("RUNNING", "STOPPED")
        if trial.status == "STOPPED":
            return found
        found.append(dict(trial.hyperparameters.values))
        end(oracle, trial)
    return found


@pytest.mark.training
@pytest.mark.parametrize(("tuner", "count"), [*((name, 9) for name in QUICK), ("bayesian", 5)])
def test_so_many_distinct_candidates_all_within_the_budget(tuner: str, count: int) -> None:
    constraint = Constraint(20)
    found = search(build(tuner, constraint, count))
    assert len({constraint.key(values) for values in found}) == count
    assert all(constraint.excess(values) <= 1 for values in found)


@pytest.mark.training
@pytest.mark.parametrize(("tuner", "count"), [*((name, 8) for name in QUICK), ("bayesian", 4)])
def test_a_seed_repeats_and_another_seed_differs(tuner: str, count: int) -> None:
    first, again, other = (search(build(tuner, Constraint(), count, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    assert (first == other) == (tuner == "grid")


@pytest.mark.parametrize("tuner", NAMES)
def test_a_space_that_is_used_up_ends_the_search_with_what_there_was(tuner: str) -> None:
    constraint = Constraint(4)  # products 1, 2, 3, 4
    oracle = build(tuner, constraint, 50)
    found = search(oracle)
    assert {constraint.key(values) for values in found} == {"1", "2", "3", "4"}
    assert oracle.problem is None or "draws in a row exceed the budget" in str(oracle.problem)
    if tuner == "hyperband":  # the cut bracket goes on to its end
        assert max(values["tuner/epochs"] for values in found) == 9


@pytest.mark.parametrize("tuner", NAMES)
def test_a_budget_that_nothing_meets_is_told_with_the_range_to_narrow_and_nobody_waits(tuner: str) -> None:
    oracle = build(tuner, Constraint(0.5), 5)
    assert oracle.create_trial("one").status == "STOPPED"
    expected = "no combination of the grid fits" if tuner == "grid" else r"of all 1,000 draws 0 fit \(0.0%\)"
    with pytest.raises(Exception, match=expected) as error:
        raise oracle.problem
    assert "first a, now 1 to 8" in str(error.value) or "first b, now 1 to 8" in str(error.value)
    other = threading.Thread(target=oracle.create_trial, args=("two",))
    other.start()
    other.join(timeout=10)
    assert not other.is_alive()


def test_brackets_repeat_until_all_candidates_are_sampled_and_the_last_is_cut() -> None:
    table = brackets.planned("hyperband", 24, 9)
    assert table[:3] == [[(9, 1), (3, 3), (1, 9)], [(5, 3), (2, 9)], [(3, 9)]]
    assert table[3:] == [[(7, 1), (3, 3), (1, 9)]]
    assert brackets.planned("random", 24, 9) == [[(24, 9)]]


@pytest.mark.parametrize(("count", "epochs"), [(1, 9), (2, 3), (7, 1), (13, 12), (24, 9)])
def test_hyperband_does_what_its_table_says(count: int, epochs: int) -> None:
    wide = Space("wide", {}, (Parameter("a", low=1, high=1000, step=1), Parameter("b", choices=(1,))))
    oracle = oracles.build(
        "hyperband", wide, constraint=Constraint(1e9), candidates=count, epochs=epochs, direction="max", seed=0
    )
    found = search(oracle)
    table = [rung for bracket in brackets.planned("hyperband", count, epochs) for rung in bracket]
    lengths = [values["tuner/epochs"] for values in found]
    for until in set(lengths):
        assert lengths.count(until) == sum(size for size, epoch in table if epoch == until)
    assert len(found) == sum(size for size, _ in table)


def test_hyperband_promotes_the_best_although_others_crashed() -> None:
    oracle = build("hyperband", Constraint(1e9), 9)
    found = []
    while (trial := oracle.create_trial(f"w{len(oracle.trials)}")).status == "RUNNING":
        values = trial.hyperparameters.values
        found.append(values)
        crashed = values["tuner/round"] == 0 and len(found) % 2 == 0
        oracle.update_trial(trial.trial_id, {"score": -1e9 if crashed else score(values)})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert [values["tuner/epochs"] for values in found] == [1] * 9 + [3] * 3 + [9]
    alive = [values for i, values in enumerate(found[:9], 1) if i % 2]
    assert oracles.own(found[-1]) == oracles.own(max(alive, key=score))


@pytest.mark.parametrize("tuner", QUICK)
def test_oracle_json_is_whole_and_never_needed(tuner: str, tmp_path: Path) -> None:
    search(build(tuner, Constraint(), 4, folder=tmp_path))
    assert json.loads((tmp_path / "oracle.json").read_text())["end_order"]
    assert [path.name for path in tmp_path.iterdir()] == ["oracle.json"]
