"""Levels of several looks: simulated again, with fewer rounds, they hold."""

import numpy as np
import pytest

from kerascnn.errors import UserError
from kerascnn.statistics.looks import LEVELS, LOOKS, MOST_PAIRS, planned
from kerascnn.statistics.simulate import Population, closed_form
from kerascnn.statistics.simulate_looks import LookWorld, Simulated, draw


def test_the_looks_are_fixed():
    assert [look.seeds for look in planned(20, 2)] == list(LOOKS)
    assert [look.seeds for look in planned(10, 3)] == [3, 5, 8]
    assert [look.seeds for look in planned(20, 5)] == [5, 8, 12, 20]
    assert planned(20, 5)[0].level == 1 - LEVELS[5, 4][1]
    assert "look 2 of 3, fixed beforehand at 3, 5 and 8 seeds" in planned(8, 2)[1].said()
    with pytest.raises(UserError, match="--max-seeds 2: the first look takes 3 seeds"):
        planned(2, 2)
    with pytest.raises(UserError, match="expected at most 5 archs, got 6"):
        planned(20, 6)


def test_every_plan_has_levels_that_grow_with_the_seeds():
    assert set(LEVELS) == {(number, pairs) for number in range(1, 6) for pairs in range(1, MOST_PAIRS + 1)}
    for (number, pairs), levels in LEVELS.items():
        assert len(levels) == number
        assert list(levels) == sorted(levels)
        assert max(levels) <= 0.05 / pairs


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_all_looks_together_err_in_five_percent_at_most(share):
    """Naive peeking errs in up to 18 %."""
    p = draw(LookWorld(share, 0.0), LOOKS, 20_000, np.random.default_rng(7)).p
    assert (p < np.array(LEVELS[5, 1])).any(axis=1).mean() < 0.05 + 3 * 0.0016
    if share < 0.6:
        assert (p < 0.05).any(axis=1).mean() > 0.14


def test_the_levels_are_those_of_the_simulation():
    again = Simulated(LOOKS[:2], 20_000, seed=3).levels(0.05)
    assert again[1] == pytest.approx(LEVELS[2, 1][1], rel=0.2)


def test_real_looks_at_right_and_wrong_images_err_as_rarely():
    """Two equal archs whose seeds have luck and whose families have favorites, judged by the verdict's own interval."""
    rng, wrong = np.random.default_rng(11), 0
    for _ in range(200):
        first, second = Population(seed=0.1).draw(rng, 20, 300)
        differences = second.astype("int8") - first.astype("int8")
        for look in planned(20, 2):
            found = closed_form(differences[: look.seeds], look.level)
            if not found.low <= 0 <= found.high:
                wrong += 1
                break
    assert wrong <= 18  # 10 of 200 are expected at most; 18 or more would have a probability of 1 %
