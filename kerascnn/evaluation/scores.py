"""Scores of a split beyond those of a training's end: calibration, curves, confusions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from kerascnn import scoring
from kerascnn.evaluation.subject import Answers
from kerascnn.statistics import bootstrap, calibration

PAIRS = 10


def of(answers: Answers, class_names: Sequence[str]) -> dict[str, Any]:
    """All scores of a split, as they stand in metrics.json.

    Returns:
        `scoring.score`'s, and brier and ece with bootstrap intervals, reliability (bins of equal mass), confused (the most
        frequent mistakes), average_precision and auroc (means over the classes that have both kinds of images).
    """
    probabilities, labels = answers.probabilities, answers.labels
    return {
        **scoring.score(probabilities, labels, class_names),
        **calibrated(probabilities, labels),
        "ece": calibration.ece_interval(probabilities, labels)._asdict(),
        "reliability": [row._asdict() for row in calibration.reliability(probabilities, labels)],
        "confused": confused(labels, probabilities.argmax(axis=1), class_names),
        **ranking(probabilities, labels),
    }


def calibrated(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Brier score with its bootstrap interval."""
    return {"brier": bootstrap(lambda rows: rows.mean(axis=1), [calibration.brier(probabilities, labels)])._asdict()}


def with_temperature(answers: Answers, temperature: float) -> dict[str, Any]:
    """What val's temperature makes of this split's loss, Brier score and ECE; accuracy stays as it is."""
    cooled = calibration.cooled(answers.probabilities, temperature)
    loss = bootstrap(lambda rows: rows.mean(axis=1), [scoring.losses(cooled, answers.labels)])
    return {
        "temperature": temperature,
        "loss": loss._asdict(),
        **calibrated(cooled, answers.labels),
        "ece": calibration.ece_interval(cooled, answers.labels)._asdict(),
    }


def confused(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """The most frequent mistakes: truth, answer, count, and n images of that truth."""
    classes = len(class_names)
    counts = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    images = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    pairs = [divmod(int(place), classes) for place in order]
    return [
        {"truth": class_names[t], "answer": class_names[a], "count": int(counts[t, a]), "n": int(images[t])}
        for t, a in pairs
        if counts[t, a]
    ]


def ranking(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Average precision and area under the ROC curve, each class against the rest, means over classes with both kinds."""
    both = [c for c in range(probabilities.shape[1]) if 0 < (labels == c).sum() < len(labels)]
    precision = [average_precision_score(labels == c, probabilities[:, c]) for c in both]
    area = [roc_auc_score(labels == c, probabilities[:, c]) for c in both]
    return {
        "average_precision": float(np.mean(precision)) if both else None,
        "auroc": float(np.mean(area)) if both else None,
    }


def curves(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Per class with both kinds of images: `pr` as (recall, precision), `roc` as (false, true positives' share)."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"pr": [], "roc": []}
    for c in range(probabilities.shape[1]):
        truth = labels == c
        if 0 < truth.sum() < len(labels):
            precision, recall, _ = precision_recall_curve(truth, probabilities[:, c])
            false, true, _ = roc_curve(truth, probabilities[:, c])
            found["pr"].append((recall, precision))
            found["roc"].append((false, true))
    return found
