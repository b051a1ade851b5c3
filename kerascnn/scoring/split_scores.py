"""Scores of one split with n and intervals, and the signs in them of a failed training."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kerascnn.errors import UserError
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import MULTI, SINGLE, Task
from kerascnn.statistics import Interval, proportion, several_labels

# Multiple of the log loss of equal probabilities for all classes, beyond which a network is far worse than none, and a few
# confident mistakes do not explain it.
EXPLODED = 5.0


def score(
    predictions: Predictions,
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
    rows: Iterable[Score] | None = None,
) -> dict[str, Any]:
    """Returns the scores of one split, as they stand in metrics.json.

    Each has a 95 % interval over images, or over whole groups. `majority` is the accuracy of always predicting the largest
    class. The worst class is the one of lowest F1.

    Args:
        predictions: Of n images.
        class_names: C names.
        groups: The group of each image, int [n], of images that are not independent; None where all are.
        rows: The scores; None for those of a run.

    Returns:
        By the name of each row {"value", "low", "high", "n"}; majority; worst_class; per_class: a list of rows in the order of
        `class_names`; groups: their number, where there are some. With several labels per image `chance`, the mAP of a random
        order, in place of majority, and left_out: the classes without images of both kinds, which mAP leaves out.

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
    task = predictions.task
    found = task.measured(task.shown_in("run") if rows is None else rows, predictions, groups)
    found |= {} if groups is None else {"groups": len(np.unique(groups))}
    if task.several:
        return found | of_labels(predictions, class_names, groups)
    by_class = per_class(labels, predictions.predicted, class_names, groups)
    return {
        **found,
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
        rows.append(row | _shares(recall, precision, overlap))
    return rows


def of_labels(predictions: Predictions, class_names: Sequence[str], groups: np.ndarray | None = None) -> dict[str, Any]:
    """Returns chance, left_out, worst_class (the lowest average precision) and per_class of several labels per image.

    A row of per_class has name, n (images with the label), answers (predictions of it), threshold, recall, precision, f1,
    f1_low, f1_high, average_precision and auroc; the last two are None where all images or none have the label.
    """
    labels, predicted = predictions.labels, predictions.predicted
    areas = several_labels.ranking(predictions.probabilities, labels, groups).classes
    rows: list[dict[str, Any]] = []
    for c, name in enumerate(class_names):
        truth, answer = labels[:, c], predicted[:, c]
        right = truth & answer

        def share(images: np.ndarray, right: np.ndarray = right) -> Interval | None:
            if not images.any():
                return None
            return proportion(right[images], None if groups is None else groups[images])

        threshold = predictions.thresholds.each[c] if predictions.thresholds else 0.5
        row = {"name": name, "n": int(truth.sum()), "answers": int(answer.sum()), "threshold": threshold}
        found = areas[c]
        row |= _shares(share(truth), share(answer), share(truth | answer))
        row |= {key: found and getattr(found, key)._asdict() for key in ("average_precision", "auroc")}
        rows.append(row)
    known = [row for row in rows if row["average_precision"]]
    return {
        "chance": float(np.mean([row["n"] / len(labels) for row in known])) if known else None,
        "left_out": [row["name"] for row in rows if not row["average_precision"]],
        "worst_class": min(known, key=lambda row: row["average_precision"]["value"]) if known else None,
        "per_class": rows,
    }


def _shares(recall: Interval | None, precision: Interval | None, overlap: Interval | None) -> dict[str, Any]:
    """Returns recall, precision, f1, f1_low and f1_high of a class; f1 has ends where it is known."""
    row: dict[str, Any] = {
        "recall": recall and recall._asdict(),
        "precision": precision and precision._asdict(),
        "f1": None,
    }
    if overlap is not None:
        # F1 = 2 J / (1 + J), where J is the share of correct predictions among images of the class or predicted as it.
        ends = (2 * share / (1 + share) for share in overlap[:3])
        row |= dict(zip(("f1", "f1_low", "f1_high"), ends, strict=True))
    return row


def exploded(loss: float, classes: int, task: Task = SINGLE) -> bool:
    """Returns whether a log loss is far above that of equal probabilities for all classes, or of yes and no."""
    return loss > EXPLODED * math.log(2 if task.several else max(classes, 2))


def symptoms(scores: Mapping[str, Any], split: str, task: Task = SINGLE) -> list[str]:
    """Returns sentences about scores that only a failed training has.

    Args:
        scores: As `score` gives them.
        split: Name of the split.
        task: What the labels ask.
    """
    rows, loss = scores["per_class"], scores["loss"]["value"]
    if task.several:
        return _symptoms_of_labels(scores, split)
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


def _symptoms_of_labels(scores: Mapping[str, Any], split: str) -> list[str]:
    """Returns `symptoms` of several labels per image."""
    loss, ranked, chance = scores["loss"]["value"], scores["mean_average_precision"], scores["chance"]
    lines = []
    if exploded(loss, 2, MULTI):
        lines.append(
            f"The {split} loss is {loss:,.4g}, where probabilities of one half give {math.log(2):.2f}:"
            " training went wrong; try a lower --lr, a longer --warmup or a larger --batch-size."
        )
    if ranked is not None and ranked["low"] <= chance:
        lines.append(
            f"The {split} mAP cannot be told from that of a random order ({chance:.1%}): try more --epochs or another --lr."
        )
    if scores["left_out"]:
        names = ", ".join(scores["left_out"][:10])
        lines.append(f"Left out of {split}'s mAP, since all of its images or none have the label: {names}.")
    return lines


def _members(column: np.ndarray, classes: int) -> list[np.ndarray]:
    """Returns the indices of the images of each class."""
    order = np.argsort(column, kind="stable")
    return np.split(order, np.cumsum(np.bincount(column, minlength=classes))[:-1])
