"""Paired differences of scores over draws of images, and those of the average precision of each label."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kerascnn import statistics
from kerascnn.statistics import Difference, several_labels

# Draws of images, int [rounds, k] -> the score of each draw, [rounds].
Sampler = Callable[[np.ndarray], np.ndarray]
ROUNDS = 1000  # of the bootstrap of one class


class OfClass(NamedTuple):
    """The difference of one class, second minus first, or None for too few images; and its p value."""

    difference: Difference | None
    p: float


def difference(
    first: Sequence[Sampler],
    second: Sequence[Sampler],
    images: int,
    most: float,
    level: float,
    rounds: int,
    groups: np.ndarray | None,
) -> Difference:
    """Returns the difference of two archs' scores, second minus first, with images and seeds resampled.

    Args:
        first: The score of the first arch's run of each seed.
        second: The same of the second arch.
        images: Number of images.
        most: Largest possible difference.
        level: Confidence level of the interval.
        rounds: Number of resamplings.
        groups: Group of each image, int [images], or None.
    """

    def differences(index: np.ndarray) -> np.ndarray:
        return np.stack([b(index) - a(index) for a, b in zip(first, second, strict=True)], axis=1)

    return statistics.two_way(
        differences, images=images, seeds=len(first), most=most, groups=groups, rounds=rounds, level=level
    )


def by_label(
    first: Sequence[np.ndarray],
    second: Sequence[np.ndarray],
    labels: np.ndarray,
    level: float,
    groups: np.ndarray | None,
) -> list[OfClass]:
    """Returns the difference of the average precision of each label, and its p value.

    Args:
        first: Probabilities [m, C] of the first arch by seed.
        second: The same of the second arch.
        labels: bool [m, C].
        level: Confidence level of the intervals.
        groups: Group of each image, int [m], or None.
    """
    found = []
    for c in range(labels.shape[1]):
        truth = labels[:, c]
        if truth.sum() < 2 or (~truth).sum() < 2:
            found.append(OfClass(None, 1.0))
            continue
        samplers = [
            [several_labels.drawn_average_precision(one[:, [c]], truth[:, None]) for one in side]
            for side in (first, second)
        ]
        gap = difference(samplers[0], samplers[1], len(truth), 1.0, level, ROUNDS, groups)
        # With few images a variance may be due to chance: as many positives must gain as lose.
        ranks = [
            np.mean([several_labels.precisions(one[:, c], truth) for one in side], axis=0) for side in (first, second)
        ]
        found.append(OfClass(gap, max(statistics.p_value(gap), statistics.sign_test(ranks[1] - ranks[0]))))
    return found
