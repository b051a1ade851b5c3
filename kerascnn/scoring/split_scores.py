"""Scores of one split with n and intervals, and the signs in them of a failed training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kerascnn.errors import UserError
from kerascnn.scoring import metrics
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import Interval, proportion

# Multiple of the log loss of equal probabilities for all classes, beyond which a network is far worse than none, and a few
# confident mistakes do not explain it.
EXPLODED = 5.0


def score(
    predictions: Predictions,
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
    rows: Iterable[Score] = metrics.shown_in("run"),
) -> dict[str, Any]:
    """Returns the scores of one split, as they stand in metrics.json.

    Each has a 95 % interval over images, or over whole groups. `majority` is the accuracy of always predicting the largest
    class. The worst class is the one of lowest F1.

    Args:
        predictions: Of n images.
        class_names: C names.
        groups: The group of each image, int [n], of images that are not independent; None where all are.
        rows: The scores.

    Returns:
        By the name of each row {"value", "low", "high", "n"}; majority; worst_class; per_class: a list of rows in the order of
        `class_names`; groups: their number, where there are some.

    Raises:
        UserError: No images to score.
        ValueError: Shapes that do not fit, or a probability that is not a number.
    """
    probabilities, labels, classes = predictions.probabilities, predictions.labels, len(class_names)
    if len(labels) == 0:
        raise UserError("nothing to score: none of the split's images could be read")
    if probabilities.shape != (len(labels), classes):
        raise ValueError(f"expected probabilities [{len(labels)}, {classes}], got {probabilities.shape}")
    if not np.isfinite(probabilities).all():
        raise ValueError(
            f"{(~np.isfinite(probabilities)).any(axis=1).sum()} images have a probability that is no number"
        )
    by_class = per_class(labels, predictions.predicted, class_names, groups)
    return {
        **metrics.measured(rows, probabilities, labels, groups),
        **({} if groups is None else {"groups": len(np.unique(groups))}),
        "majority": max(row["n"] for row in by_class) / len(labels),
        "worst_class": min((row for row in by_class if row["n"]), key=lambda row: row["f1"]),
        "per_class": by_class,
    }


def per_class(
    labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], groups: np.ndarray | None = None
) -> list[dict[str, Any]]:
    """Returns one row per class: name, n (images), answers (predictions), recall, precision, f1, f1_low, f1_high.

    Recall of a class without images and precision of one that was never answered are None, F1 of one with neither is
    None and has no ends; recall and precision are {"value", "low", "high", "n"}.
    """
    by_truth, by_answer = (_members(column, len(class_names)) for column in (labels, predicted))
    right = labels == predicted

    def share(images: np.ndarray) -> Interval | None:
        return proportion(right[images], None if groups is None else groups[images]) if len(images) else None

    rows: list[dict[str, Any]] = []
    for c, name in enumerate(class_names):
        either = np.append(by_truth[c], by_answer[c][~right[by_answer[c]]])
        recall, precision, overlap = share(by_truth[c]), share(by_answer[c]), share(either)
        row: dict[str, Any] = {"name": name, "n": len(by_truth[c]), "answers": len(by_answer[c])}
        row |= {"recall": recall and recall._asdict(), "precision": precision and precision._asdict(), "f1": None}
        if overlap is not None:
            # F1 = 2 J / (1 + J), where J is the share of correct predictions among images of the class or predicted as it.
            ends = (2 * share / (1 + share) for share in overlap[:3])
            row |= dict(zip(("f1", "f1_low", "f1_high"), ends, strict=True))
        rows.append(row)
    return rows


def exploded(loss: float, classes: int) -> bool:
    """Returns whether a log loss is far above that of equal probabilities for all classes."""
    return loss > EXPLODED * math.log(max(classes, 2))


def symptoms(scores: Mapping[str, Any], split: str) -> list[str]:
    """Returns sentences about scores that only a failed training has.

    Args:
        scores: As `score` gives them.
        split: Name of the split.
    """
    rows, loss = scores["per_class"], scores["loss"]["value"]
    answered = [row["name"] for row in rows if row["answers"]]
    lines = []
    if exploded(loss, len(rows)):
        lines.append(
            f"The {split} loss is {loss:,.4g}, where equal probabilities for all classes give {math.log(len(rows)):.2f}:"
            " training went wrong; try a lower --lr, a longer --warmup or a larger --batch-size."
        )
    if len(answered) == 1 and len(rows) > 1:
        lines.append(
            f"Every {split} image is predicted as {answered[0]}: the network does not tell classes apart; try more"
            " --epochs or another --lr."
        )
    return lines


def _members(column: np.ndarray, classes: int) -> list[np.ndarray]:
    """Returns the indices of the images of each class."""
    order = np.argsort(column, kind="stable")
    return np.split(order, np.cumsum(np.bincount(column, minlength=classes))[:-1])
