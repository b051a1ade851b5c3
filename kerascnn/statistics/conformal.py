"""Split-conformal prediction sets, and the spread of their coverage. Plain numbers in, numbers out."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

# A class or a stratum with fewer calibration images gets the threshold of all images.
FEWEST = 50
# Of RAPS: the penalty per rank, and the rank from which it counts (Angelopoulos et al., 2021, section 4: 0.01 and 5).
PENALTY, FREE_RANKS = 0.01, 5


def _order(probabilities: np.ndarray) -> np.ndarray:
    """Returns the classes by falling probability, the first of equals first, int [n, C]."""
    return np.argsort(-probabilities, axis=1, kind="stable")


def lac(probabilities: np.ndarray) -> np.ndarray:
    """Returns one minus the probability of each class (Sadinle et al., 2019), float64 [n, C]: the smallest sets on average.

    A set may be empty: no class is typical of the image.
    """
    return 1 - probabilities.astype("float64")


def aps(probabilities: np.ndarray, share: np.ndarray | float = 1.0) -> np.ndarray:
    """Returns the probability of all classes that are more probable, float64 [n, C] (Romano et al., 2020).

    Args:
        probabilities: [n, C].
        share: The share of each class's own probability that is left out, in [0, 1], a number or [n]. With 1 a set follows
            from the image alone, and always has the most probable class. The paper and MAPIE draw it at random for the
            calibration images.
    """
    exact = probabilities.astype("float64")
    order = _order(exact)
    falling = np.take_along_axis(exact, order, axis=1)
    own = falling * np.reshape(np.asarray(share, float), (-1, 1))
    found = np.empty_like(exact)
    np.put_along_axis(found, order, np.cumsum(falling, axis=1) - own, axis=1)
    return found if np.any(np.asarray(share) != 1) else np.maximum(found, 0.0)


def raps(
    probabilities: np.ndarray, share: np.ndarray | float = 1.0, penalty: float = PENALTY, free: int = FREE_RANKS
) -> np.ndarray:
    """Returns `aps`, and `penalty` for each rank of a class beyond `free` (Angelopoulos et al., 2021): no very large sets."""
    ranks = np.empty(probabilities.shape)
    places = np.arange(1, probabilities.shape[1] + 1, dtype=float)
    np.put_along_axis(ranks, _order(probabilities), np.broadcast_to(places, ranks.shape), axis=1)
    return aps(probabilities, share) + penalty * np.maximum(ranks - free, 0)


# Probabilities [n, C] -> how little each class fits each image, float64 [n, C]; a set has the classes up to a threshold.
SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"lac": lac, "aps": aps, "raps": raps}


def rank(n: int, coverage: float) -> int:
    """Returns the rank of the calibration score that is the threshold: beyond n there is none, and sets have every class."""
    return math.ceil((n + 1) * coverage - 1e-9)


def threshold(scores: np.ndarray, coverage: float) -> float:
    """Returns the threshold of calibration scores [n], infinite where n is too small for the coverage.

    The next image's score is at most this with a probability of at least `coverage`, if it is exchangeable with these.
    """
    k = rank(len(scores), coverage)
    return math.inf if k > len(scores) else float(np.partition(scores, k - 1)[k - 1])


def of_truth(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the score of each image's true class, [n], of scores [n, C]."""
    return scores[np.arange(len(labels)), labels]


def by_class(scores: np.ndarray, labels: np.ndarray, coverage: float, fewest: int = FEWEST) -> list[float]:
    """Returns a threshold for each class (Vovk, 2012), or that of all images for a class with fewer than `fewest`.

    Args:
        scores: Of the calibration images, [n, C].
        labels: Their true classes, int [n].
        coverage: In (0, 1).
        fewest: Calibration images of a class.
    """
    truth = of_truth(scores, labels)
    every = threshold(truth, coverage)
    parts = [truth[labels == c] for c in range(scores.shape[1])]
    return [threshold(part, coverage) if len(part) >= fewest else every for part in parts]


def by_stratum(
    scores: np.ndarray, labels: np.ndarray, strata: Sequence[str], coverage: float, fewest: int = FEWEST
) -> dict[str, float]:
    """Returns a threshold for each stratum with at least `fewest` calibration images (Mondrian sets: Vovk, 2012)."""
    truth, names = of_truth(scores, labels), np.asarray(strata, object).astype(str)
    found, sizes = np.unique(names, return_counts=True)
    return {
        str(name): threshold(truth[names == name], coverage)
        for name, size in zip(found, sizes, strict=True)
        if size >= fewest
    }


def label_threshold(probabilities: np.ndarray, labels: np.ndarray, most_missed: float) -> float:
    """Returns the highest probability from which labels are taken so that at most a share of an image's labels is missed.

    Conformal risk control (Angelopoulos et al., 2024, equation 4): the mean share over calibration images, with one more image
    that misses all, is at most `most_missed`. The expected share over exchangeable images is then at most that.

    Args:
        probabilities: Of the calibration images, [n, C].
        labels: bool [n, C]; an image without labels misses none.
        most_missed: In (0, 1): one minus the coverage.

    Returns:
        A threshold t: labels with a probability >= t are taken; 0 takes every label.
    """
    n = len(labels)
    exact, count = probabilities.astype("float64"), labels.sum(axis=1)
    rows, columns = np.nonzero(labels)
    order = np.argsort(exact[rows, columns], kind="stable")
    values, shares = exact[rows, columns][order], (1 / np.maximum(count, 1))[rows][order]
    # With a threshold just above values[i], the labels up to i are missed.
    missed = np.cumsum(shares)
    allowed = (missed + 1) / (n + 1) <= most_missed + 1e-12
    if 1 / (n + 1) > most_missed:
        return 0.0
    kept = np.flatnonzero(~allowed)
    if not len(kept):
        return 1.0
    # The lowest value that may not be missed is the threshold; equal ones are missed or taken together.
    return float(values[kept[0]])


def missed_shares(taken: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the share of each image's labels that is not among `taken` (bool [n, C]), [n]; 0 without labels."""
    return (labels & ~taken).sum(axis=1) / np.maximum(labels.sum(axis=1), 1)


class CoverageSpread(NamedTuple):
    """What coverage to expect on test: the mean, and the middle 95 % over calibration and test images.

    Attributes:
        mean: Expected coverage, at least the nominal one.
        low: 2.5 % quantile.
        high: 97.5 % quantile.
    """

    mean: float
    low: float
    high: float


def expected_coverage(calibration: int, images: int | None, coverage: float, level: float = 0.95) -> CoverageSpread:
    """Returns the spread of the coverage that exact sets have on test.

    Given the calibration images the coverage is Beta(k, n + 1 - k) with k the threshold's rank (Vovk, 2012), and on test it is
    the share of a binomial number with that probability.

    Args:
        calibration: Number of calibration images n.
        images: Number of test images; None for the population.
        coverage: In (0, 1).
        level: Share of the middle.
    """
    k = rank(calibration, coverage)
    if k > calibration:
        return CoverageSpread(1.0, 1.0, 1.0)
    a, b = k, calibration + 1 - k
    tail = (1 - level) / 2
    found: Any = stats.beta(a, b) if images is None else stats.betabinom(images, a, b)
    low, high = (float(found.ppf(q)) / (images or 1) for q in (tail, 1 - tail))
    return CoverageSpread(a / (a + b), low, high)
