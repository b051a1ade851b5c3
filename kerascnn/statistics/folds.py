"""Scores over folds, whose training sets overlap: the corrected resampled t (Nadeau and Bengio, 2003, section 4).

Two folds of K share (K - 2) / (K - 1) of their training images, so that their scores are not independent, and Student's interval
over folds is too narrow. The correction takes the correlation of two scores as n_test / (n_train + n_test): the variance of the
mean is (1 / K + n_test / n_train) times the variance among folds, with K - 1 degrees of freedom.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.intervals import Interval
from kerascnn.statistics.paired import Difference

OVER_FOLDS = "folds"  # `Difference.over` of a difference over folds


class FoldSizes(NamedTuple):
    """The number of images that one fold tests, and the number of the other folds, which train; means over folds."""

    test: float
    train: float

    @classmethod
    def of_folds(cls, tested: Sequence[int]) -> "FoldSizes":
        """Returns the means over folds from the number of images of each."""
        test = sum(tested) / len(tested)
        return cls(test, sum(tested) - test)


class FoldScore(NamedTuple):
    """A score over folds.

    Attributes:
        interval: The mean over folds with the corrected interval; n counts folds.
        spread: The standard deviation over folds, which says how single networks differ, not how sure the mean is.
        least, most: The lowest and the highest fold.
    """

    interval: Interval
    spread: float
    least: float
    most: float


def fold_score(
    values: Sequence[float], sizes: FoldSizes, within: tuple[float | None, float | None], level: float = 0.95
) -> FoldScore:
    """Returns the mean of one score per fold with the corrected interval.

    Args:
        values: The score of each fold, two or more.
        sizes: Images of a fold.
        within: The least and the most that the score can be; the interval ends there.
        level: Confidence level of the interval.
    """
    least, most = within
    found = fold_difference(values, sizes, most=math.inf if least is None or most is None else most - least)
    half = float(stats.t.ppf((1 + level) / 2, found.freedom)) * found.error
    low = found.value - half if least is None else max(found.value - half, least)
    high = found.value + half if most is None else min(found.value + half, most)
    interval = Interval(found.value, low, high, len(values))
    return FoldScore(interval, float(np.std(values, ddof=1)), float(min(values)), float(max(values)))


def fold_difference(
    values: Sequence[float], sizes: FoldSizes, *, most: float = math.inf, level: float = 0.95
) -> Difference:
    """Returns the mean of one paired difference per fold with the corrected interval.

    Args:
        values: The difference of each fold, two or more.
        sizes: Images of a fold.
        most: The most that a difference can be. Where there is such a bound, the variance among folds is at least that of one
            image of one fold that changes sides: folds that agree by chance are no certainty.
        level: Confidence level of the interval.

    Raises:
        ValueError: Fewer than two folds, which have no spread.
    """
    data = np.asarray(values, float)
    count = len(data)
    if count < 2:
        raise ValueError(f"expected the values of two folds or more, got {count}")
    variance = float(data.var(ddof=1))
    if math.isfinite(most):
        variance = max(variance, (most / sizes.test) ** 2 / count)
    value, error = float(data.mean()), ((1 / count + sizes.test / sizes.train) * variance) ** 0.5
    return Difference(
        value=value,
        low=value,
        high=value,
        level=level,
        images=round(sizes.test * count),
        seeds=count,
        over=OVER_FOLDS,
        error=error,
        freedom=count - 1.0,
        images_part=0.0,
        seeds_part=error**2,
        left_part=0.0,
        most=most,
    ).at(level)
