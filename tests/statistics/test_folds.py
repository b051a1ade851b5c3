"""The corrected resampled t against its formula, its bounds, and simulated data whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from kerascnn.statistics import OVER_FOLDS, FoldSizes, fold_difference, fold_score, t_interval
from kerascnn.statistics.simulate_folds import FoldWorld, coverage

VALUES = [0.71, 0.75, 0.69, 0.78, 0.72]
SIZES = FoldSizes(80, 320)


def test_variance_is_that_of_nadeau_and_bengio() -> None:
    found = fold_difference(VALUES, SIZES)
    error = (np.var(VALUES, ddof=1) * (1 / 5 + 80 / 320)) ** 0.5
    assert found.error == pytest.approx(error)
    assert found.high - found.value == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert (found.over, found.seeds, found.images, found.freedom) == (OVER_FOLDS, 5, 400, 4)


def test_the_correction_widens_students_interval_by_one_half_for_five_folds() -> None:
    plain, mine = t_interval(VALUES), fold_score(VALUES, SIZES, (0.0, 1.0))
    assert mine.interval.value == pytest.approx(plain.value)
    ratio = (mine.interval.high - mine.interval.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt(1 + 5 / 4))
    assert mine.spread == pytest.approx(np.std(VALUES, ddof=1))
    assert (mine.least, mine.most, mine.interval.n) == (0.69, 0.78, 5)


def test_folds_that_agree_are_no_certainty_and_a_share_ends_at_one() -> None:
    found = fold_score([0.99] * 5, SIZES, (0.0, 1.0)).interval
    assert found.low < 0.99 < found.high == 1.0
    assert fold_score([2.0] * 5, SIZES, (0.0, None)).interval.low == 2.0  # a loss has no least difference


def test_one_fold_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two folds or more"):
        fold_score([0.5], SIZES, (0.0, 1.0))


def test_sizes_are_means() -> None:
    assert FoldSizes.of_folds([80, 82, 78]) == (80, 160)


@pytest.mark.slow
@pytest.mark.parametrize("learner", ["means", "neighbor"])
def test_coverage(learner: str) -> None:
    """Where training sets matter, folds and images alone miss the truth too often; the corrected interval does not."""
    for found in coverage(FoldWorld(learner, 100, 5), 1000):
        assert found.held["corrected t"] >= 0.95
        assert found.held["t over folds"] < found.held["corrected t"]
        if learner == "neighbor":
            assert found.held["over images"] < 0.9
