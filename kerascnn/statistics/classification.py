"""Means over classes, each with its interval: macro F1, balanced accuracy, average precision, area under the ROC curve."""

from typing import NamedTuple

import numpy as np

from kerascnn.statistics.intervals import Interval
from kerascnn.statistics.linearized import share_interval, spread
from kerascnn.statistics.proper_scores import require_finite


def base_of(labels: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Returns the number of independent images behind a mean over equally hard classes: the harmonic mean of the classes'
    images times the number of classes.

    A whole group counts as one image.
    """
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    base = len(counts) ** 2 / float((1 / counts).sum())
    return base if groups is None else base * len(np.unique(groups)) / len(labels)


def balanced_accuracy(
    labels: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray | None = None
) -> Interval:
    """Returns the mean recall over the classes that occur."""
    images, right = np.bincount(labels, minlength=classes), labels == predicted
    recall = np.bincount(labels, right, classes) / np.maximum(images, 1)
    there = images > 0
    shared = 0.0 if groups is None else recall[labels]
    influence = (right - shared) / images[labels] / there.sum()
    return share_interval(
        float(recall[there].mean()),
        spread(influence, labels, groups),
        base_of(labels, groups),
        len(labels),
        growth=0.0 if groups is None else 1.0,
    )


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray | None = None) -> Interval:
    """Returns the mean F1 over the classes that occur or are predicted."""
    images, answers = (np.bincount(a, minlength=classes) for a in (labels, predicted))
    right = labels == predicted
    hits = np.bincount(labels, right, classes)
    both = np.maximum(images + answers, 1)
    f1, seen = 2 * hits / both, images + answers > 0
    # Without groups, the number of a class's images is fixed.
    shared = 0.0 if groups is None else f1[labels] / both[labels]
    influence = 2 * right / both[labels] - shared - f1[predicted] / both[predicted]
    bias = 0.0 if groups is not None else _f1_bias(labels, predicted, images, hits, both)
    return share_interval(
        float(f1[seen].mean()),
        spread(influence / seen.sum(), labels, groups),
        base_of(labels, groups),
        len(labels),
        bias / seen.sum(),
        growth=0.0 if groups is None else 1.0,
    )


def _f1_bias(
    labels: np.ndarray, predicted: np.ndarray, images: np.ndarray, hits: np.ndarray, both: np.ndarray
) -> float:
    """Returns the second-order bias of the sum of F1: 2 T / (n + T + F) is curved in the random T (hits) and F (false
    positives).
    """
    classes = len(images)
    cells, counts = np.unique(labels * classes + predicted, return_counts=True)
    truth, answer = np.divmod(cells, classes)
    of = images[truth]
    scatter = counts * (1 - counts / of) * of / np.maximum(of - 1, 1)
    wrong = truth != answer
    false = np.bincount(answer[wrong], scatter[wrong], classes)
    true = np.bincount(answer[~wrong], scatter[~wrong], classes)
    return float((2 * (hits * false - (both - hits) * true) / both.astype("float64") ** 3).sum())


class MeanRanking(NamedTuple):
    """Mean average precision and mean ROC area over the classes that have images and are not alone."""

    average_precision: Interval
    auroc: Interval


class Area(NamedTuple):
    """The area of one class against the rest.

    Attributes:
        value: The area.
        influence: Influence of each image, [n].
        own: Contribution of each image of the class to `influence` if the number of such images is fixed.
        bias: Second-order bias of `value`.
    """

    value: float
    influence: np.ndarray
    own: float
    bias: float = 0.0


def areas(scores: np.ndarray, truth: np.ndarray) -> tuple[Area, Area]:
    """Returns average precision and area under the ROC curve. Equal scores are one step of both curves, as in scikit-learn.

    Args:
        scores: [n].
        truth: Whether each image is of the class, bool [n], with both values.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    step = np.empty(len(scores), int)  # step of the curves for each image
    step[order] = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=-1))
    hits = np.cumsum(truth[order], dtype="float64")[ends]
    answered = ends + 1.0
    false = answered - hits
    new, new_false = np.diff(hits, prepend=0), np.diff(false, prepend=0)
    return (
        _average_precision(truth, step, new / hits[-1], hits, false),
        _area_under_roc(truth, step, hits - new / 2, false - new_false / 2, new_false),
    )


def _average_precision(
    truth: np.ndarray, step: np.ndarray, share: np.ndarray, hits: np.ndarray, false: np.ndarray
) -> Area:
    answered, positives = hits + false, hits[-1]
    precision = hits / answered
    value = float((share * precision).sum())
    # One more image changes the precision at its own step and at every later step.
    more_hits = np.cumsum((share * false / answered**2)[::-1])[::-1]
    more_false = np.cumsum((share * hits / answered**2)[::-1])[::-1]
    influence = np.where(truth, (precision[step] - value) / positives + more_hits[step], -more_false[step])
    # A positive counts itself among those found, and true and false positives scatter.
    # Share of the other positives with a lower score; one half if there is only one positive.
    rest = (positives - hits) / (positives - 1) if positives > 1 else np.full(len(hits), 0.5)
    scatter = -(hits - 1) * rest + hits * (1 - false / false[-1])
    bias = float((share * false * (rest / answered**2 + scatter / answered**3)).sum())
    return Area(value, influence, value / positives, bias)


def _area_under_roc(
    truth: np.ndarray, step: np.ndarray, above: np.ndarray, false: np.ndarray, new_false: np.ndarray
) -> Area:
    positives, negatives = truth.sum(), (~truth).sum()
    value = float((new_false * above).sum() / (positives * negatives))
    influence = np.where(
        truth, (1 - false[step] / negatives - value) / positives, (above[step] / positives - value) / negatives
    )
    return Area(value, influence, value / positives)


def ranking(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> MeanRanking | None:
    """Returns the means over the classes, each against the rest, or None if no class has images of both kinds.

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    n, classes = probabilities.shape
    both = [c for c in range(classes) if 0 < (labels == c).sum() < n]
    if not both:
        return None
    value, influence, bias = np.zeros(2), np.zeros((2, n)), np.zeros(2)
    for c in both:
        truth = labels == c
        for i, area in enumerate(areas(probabilities[:, c], truth)):
            value[i] += area.value / len(both)
            influence[i] += area.influence / len(both)
            influence[i, truth] += 0.0 if groups is not None else area.own / len(both)
            bias[i] += area.bias / len(both)
    base, growth = base_of(labels, groups), 0.5 if groups is None else 1.0
    intervals = (
        share_interval(float(value[i]), spread(influence[i], labels, groups), base, n, float(bias[i]), growth)
        for i in range(2)
    )
    return MeanRanking(*intervals)
