"""How well probabilities order the images of a class before the rest: plain numbers in, numbers out."""

from typing import NamedTuple

import numpy as np

from kerascnn.statistics.intervals import Interval, resampled

# Rounds x images x classes: bounds the bootstrap to seconds for thousands of images and to minutes for ImageNet's val.
_WORK = 300_000_000
ROUNDS, FEWEST = 1000, 100


class Ranking(NamedTuple):
    """Means over the classes that have images and are not alone."""

    average_precision: Interval
    auroc: Interval


def areas(scores: np.ndarray, truth: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and area under the ROC curve where image i counts `times[:, i]` times, each [rounds].

    Equal scores are one step of both curves, as in scikit-learn. NaN where a round has no image of one kind.

    Args:
        scores: [n].
        truth: Whether an image is of the class, bool [n].
        times: [rounds, n].
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(times[:, order] * truth[order], axis=1, dtype="float64")[:, ends]
    answered = np.cumsum(times[:, order], axis=1, dtype="float64")[:, ends]
    false, new_hits = answered - hits, np.diff(hits, axis=1, prepend=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = (new_hits * hits / np.maximum(answered, 1)).sum(axis=1) / hits[:, -1]
        under = (np.diff(false, axis=1, prepend=0) * (hits - new_hits / 2)).sum(axis=1)
        return precision, under / (hits[:, -1] * false[:, -1])


def ranking(probabilities: np.ndarray, labels: np.ndarray, seed: int = 0) -> Ranking | None:
    """Each class against the rest, means over the classes, with percentile bootstraps over the images.

    ROUNDS resamplings, down to FEWEST where images times classes are very many.

    Returns:
        None where no class has both kinds of images.
    """
    n, classes = probabilities.shape
    both = [c for c in range(classes) if 0 < (labels == c).sum() < n]
    if not both:
        return None
    rounds = int(np.clip(_WORK // (n * classes), FEWEST, ROUNDS))

    def means(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both means, [2, rounds], and whether a round has any class to take them over."""
        found = np.array([areas(probabilities[:, c], labels == c, times) for c in both])
        there = np.isfinite(found)  # a round may lack a class, or draw nothing else
        return np.where(there, found, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1), there.any(axis=0)

    value = means(np.ones((1, n), int))[0][:, 0]
    rows = [means(np.stack([np.bincount(row, minlength=n) for row in index])) for index in resampled(n, rounds, seed)]
    drawn, usable = (np.concatenate(parts, axis=1) for parts in zip(*rows, strict=True))

    def spread(one: np.ndarray, ok: np.ndarray, middle: float) -> Interval:
        low, high = np.quantile(one[ok], [0.025, 0.975]) if ok.any() else (middle, middle)
        return Interval(float(middle), float(low), float(high), n)

    return Ranking(*(spread(*one) for one in zip(drawn, usable, value, strict=True)))
