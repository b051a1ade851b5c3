"""Scores of a split beyond those of a training's end: calibration, curves, confusions."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from kerascnn import scoring
from kerascnn.evaluation.subject import Answers
from kerascnn.report import plots
from kerascnn.statistics import bootstrap, calibration
from kerascnn.statistics.intervals import resampled
from kerascnn.statistics.ranking import ranking

PAIRS, ROUNDS = 10, 1000


def of(answers: Answers, class_names: Sequence[str]) -> dict[str, Any]:
    """All scores of a split, as they stand in metrics.json.

    Returns:
        `scoring.score`'s, whose rows per class get f1_low and f1_high; brier, ece, average_precision and auroc (None where
        no class has both kinds of images) with bootstrap intervals; reliability (bins of equal mass); confused (the most
        frequent mistakes); worst_mistakes (the least probability for the truth first).
    """
    probabilities, labels = answers.probabilities, answers.labels
    predicted = probabilities.argmax(axis=1)
    found = scoring.score(probabilities, labels, class_names)
    for row, spread in zip(found["per_class"], f1_spread(labels, predicted, len(class_names)), strict=True):
        row |= {"f1_low": spread[0], "f1_high": spread[1]} if row["f1"] is not None else {}
    areas = ranking(probabilities, labels)
    return {
        **found,
        **calibrated(probabilities, labels),
        "ece": calibration.ece_interval(probabilities, labels)._asdict(),
        "average_precision": None if areas is None else areas.average_precision._asdict(),
        "auroc": None if areas is None else areas.auroc._asdict(),
        "reliability": [row._asdict() for row in calibration.reliability(probabilities, labels)],
        "confused": confused(labels, predicted, class_names),
        "worst_mistakes": worst_mistakes(answers, class_names),
    }


def f1_spread(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[tuple[float, float]]:
    """Percentile bootstrap of each class's F1 over the images: (low, high); a class that a round lacks sits it out."""
    f1 = partial(scoring.class_f1, classes=classes)
    drawn = np.concatenate([f1(labels[index], predicted[index]) for index in resampled(len(labels), ROUNDS, seed=0)])
    seen = np.isfinite(drawn).any(axis=0)
    bounds = np.full((2, classes), np.nan)
    bounds[:, seen] = np.nanquantile(drawn[:, seen], [0.025, 0.975], axis=0)
    return [(float(low), float(high)) for low, high in bounds.T]


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


def worst_mistakes(answers: Answers, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Wrong answers, the least probability for the truth first: id, truth, answer, and the answer's probability."""
    places = plots.mistakes(answers.labels, answers.probabilities, PAIRS)
    predicted = answers.probabilities.argmax(axis=1)
    return [
        {
            "id": str(answers.ids[i]),
            "truth": class_names[answers.labels[i]],
            "answer": class_names[predicted[i]],
            "probability": float(answers.probabilities[i, predicted[i]]),
        }
        for i in places
    ]


def curves(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, list[tuple[int, np.ndarray, np.ndarray]]]:
    """Of each class with both kinds of images, its place and a curve.

    Returns:
        `pr` as (class, recall, precision), `roc` as (class, false positives' share, true positives' share).
    """
    found: dict[str, list[tuple[int, np.ndarray, np.ndarray]]] = {"pr": [], "roc": []}
    for c in range(probabilities.shape[1]):
        truth = labels == c
        if 0 < truth.sum() < len(labels):
            precision, recall, _ = precision_recall_curve(truth, probabilities[:, c])
            false, true, _ = roc_curve(truth, probabilities[:, c])
            found["pr"].append((c, recall, precision))
            found["roc"].append((c, false, true))
    return found
