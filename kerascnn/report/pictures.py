"""Pictures of a run's images and mistakes, as PNG bytes by name: for plots/ and for TensorBoard."""

from collections.abc import Mapping, Sequence

import numpy as np

from kerascnn.data import Split
from kerascnn.report import plots
from kerascnn.scoring.predictions import Predictions

FIRST_BATCH = "first_batch"


def first_batch(images: np.ndarray, answers: np.ndarray, class_names: Sequence[str]) -> dict[str, bytes]:
    """What training is shown first, after augmentation.

    Args:
        images: uint8 [batch, size, size, 3].
        answers: Labels as training sees them, [batch, classes]; mixed ones are named by their largest class.
        class_names: One per class.
    """
    titles = [class_names[label] for label in answers.argmax(axis=1)]
    figure = plots.image_grid(images, titles, heading="the first training images, augmented")
    return {FIRST_BATCH: plots.png(figure)}


def answers(split: Split, predictions: Predictions, class_names: Sequence[str]) -> dict[str, bytes]:
    """Some images of a split with their answers, its worst mistakes and its confusion matrix.

    Args:
        split: The images.
        predictions: Of those that could be decoded, with their indices.
        class_names: One per class.
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    indices = split.indices[predictions.indices]
    # Spread over the split, which may be ordered by class.
    some = np.linspace(0, len(labels) - 1, min(len(labels), plots.GALLERY)).astype(int)
    worst = predictions.worst(plots.GALLERY)
    heading = f"{len(some)} of {len(labels)} {split.name} images"
    figures = {
        "predictions": plots.predictions(
            _fetch(split, indices[some]), labels[some], probabilities[some], class_names, heading=heading
        ),
        "worst_mistakes": plots.worst_mistakes(_fetch(split, indices[worst]), predictions, class_names),
        "confusion_matrix": plots.confusion_matrix(predictions.confusion(), class_names),
    }
    return {f"{split.name}_{name}": plots.png(figure) for name, figure in figures.items()}


def curves(rows: Sequence[Mapping[str, float]], best: int) -> dict[str, bytes]:
    """Loss and scores over the epochs."""
    return {"curves": plots.png(plots.curves(rows, best))}


def _fetch(split: Split, indices: np.ndarray) -> np.ndarray:
    return split.source.fetch(indices).numpy()
