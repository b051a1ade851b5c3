"""keras-tuner's oracles, which draw again where a candidate would cost too much, and stop after so many candidates.

Each is a pure function of its seed and of the order in which trials begin and end: a search that was killed is put back by
playing its journal to a fresh oracle. keras-tuner's own oracle.json is not read: it is written without a temporary file, and
grid search keeps its order and queue nowhere (keras-tuner#1055).
"""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras_tuner
from keras_tuner.src.tuners.bayesian import BayesianOptimizationOracle
from keras_tuner.src.tuners.gridsearch import GridSearchOracle
from keras_tuner.src.tuners.hyperband import HyperbandOracle
from keras_tuner.src.tuners.randomsearch import RandomSearchOracle

from kerascnn.config import UserError
from kerascnn.search.space import Parameter, Space

MISSES = 1000
FACTOR = 3
Allowed = Callable[[dict[str, Any]], bool]


class _Bounded:
    """Of an oracle: draws until a candidate is allowed; ends after `candidates`."""

    def __init__(self, *, allowed: Allowed, candidates: int, **kwargs: Any) -> None:
        self.allowed, self.candidates = allowed, candidates
        self.sampled = self.drawn = self.fitting = 0
        super().__init__(**kwargs)
        self._display.verbose = 0  # type: ignore[attr-defined]

    def _random_values(self) -> dict[str, Any] | None:
        if self.sampled >= self.candidates:
            return None
        for _ in range(MISSES):
            values = super()._random_values()  # type: ignore[misc]
            if values is None:
                return None
            if self._fits(values):
                self.sampled += 1
                return values
        raise self.impossible()

    def _fits(self, values: dict[str, Any]) -> bool:
        fits = self.allowed(own(values))
        self.drawn, self.fitting = self.drawn + 1, self.fitting + fits
        return fits

    def impossible(self) -> UserError:
        """What to say after MISSES draws in a row that cost too much."""
        return UserError(
            f"{MISSES:,} draws in a row exceed the budget; {self.fitting} of {self.drawn} draws fitted"
            f" ({self.fitting / max(self.drawn, 1):.1%}): raise the budget, or lower the upper ends of the space's widest filters"
        )


class RandomSearch(_Bounded, RandomSearchOracle):
    """Candidates at random."""


class Bayesian(_Bounded, BayesianOptimizationOracle):
    """A Gaussian process proposes; where its proposal costs too much or was tried, a random one that fits is taken."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.sampled >= self.candidates:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}
        before = self.sampled
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the process' fit does not always converge; its proposal is only a proposal
            answer = super().populate_space(trial_id)
        if answer["status"] != "RUNNING" or self.sampled > before:  # drawn at random, and counted there
            return answer
        tried = self._compute_values_hash(answer["values"]) in self._tried_so_far
        if tried or not self._fits(answer["values"]):
            return self._random_populate_space()
        self.sampled += 1
        return answer


class Grid(_Bounded, GridSearchOracle):
    """Every combination in order, those that cost too much left out."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = self._following() if self.sampled < self.candidates else None
        if values is None:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}
        self._last = values
        self.sampled += 1
        return {"status": "RUNNING", "values": values}

    def _following(self) -> dict[str, Any] | None:
        space = self.get_space()
        last = getattr(self, "_last", None)
        defaults = {hp.name: hp.default for hp in space.space if space.is_active(hp)}
        values = defaults if last is None else self._get_next_combination(last)
        misses = 0
        while values is not None and not self._fits(values):
            misses += 1
            if misses == MISSES:
                raise self.impossible()
            values = self._get_next_combination(values)
        return values


class _Numbered(int):
    """A bracket's number that knows how many candidates its rungs have."""

    sizes: tuple[int, ...]


class Hyperband(_Bounded, HyperbandOracle):
    """Brackets of halving (Li et al., 2018) that repeat until all candidates were sampled; the last one is cut to fit."""

    def _start_new_bracket(self) -> None:
        super()._start_new_bracket()
        number = _Numbered(self._current_bracket)
        planned = getattr(self, "_planned", 0)
        full = [HyperbandOracle._get_size(self, int(number), rung) for rung in range(int(number) + 1)]
        number.sizes = cut(full, self.candidates - planned)
        self._planned = planned + number.sizes[0]
        self._brackets[-1]["bracket_num"] = number

    def _get_size(self, bracket_num: int, round_num: int) -> int:
        assert isinstance(bracket_num, _Numbered)
        return bracket_num.sizes[round_num]


def cut(sizes: Sequence[int], left: int) -> tuple[int, ...]:
    """The sizes of a bracket's rungs where only `left` candidates are left for the first."""
    first = min(sizes[0], max(left, 0))
    return tuple(min(size, math.ceil(first / FACTOR**rung)) for rung, size in enumerate(sizes))


def brackets(candidates: int, epochs: int) -> list[list[tuple[int, int]]]:
    """What Hyperband will do: for each bracket (candidates, epochs) of its rungs."""
    oracle = Hyperband(
        allowed=lambda values: True,
        candidates=candidates,
        objective=keras_tuner.Objective("score", "max"),
        max_epochs=epochs,
        factor=FACTOR,
        hyperband_iterations=None,
        seed=1,
    )
    table = []
    while True:
        number = oracle._brackets[-1]["bracket_num"]
        if not number.sizes[0]:
            return table
        table.append([(size, oracle._get_epochs(number, rung)) for rung, size in enumerate(number.sizes)])
        oracle._increment_bracket_num()
        oracle._start_new_bracket()


TUNERS = {"random": RandomSearch, "bayesian": Bayesian, "hyperband": Hyperband, "grid": Grid}


def build(
    tuner: str, space: Space, *, allowed: Allowed, candidates: int, epochs: int, direction: str, seed: int
) -> Any:
    """A fresh oracle.

    Args:
        tuner: A key of TUNERS.
        space: What varies.
        allowed: Whether a candidate's values meet the budget.
        candidates: How many to sample.
        epochs: Of a whole training.
        direction: "max" or "min".
        seed: From 0; keras-tuner takes 0 for none, so one more is handed on.
    """
    options: dict[str, Any] = {"max_epochs": epochs, "factor": FACTOR, "hyperband_iterations": None}
    if tuner != "hyperband":
        options = {"max_trials": None}
    if tuner == "bayesian":
        options["num_initial_points"] = max(3, candidates // 3)
    return TUNERS[tuner](
        allowed=allowed,
        candidates=candidates,
        objective=keras_tuner.Objective("score", direction),
        hyperparameters=hyperparameters(space),
        allow_new_entries=False,
        tune_new_entries=False,
        seed=seed + 1,
        max_consecutive_failed_trials=10**9,
        **options,
    )


def hyperparameters(space: Space) -> Any:
    """The space as keras-tuner knows it."""
    found = keras_tuner.HyperParameters()
    for parameter in space.parameters:
        with _conditions(found, parameter):
            _add(found, parameter)
    return found


def _conditions(found: Any, parameter: Parameter) -> Any:
    import contextlib

    stack = contextlib.ExitStack()
    for other, values in parameter.when:
        stack.enter_context(found.conditional_scope(other, list(values)))
    return stack


def _add(found: Any, parameter: Parameter) -> None:
    if parameter.choices:
        found.Choice(parameter.name, list(parameter.choices))
        return
    whole = isinstance(parameter.low, int) and isinstance(parameter.high, int)
    add = found.Int if whole and not parameter.log else found.Float
    sampling = "log" if parameter.log else "linear"
    step = parameter.step
    add(parameter.name, parameter.low, parameter.high, step=step, sampling=sampling)


def own(values: dict[str, Any]) -> dict[str, Any]:
    """A trial's values without keras-tuner's bookkeeping."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}
