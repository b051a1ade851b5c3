"""Pictures of a run as PNG bytes by name: for plots/ and for TensorBoard."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerascnn.data import Split
from kerascnn.report import (
    confusion_matrix,
    image_grid,
    label_pictures,
    ranking_curves,
    reliability_diagram,
    risk_coverage,
    run_pictures,
    score_chart,
    training_curves,
)
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.drawing import png
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.scoring.predictions import Predictions

FIRST_BATCH = "first_batch"


def first_batch(
    images: np.ndarray, targets: np.ndarray, class_names: Sequence[str], several: bool = False
) -> dict[str, bytes]:
    """Returns pictures of the first training images, after augmentation.

    Args:
        images: uint8 [batch, size, size, 3].
        targets: Labels in training, [batch, classes]; mixed ones are named by their largest class.
        class_names: One per class.
        several: Whether images have several labels, which are all named.
    """
    titles = [class_names[label] for label in targets.argmax(axis=1)]
    if several:
        titles = [label_pictures.names(row > 0.5, class_names, 3) for row in targets]
    heading = "the first training images, augmented"
    return {FIRST_BATCH: png(image_grid.images_with_titles(images, titles, heading=heading))}


def answers(split: Split, predictions: Predictions, class_names: Sequence[str]) -> dict[str, bytes]:
    """Returns pictures of some images of a split with their predictions, its worst mistakes and its confusion matrix.

    Several labels per image have no confusion matrix.

    Args:
        split: The images.
        predictions: Predictions of the images that could be decoded.
        class_names: One per class.
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    indices = split.indices[predictions.indices]
    # Spread over the split, which may be ordered by class.
    some = np.linspace(0, len(labels) - 1, min(len(labels), image_grid.GALLERY)).astype(int)
    worst = predictions.worst(image_grid.GALLERY)
    heading = f"{len(some)} of {len(labels)} {split.name} images"
    drawn = {
        "predictions": image_grid.predictions(
            _fetch(split, indices[some]),
            labels[some],
            probabilities[some],
            class_names,
            heading=heading,
            predicted=predictions.predicted[some],
        ),
        "worst_mistakes": image_grid.worst_mistakes(_fetch(split, indices[worst]), predictions, class_names),
    }
    if not predictions.task.several:
        counted = ConfusionMatrix(split.name, tuple(class_names), predictions.confusion())
        drawn["confusion_matrix"] = confusion_matrix.picture(counted, confusion_matrix.FILE)
    return {f"{split.name}_{name}": png(picture) for name, picture in drawn.items()}


def curves(rows: Sequence[Mapping[str, float]], best: int) -> dict[str, bytes]:
    """Returns pictures of loss, scores and learning rate over the epochs."""
    return {"curves": png(*training_curves.of_run(TrainingCurve("", {0: tuple(rows)}, best)))}


def measured(
    split: str, scores: Mapping[str, Any], predictions: Predictions, class_names: Sequence[str]
) -> dict[str, bytes]:
    """Returns pictures of calibration, ranking and robustness, as far as evaluate measured them.

    Args:
        split: Name of the split.
        scores: The split's scores in metrics.json.
        predictions: Of the split.
        class_names: C names.
    """
    reliability = run_pictures.measured_reliability(scores, split)
    drawn = {"reliability": png(reliability_diagram.picture([reliability]))}
    ranking = ranking_curves.measure(split, predictions.probabilities, predictions.labels, class_names)
    if ranking is not None:
        drawn["ranking"] = png(*ranking_curves.pictures(ranking))
    if not predictions.task.several:
        risk = risk_coverage.measure(split, predictions.probabilities.max(axis=1), predictions.correct)
        drawn["risk_coverage"] = png(risk_coverage.picture([risk]))
    charts = run_pictures.robustness(scores, split, predictions.task)
    drawn |= {chart.name: png(score_chart.picture(chart)) for chart in charts}
    return {f"{split}_{name}": picture for name, picture in drawn.items()}


def maps(
    split: str, images: np.ndarray, overlays: Sequence[np.ndarray], titles: Sequence[str], wrong: Sequence[bool]
) -> dict[str, bytes]:
    """Returns pictures of Grad-CAM overlays beside their images, both uint8 [n, H, W, 3]."""
    return {f"{split}_maps": png(image_grid.maps(images, overlays, titles, wrong))}


def maps_by_method(
    split: str,
    images: np.ndarray,
    overlays: Mapping[str, Sequence[np.ndarray]],
    titles: Sequence[str],
    wrong: Sequence[bool],
) -> dict[str, bytes]:
    """Returns pictures of images beside their overlays by each method, by its title."""
    return {f"{split}_maps_by_method": png(image_grid.maps_by_method(images, overlays, titles, wrong))}


def _fetch(split: Split, indices: np.ndarray) -> np.ndarray:
    return split.source.fetch(indices).numpy()
