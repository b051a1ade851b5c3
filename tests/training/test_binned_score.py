"""Scores of several labels during training: near the exact ones, whatever the batches, padding and soft labels."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import MULTI
from kerascnn.training import keras_metrics


def drawn(n: int = 300, classes: int = 5):
    rng = np.random.default_rng(0)
    labels = rng.random((n, classes)) < np.linspace(0.6, 0.1, classes)
    return labels, (rng.normal(size=(n, classes)) * 2 + 2 * labels - 1).astype("float32")


def scores(labels, logits, batch: int, weights=None):
    built = keras_metrics.build(labels.shape[1], MULTI)
    weights = np.ones(len(labels), "float32") if weights is None else weights
    for start in range(0, len(labels), batch):
        rows = slice(start, start + batch)
        for metric in built:
            metric.update_state(labels[rows].astype("float32"), logits[rows], weights[rows])
    return {metric.name: float(metric.result()) for metric in built}


def test_they_are_near_the_exact_ones() -> None:
    labels, logits = drawn()
    found = scores(labels, logits, 64)
    assert found["mean_average_precision"] == pytest.approx(average_precision_score(labels, logits), abs=0.005)
    probabilities = (1 / (1 + np.exp(-logits))).astype("float32")
    chosen = Thresholds.chosen(probabilities, labels, "val")
    exact = MULTI.measured(MULTI.counted(), Predictions(np.arange(300), None, labels, probabilities, chosen))
    for name in ("micro_f1", "macro_f1"):
        assert found[name] == pytest.approx(exact[name]["value"], abs=0.01)


def test_batches_and_padding_change_nothing() -> None:
    labels, logits = drawn(100)
    whole = scores(labels, logits, 100)
    padded = [np.concatenate([part, part[:28]]) for part in (labels, logits)]
    weights = np.r_[np.full(100, 1.28), np.zeros(28)].astype("float32")
    assert scores(*padded, 16, weights) == pytest.approx(whole, abs=1e-6)
    by_label = np.repeat(weights[:, None], labels.shape[1], axis=1) * np.where(padded[0], 7, 1).astype("float32")
    assert scores(*padded, 16, by_label) == pytest.approx(whole, abs=1e-6), "weights of positives do not change scores"


def test_a_class_of_one_kind_is_left_out() -> None:
    labels, logits = drawn()
    labels[:, 0], labels[:, 1] = False, True
    expected = average_precision_score(labels[:, 2:], logits[:, 2:])
    assert scores(labels, logits, 64)["mean_average_precision"] == pytest.approx(expected, abs=0.005)
