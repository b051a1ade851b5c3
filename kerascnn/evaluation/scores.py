"""Scores of a split beyond those at the end of a training: calibration, curves, confusions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerascnn.scoring import metrics
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.split_scores import score
from kerascnn.statistics import calibration, several_labels

PAIRS = 10


def of(predictions: Predictions, class_names: Sequence[str], groups: np.ndarray | None = None) -> dict[str, Any]:
    """All scores of a split, as they stand in metrics.json.

    Args:
        predictions: Of the network.
        class_names: C names.
        groups: The group of each image, int [n], of images that are not independent; None where all are.

    Returns:
        `split_scores.score`'s for every score (None where it says nothing); ece_null: plain (the ECE of this split's bins), and
        the median, the 97.5 % quantile (high) and the share of at least `plain` (p) of plain ECEs of labels drawn from these
        confidences; reliability (bins of equal mass); confused (the most frequent mistakes); worst_mistakes (the least
        probability for the truth first). With several labels per image no ece_null and no confused: reliability is that of
        labels.
    """
    probabilities, labels = predictions.probabilities, predictions.labels
    if predictions.task.several:
        return {
            **score(predictions, class_names, groups, predictions.task.rows),
            "reliability": [row._asdict() for row in several_labels.reliability(probabilities, labels)],
            "worst_mistakes": worst_mistakes(predictions, class_names),
        }
    return {
        **score(predictions, class_names, groups, metrics.SCORES.values()),
        "reliability": [row._asdict() for row in calibration.reliability(probabilities, labels)],
        "confused": confused(predictions, class_names),
        "worst_mistakes": worst_mistakes(predictions, class_names),
    }


def with_temperature(predictions: Predictions, temperature: float, groups: np.ndarray | None = None) -> dict[str, Any]:
    """Returns the scores of this split that depend on the temperature, at the temperature of val; accuracy does not change."""
    cooled, rows = calibration.cooled(predictions.probabilities, temperature), metrics.shown_in("calibrated")
    return {"temperature": temperature, **metrics.measured(rows, cooled, predictions.labels, groups)}


def confused(predictions: Predictions, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the most frequent mistakes: truth, predicted class, count, and n images of that truth."""
    counts = predictions.confusion()
    images = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(cell), len(counts)) for cell in order]
    return [
        {"truth": class_names[t], "answer": class_names[a], "count": int(counts[t, a]), "n": int(images[t])}
        for t, a in pairs
        if counts[t, a]
    ]


def worst_mistakes(predictions: Predictions, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns wrong predictions with the lowest probability of the truth: id, truth, predicted class, its probability."""
    predicted = predictions.predicted
    if predictions.task.several:
        return [_mistake(predictions, int(i), class_names) for i in predictions.worst(PAIRS)]
    return [
        {
            "id": str(predictions.ids[i]),
            "truth": class_names[predictions.labels[i]],
            "answer": class_names[predicted[i]],
            "probability": float(predictions.probabilities[i, predicted[i]]),
        }
        for i in predictions.worst(PAIRS)
    ]


def _mistake(predictions: Predictions, row: int, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns the labels of one image, its predicted ones, and the label that is decided wrongly with most certainty."""
    labels, predicted = predictions.labels[row], predictions.predicted[row]
    probabilities = predictions.probabilities[row]
    of_truth = np.where(labels, probabilities, 1 - probabilities)
    worst = int(np.where(predicted != labels, of_truth, 2).argmin())
    return {
        "id": str(predictions.ids[row]),
        "truth": [class_names[c] for c in np.flatnonzero(labels).tolist()],
        "answer": [class_names[c] for c in np.flatnonzero(predicted).tolist()],
        "label": class_names[worst],
        "probability": float(probabilities[worst]),
    }
