"""Scores that follow from numbers of images, predictions and right predictions by class, and their intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kerascnn.statistics.intervals import Interval
from kerascnn.statistics.linearized import share_interval, spread

# (images, predicted, right, numpy) -> score [...], from numbers by class, [..., C] each; at most 1.
OfCounts = Callable[[Any, Any, Any, Any], Any]
_STEP = 1e-3  # of a number of images, for derivatives: their error is below 1e-6 of them
_AT_ONCE = 2_000_000  # counts, for the memory of derivatives


def interval(
    score: OfCounts, labels: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray | None = None
) -> Interval:
    """A score that follows from counts by class, with its interval; the score may be below 0.

    What an image adds follows from the derivatives of the score by the counts. The interval is that of `share_interval` on
    the scale from the score if no prediction were right, with as many images and predictions of each class, to 1.

    Args:
        score: The score from counts by class.
        labels: True classes, [n].
        predicted: Predicted classes, [n].
        classes: Their number, C.
        groups: The group of each image, int [n]; None where images are independent.
    """
    counts = np.concatenate(counts_of(labels[None], predicted[None], classes)).astype("float64")
    images, right, n = counts[0], labels == predicted, len(labels)
    least = float(score(counts[0], counts[1], np.zeros(classes), np))
    scale = 1 - least
    of_images, of_predicted, of_right = _slopes(score, counts) / scale
    # The number of a class's images is fixed, but for groups.
    shared = 0.0 if groups is None else of_images[labels]
    influence = shared + of_predicted[predicted] + right * of_right[labels]
    base = 1 / float((images * of_right**2).sum())
    if groups is not None:
        base *= len(np.unique(groups)) / n
    value = (float(score(counts[0], counts[1], counts[2], np)) - least) / scale
    growth = 0.0 if groups is None else 1.0
    found = share_interval(value, spread(influence, labels, groups), base, n, growth=growth)
    value, low, high = (least + scale * end for end in found[:3])
    return Interval(value, low, high, n)


def _slopes(score: OfCounts, counts: np.ndarray) -> np.ndarray:
    """Derivatives of a score by the counts [3, C], of the same shape."""
    kinds, classes = counts.shape
    found, rows = np.empty_like(counts), max(1, _AT_ONCE // counts.size)
    for kind in range(kinds):
        for start in range(0, classes, rows):
            part = np.arange(start, min(start + rows, classes))
            ends = []
            for step in (_STEP, -_STEP):
                moved = np.repeat(counts[None], len(part), axis=0)
                moved[np.arange(len(part)), kind, part] += step
                ends.append(score(moved[:, 0], moved[:, 1], moved[:, 2], np))
            found[kind, part] = (ends[0] - ends[1]) / (2 * _STEP)
    return found


def from_counts(score: OfCounts, labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """A score that follows from counts by class, for each row of [rounds, n], [rounds]."""
    return score(*counts_of(labels, predicted, classes), np)


def counts_of(labels: np.ndarray, predicted: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of images, predictions and right predictions of each class, for each row of [rounds, n], [rounds, C] each."""
    rounds = len(labels)
    first = np.arange(rounds)[:, None] * classes

    def per_round(cells: np.ndarray) -> np.ndarray:
        return np.bincount(cells.ravel(), minlength=rounds * classes).reshape(rounds, classes)

    return per_round(first + labels), per_round(first + predicted), per_round((first + labels)[labels == predicted])
