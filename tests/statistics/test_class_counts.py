"""Intervals that follow from derivatives by counts, against those that were written out for a score."""

import numpy as np
import pytest

from kerascnn.statistics import class_counts, proportion
from kerascnn.statistics.classification import balanced_accuracy


def _accuracy(images, predicted, right, arrays):
    return arrays.sum(right, axis=-1) / arrays.sum(images, axis=-1)


def _recall(images, predicted, right, arrays):
    return arrays.sum(right / images, axis=-1) / images.shape[-1]


@pytest.mark.parametrize("grouped", [False, True])
def test_the_interval_of_a_score_of_counts(grouped: bool) -> None:
    """From derivatives it is the one that was written out for the score."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.choice(4, 300, p=[0.5, 0.3, 0.15, 0.05]))
    predicted = np.where(rng.random(300) < 0.8, labels, rng.integers(0, 4, 300))
    groups = np.arange(300) // 3 if grouped else None
    found = class_counts.interval(_recall, labels, predicted, 4, groups)
    assert found == pytest.approx(balanced_accuracy(labels, predicted, 4, groups), rel=1e-5)
    low, high = class_counts.interval(_accuracy, labels, predicted, 4, groups)[1:3]
    assert (low, high) == pytest.approx(proportion(labels == predicted, groups)[1:3], abs=0.01)


def test_slopes_of_many_classes_are_found_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(60) % 20
    whole = class_counts.interval(_recall, labels, np.roll(labels, 1) * (labels > 9) + labels * (labels < 10), 20)
    monkeypatch.setattr(class_counts, "_AT_ONCE", 200)
    parts = class_counts.interval(_recall, labels, np.roll(labels, 1) * (labels > 9) + labels * (labels < 10), 20)
    assert parts == whole
