"""keras-tuner's oracles, which draw again if a candidate exceeds the budget, and stop after a number of candidates.

Each is a function of its seed and of the order in which trials begin and end, with their scores: a killed search is restored
by replaying its journal to a fresh oracle. keras-tuner's oracle.json is written for readers but never read, since grid search
keeps its order and queue only in memory (keras-tuner#1055).
"""

import contextlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import keras_tuner
import numpy as np

from kerascnn.compat import keras_tuner as compat
from kerascnn.errors import UserError
from kerascnn.runs.files import write_file
from kerascnn.search import brackets, narrowing
from kerascnn.search.space import Parameter, Space

MISSES = 1000
# Number of valid random candidates from which the Gaussian process selects one if its proposal is not valid.
INSTEAD = 50


class Constraint(Protocol):
    """The meaning and cost of values, known before anything is trained."""

    def key(self, values: dict[str, Any]) -> str:
        """Returns the configuration of the values; different values may have the same."""

    def excess(self, values: dict[str, Any]) -> float:
        """Returns the largest of cost / limit; above 1 the values exceed the budget."""


class _Bounded(compat.Steered):
    """Part of an oracle: draws until a candidate is valid and new; ends after `candidates` of them.

    It does not raise: keras-tuner would keep its lock, and all other workers would wait forever. `problem` has the error.
    """

    def __init__(self, *, constraint: Constraint, candidates: int, folder: Path | None, **kwargs: Any) -> None:
        self.constraint, self.candidates, self.folder = constraint, candidates, folder
        self.keys: set[str] = set()
        self.problem: UserError | None = None
        self.drawn = self.fitting = 0
        self._missed: list[tuple[dict[str, Any], float]] = []
        super().__init__(**kwargs)
        self.set_collisions(MISSES)
        self.verbose = 0

    @property
    def sampled(self) -> int:
        """Number of candidates so far."""
        return len(self.keys)

    def random_values(self) -> dict[str, Any] | None:
        if self.sampled >= self.candidates or self.problem:
            return None
        for _ in range(MISSES):
            values = super().random_values()
            if values is None:  # this many draws in a row were known candidates
                return None
            if self._fits(values):
                return self._taken(values)
        self.problem = self._impossible()
        return None

    def duplicate(self, values: dict[str, Any]) -> bool:
        return self.constraint.key(own(values)) in self.keys

    def _fits(self, values: dict[str, Any]) -> bool:
        excess = self.constraint.excess(own(values))
        fits = excess <= 1
        self.drawn, self.fitting = self.drawn + 1, self.fitting + fits
        self._missed = [] if fits else [*self._missed[-MISSES:], (own(values), excess)]
        return fits

    def _taken(self, values: dict[str, Any]) -> dict[str, Any]:
        self.keys.add(self.constraint.key(own(values)))
        return values

    def _impossible(self) -> UserError:
        """Returns the message after MISSES draws in a row that exceed the budget."""
        return UserError(
            f"{MISSES:,} draws in a row exceed the budget; of all {self.drawn:,} draws {self.fitting:,} fit"
            f" ({self.fitting / self.drawn:.1%}): raise the budget, or narrow the space{narrowing.first(self._missed)}"
        )

    def save(self) -> None:
        """Writes keras-tuner's state atomically."""
        if self.folder is not None:
            state = self.get_state()
            write_file(self.folder / "oracle.json", json.dumps(state, indent=1).encode())


class RandomSearch(_Bounded, compat.RandomSearchOracle):
    """Random candidates."""


class Bayesian(_Bounded, compat.BayesianOptimizationOracle):
    """A Gaussian process proposes; if its proposal exceeds the budget or is known, the best of some valid ones is taken.

    Proposals of earlier starts come from the journal (`replayed`): fitting every process again would take minutes.
    """

    replayed: dict[str, Any] | None = None

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if self.replayed is not None:
            return {"status": "RUNNING", "values": self._taken(self.replayed)}
        if self.sampled >= self.candidates or self.problem:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}
        # Draws depend on the number of trials, not on earlier draws of this process.
        self.reseed(self.seed * 1_000_003 + len(self.trials) * 10_007)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fit that does not converge still gives a proposal
            before = self.sampled
            answer = super().populate_space(trial_id)
            if answer["status"] != "RUNNING" or self.sampled > before:
                return answer
            if self.duplicate(answer["values"]) or not self._fits(answer["values"]):
                return self._instead()
        self._taken(answer["values"])
        return answer

    def _instead(self) -> dict[str, Any]:
        """Returns the one of INSTEAD valid random candidates with the best lower confidence bound."""
        kept = set(self.keys)
        drawn: list[dict[str, Any]] = []
        while len(drawn) < INSTEAD and (values := self._draw_one()) is not None:
            drawn.append(values)
        self.keys = kept
        if not drawn:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}
        self.problem = None  # fewer than INSTEAD were found, which is enough
        vectors = np.array([self.vector(values) for values in drawn])
        mean, deviation = self.gpr.predict(vectors, return_std=True)
        chosen = drawn[int(np.argmin(mean - self.beta * deviation))]
        return {"status": "RUNNING", "values": self._taken(chosen)}

    def _draw_one(self) -> dict[str, Any] | None:
        limit, self.candidates = self.candidates, self.sampled + 1
        try:
            return self.random_values()
        finally:
            self.candidates = limit


class Grid(_Bounded, compat.GridSearchOracle):
    """Every combination in keras-tuner's order, except those that exceed the budget or are equivalent to earlier ones."""

    _last: dict[str, Any] | None = None

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        values = None if self.problem or self.sampled >= self.candidates else self._next()
        if values is None:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}
        self._last = values
        return {"status": "RUNNING", "values": self._taken(values)}

    def _next(self) -> dict[str, Any] | None:
        values = self._first() if self._last is None else self.following(self._last)
        misses = 0
        while values is not None and (self.duplicate(values) or not self._fits(values)):
            misses += 1
            if misses == MISSES:
                self.problem = self._impossible()
                return None
            values = self.following(values)
        if values is None and not self.sampled:
            self.problem = UserError(f"no combination of the grid fits the budget{narrowing.first(self._missed)}")
        return values

    def _first(self) -> dict[str, Any]:
        space = self.get_space()
        space.values = {hp.name: hp.default for hp in space.space}
        space.ensure_active_values()
        return {hp.name: hp.default for hp in space.space if space.is_active(hp)}


class Hyperband(_Bounded, compat.HyperbandOracle):
    """Brackets of halving (Li et al., 2018) that repeat until all candidates are sampled; the last one is shortened to fit."""

    _planned = 0

    def sizes(self, number: int) -> tuple[int, ...]:
        found = brackets.sizes(number, self.max_epochs, self.candidates - self._planned)
        self._planned += found[0]
        return found

    def shortened(self, sizes: tuple[int, ...], begun: int) -> tuple[int, ...]:
        """The space has no further candidates that fit: the bracket continues with those that it has."""
        self.candidates = self.sampled
        return brackets.cut(sizes, begun)


TUNERS: dict[str, Callable[..., Any]] = {
    "random": RandomSearch,
    "bayesian": Bayesian,
    "hyperband": Hyperband,
    "grid": Grid,
}


def build(
    tuner: str,
    space: Space,
    *,
    constraint: Constraint,
    candidates: int,
    epochs: int,
    direction: str,
    seed: int,
    folder: Path | None = None,
) -> Any:
    """Returns a fresh oracle.

    Args:
        tuner: A key of TUNERS.
        space: The search space.
        constraint: Says what values mean and cost.
        candidates: Number of candidates to sample.
        epochs: Epochs of a whole training.
        direction: "max" or "min".
        seed: Seed from 0; keras-tuner treats 0 as none, so that one more is passed on.
        folder: Folder of oracle.json.
    """
    options: dict[str, Any] = {"max_trials": None}
    if tuner == "hyperband":
        options = {"max_epochs": epochs, "factor": brackets.FACTOR, "hyperband_iterations": None}
    if tuner == "bayesian":
        options["num_initial_points"] = max(3, candidates // 3)
    return TUNERS[tuner](
        constraint=constraint,
        candidates=candidates,
        folder=folder,
        objective=keras_tuner.Objective("score", direction),
        hyperparameters=hyperparameters(space),
        allow_new_entries=False,
        tune_new_entries=False,
        seed=seed + 1,
        # A crash is recorded and the search continues; a general failure occurs with the baseline.
        max_consecutive_failed_trials=10**9,
        **options,
    )


def hyperparameters(space: Space) -> Any:
    """Returns the space as hyperparameters of keras-tuner."""
    found = keras_tuner.HyperParameters()
    for parameter in space.parameters:
        with contextlib.ExitStack() as conditions:
            for other, values in parameter.when:
                conditions.enter_context(found.conditional_scope(other, list(values)))
            _add(found, parameter)
    return found


def _add(found: Any, parameter: Parameter) -> None:
    if parameter.choices:
        found.Choice(parameter.name, list(parameter.labels()))
        return
    whole = isinstance(parameter.low, int) and isinstance(parameter.high, int)
    add = found.Int if whole else found.Float
    sampling = "log" if parameter.log else "linear"
    add(parameter.name, parameter.low, parameter.high, step=parameter.step, sampling=sampling)


def own(values: dict[str, Any]) -> dict[str, Any]:
    """Returns a trial's values without keras-tuner's bookkeeping."""
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}
