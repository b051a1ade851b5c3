"""keras-tuner 1.4's oracles, with public names for those of their private parts that a search asks or replaces."""

from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles

Values = dict[str, Any]


class Steered(keras_tuner.Oracle):
    """Of an oracle: what a subclass may replace, each by default the library's own."""

    def random_values(self) -> Values | None:
        """Draws values at random; None after `set_collisions` draws in a row that are `duplicate`."""
        return super()._random_values()

    def duplicate(self, values: Values) -> bool:
        """Whether these were a trial's already."""
        return super()._duplicate(values)

    def set_collisions(self, most: int) -> None:
        """How many duplicates in a row mean that there is nothing left."""
        self._max_collisions = most

    def awaited(self) -> set[str]:
        """The ids of the trials whose scores a bracket under way still needs."""
        return set()

    def _random_values(self) -> Values | None:
        return self.random_values()

    def _duplicate(self, values: Values) -> bool:
        return self.duplicate(values)

    def _save_trial(self, trial: Any) -> None:
        """Trials are kept by the search."""


class RandomSearchOracle(Steered, oracles.RandomSearchOracle):
    """Random search."""


class GridSearchOracle(Steered, oracles.GridSearchOracle):
    """Grid search."""

    def following(self, values: Values) -> Values | None:
        """The combination after `values`; None after the last one."""
        return self._get_next_combination(values)


class BayesianOptimizationOracle(Steered, oracles.BayesianOptimizationOracle):
    """A Gaussian process."""

    def reseed(self, seed: int) -> None:
        """Let what is drawn from here on depend on `seed` alone."""
        self._seed_state = seed
        self._random_state = np.random.RandomState(seed % 2**32)

    def vector(self, values: Mapping[str, Any]) -> list[float]:
        """Values as the process sees them: a number from 0 to 1 for each parameter."""
        return [hp.value_to_prob(values.get(hp.name, hp.default)) for hp in self._nonfixed_space()]


class _Bracket(int):
    """A bracket's number that knows how many trials its rungs have."""

    sizes: tuple[int, ...]


class HyperbandOracle(Steered, oracles.HyperbandOracle):
    """Hyperband whose subclass says how large brackets are."""

    def sizes(self, number: int) -> tuple[int, ...]:
        """How many trials each rung of a new bracket has, which is halved `number` times."""
        raise NotImplementedError

    def shortened(self, sizes: tuple[int, ...], begun: int) -> tuple[int, ...]:
        """The sizes of a bracket for whose first rung no more than `begun` trials were found."""
        raise NotImplementedError

    def awaited(self) -> set[str]:
        return {info["id"] for bracket in self._brackets for rung in bracket["rounds"] for info in rung}

    def _start_new_bracket(self) -> None:
        super()._start_new_bracket()
        number = _Bracket(self._current_bracket)
        number.sizes = self.sizes(int(number))
        self._brackets[-1]["bracket_num"] = number

    def _get_size(self, bracket_num: _Bracket, round_num: int) -> int:
        return bracket_num.sizes[round_num]

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        answer = super()._random_trial(trial_id, bracket)
        number, begun = bracket["bracket_num"], len(bracket["rounds"][0])
        if answer["status"] == "RUNNING" or begun >= number.sizes[0]:
            return answer
        number.sizes = self.shortened(number.sizes, begun)
        return self.populate_space(trial_id)
