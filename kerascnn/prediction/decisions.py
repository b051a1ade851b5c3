"""What is predicted of an image: its most probable class, or every label at or above its threshold. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kerascnn.prediction.sorting import Sorting

if TYPE_CHECKING:
    import numpy as np

    from kerascnn.artefacts import Predictor
    from kerascnn.report.overlays import Overlays

SEPARATOR = "|"  # of labels, and of their probabilities, in a cell of CSV
COLUMNS = ("labels", "probabilities")
# Labels of an image that get an overlay each.
OVERLAYS = 3


class Decision(NamedTuple):
    """The prediction for one image.

    Attributes:
        labels: Predicted classes, the most probable first: one, or any number of labels.
        top: Classes to explain: the labels, or without any the most probable class.
    """

    labels: tuple[int, ...]
    top: tuple[int, ...]


def decided(predictor: Predictor, probabilities: np.ndarray, threshold: float | None) -> Decision:
    """Returns the decision for probabilities [classes].

    Args:
        predictor: The network, with its thresholds.
        probabilities: Of one image.
        threshold: With several labels per image one threshold in place of all, or None.
    """
    from kerascnn.scoring.label_metrics import Thresholds

    order = (-probabilities).argsort(kind="stable").tolist()
    if not predictor.task.several:
        return Decision((order[0],), (order[0],))
    known = predictor.thresholds or Thresholds.half(len(order))
    there = known.decide(probabilities) if threshold is None else probabilities >= threshold
    labels = tuple(c for c in order if there[c])
    return Decision(labels, labels or (order[0],))


def taken(inside: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Returns the classes that are in an image's prediction set, bool [classes], the most probable first."""
    return [class_names[c] for c in (-probabilities).argsort(kind="stable").tolist() if inside[c]]


def set_text(classes: Sequence[str], *, labels: bool = False) -> str:
    """Returns a prediction set as text: its only class, or `unsure: cat | dog`; with `labels` all of them."""
    if len(classes) == 1 or (labels and classes):
        return " | ".join(classes)
    if labels:
        return "no label"
    return f"unsure: {' | '.join(classes)}" if classes else "unsure: no class is typical"


def drawn(
    overlays: Overlays, files: Sequence[str], found: Sequence[Decision], class_names: Sequence[str]
) -> list[Path]:
    """Writes overlays of each image's decision, up to OVERLAYS; returns the first one of each image."""
    shown = [one.top[:OVERLAYS] for one in found]
    pairs = [(file, c) for file, classes in zip(files, shown, strict=True) for c in classes]
    made = iter(overlays.write([file for file, _ in pairs], [c for _, c in pairs], class_names))
    return [[next(made) for _ in classes][0] for classes in shown]  # noqa: RUF015 - all of an image are taken


def sort(sorting: Sorting, file: str, found: Decision, probabilities: np.ndarray) -> Path:
    """Sorts an image into the folder of each predicted class, or of unsure ones; returns its place in the first one.

    Raises:
        FileNotFoundError: The image is gone.
    """
    if not found.labels:
        return sorting.put(file, found.top[0], -1.0)
    places = [sorting.put(file, c, float(probabilities[c])) for c in found.labels]
    return places[0]


def text(labels: Sequence[tuple[str, float]], top: tuple[str, float]) -> str:
    """Returns the labels with their probabilities, or that there is none, with the most probable class."""
    if not labels:
        return f"no label (most probable: {top[0]} {top[1]:.2%})"
    return "  ".join(f"{name} {probability:.2%}" for name, probability in labels)


def cells(labels: Sequence[tuple[str, float]]) -> list[str]:
    """Returns the two cells of a row of CSV, each joined by SEPARATOR."""
    return [SEPARATOR.join(name for name, _ in labels), SEPARATOR.join(f"{value:.9g}" for _, value in labels)]
