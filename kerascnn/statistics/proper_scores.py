"""Proper scores, log loss and Brier score, with their intervals."""

from collections.abc import Callable

import numpy as np

from kerascnn.statistics.intervals import Interval
from kerascnn.statistics.linearized import mean_interval

SMALLEST = np.finfo("float32").tiny


def require_finite(probabilities: np.ndarray) -> None:
    """Checks that scores can be computed.

    Raises:
        ValueError: A probability is NaN.
    """
    bad = int((~np.isfinite(probabilities)).any(axis=1).sum())
    if bad:
        raise ValueError(f"expected finite probabilities, got {bad} images with NaN")


def losses(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the log loss of each image, [n]; a probability that float32 rounds to 0 counts as its smallest normal number.

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    true = probabilities[np.arange(len(labels)), labels].astype("float64")
    return -np.log(np.maximum(true, SMALLEST))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the squared distance between probabilities and label of each image, [n], from 0 to 2 (Brier, 1950).

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    true = probabilities[np.arange(len(labels)), labels].astype("float64")
    return np.einsum("nc,nc->n", probabilities, probabilities, dtype="float64") - 2 * true + 1


def mean_loss(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """Returns the log loss with its interval, whose upper end allows for one more mistake."""
    return _with_one_mistake_more(losses, probabilities, labels, groups)


def mean_brier(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> Interval:
    """Returns the Brier score with its interval, whose upper end allows for one more mistake."""
    found = _with_one_mistake_more(brier, probabilities, labels, groups)
    return found._replace(high=min(found.high, 2.0))


def _with_one_mistake_more(
    each: Callable[[np.ndarray, np.ndarray], np.ndarray],
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None,
) -> Interval:
    values = each(probabilities, labels)
    worst = None
    if probabilities.shape[1] > 1:
        # Mean score if the truth of each correctly predicted image were its most probable other class.
        other, right = _most_probable_other(probabilities, labels), probabilities.argmax(axis=1) == labels
        worst = float(np.where(right, each(probabilities, other), values).mean())
    found = mean_interval(values, groups, worst)
    return found._replace(low=max(found.low, 0.0))


def _most_probable_other(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the most probable class except the true one, [n]; in blocks, so that memory does not grow with the split."""
    found, rows = np.empty(len(labels), int), max(1, 4_000_000 // probabilities.shape[1])
    for start in range(0, len(labels), rows):
        part = probabilities[start : start + rows].copy()
        part[np.arange(len(part)), labels[start : start + rows]] = -1
        found[start : start + rows] = part.argmax(axis=1)
    return found
