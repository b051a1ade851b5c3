"""The prediction for one image, and its row in CSV: columns, cells, quoting. No TensorFlow."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kerascnn.artefacts.further import IN_SET, KNOWN
from kerascnn.prediction import decisions
from kerascnn.prediction.predict_flags import Predict

if TYPE_CHECKING:
    import numpy as np

    from kerascnn.artefacts import Predictor
    from kerascnn.scoring.prediction_sets import SetRule


class ImagePrediction(NamedTuple):
    """The prediction for one image.

    Attributes:
        image: Its path as given.
        top: (class, probability), the most probable first.
        cam: The overlay, or None; that of the most probable label.
        sorted: Where it was sorted to, or None; the folder of the most probable label.
        labels: (class, probability) of every predicted label, the most probable first, or None of one class per image.
        classes: Names of the prediction set, the most probable first, or None without --sets.
        known: Whether it resembles the training images, or None without --reject-unknown.
    """

    image: str
    top: Sequence[tuple[str, float]]
    cam: Path | None = None
    sorted: Path | None = None
    labels: Sequence[tuple[str, float]] | None = None
    classes: Sequence[str] | None = None
    known: bool | None = None


def of_image(
    predictor: Predictor,
    asked: Predict,
    rule: SetRule | None,
    image: str,
    probabilities: np.ndarray,
    further: Mapping[str, np.ndarray],
) -> tuple[ImagePrediction, decisions.Decision]:
    """Returns the prediction for an image, and what was decided about it.

    Args:
        predictor: The network, with its thresholds and class names.
        asked: How many classes are named, and the threshold.
        rule: The rule of prediction sets, or None where the artefact has them inside, and without --sets.
        image: Its name.
        probabilities: Its probabilities [classes].
        further: Its further outputs by name: with --reject-unknown `known`, and `in_set` where the sets are inside.
    """
    names = predictor.class_names
    known = bool(further[KNOWN]) if asked.reject_unknown else None
    decision = decisions.decided(predictor, probabilities, asked.threshold)
    order = (-probabilities).argsort(kind="stable")[: asked.top]
    top, labels = (
        [(names[place], float(probabilities[place])) for place in places] for places in (order, decision.labels)
    )
    classes = None
    if asked.sets:
        taken = further[IN_SET] if rule is None else rule.sets(probabilities[None])[0]
        classes = decisions.taken(taken, probabilities, names)
    several = labels if predictor.task.several else None
    return ImagePrediction(image, top, labels=several, classes=classes, known=known), decision


def columns(asked: Predict, classes: int, several: bool) -> list[str]:
    """Returns the names of the columns of CSV, without those of overlays and sorted images.

    Args:
        asked: The flags.
        classes: Number of classes.
        several: Whether images have several labels.
    """
    places = range(1, min(asked.top, classes) + 1)
    of_top = [f"{name}_{place}" for place in places for name in ("class", "probability")]
    further = {"set": asked.sets, "known": asked.reject_unknown}
    return ["image", *(decisions.COLUMNS if several else of_top), *(name for name, given in further.items() if given)]


def cells(prediction: ImagePrediction) -> list[Any]:
    """Returns the cells of a row of CSV, one for each of `columns`."""
    found: list[Any] = [cell for name, probability in prediction.top for cell in (name, short(probability))]
    if prediction.labels is not None:
        found = decisions.cells(prediction.labels)
    found += [] if prediction.classes is None else [decisions.SEPARATOR.join(prediction.classes)]
    found += [] if prediction.known is None else [str(prediction.known).lower()]
    return [prediction.image, *found]


def csv_line(row: Sequence[Any]) -> str:
    """Returns a row of CSV without its line end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(
        row
    )  # both characters are quoted within a cell, because they end a line
    return text.getvalue().removesuffix("\r\n")


def short(probability: float) -> float:
    """Rounds to nine digits, which hold a float32 exactly."""
    return float(f"{probability:.9g}")
