"""Images with several labels: titles, and predictions with a map for each of the most probable labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.report.axes import short
from kerascnn.report.page import ShownPrediction
from kerascnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    import keras

# Labels of an image that are shown in a gallery, each with its map.
SHOWN = 2


def names(row: np.ndarray, class_names: Sequence[str], most: int | None = None) -> str:
    """Returns the labels of one image, bool [C], as text; after `most` only their number."""
    there = [class_names[c] for c in np.flatnonzero(row).tolist()]
    more = len(there) - len(there[:most])
    return ", ".join(there[:most]) + (f" and {more} more" if more else "") if there else "no label"


def title(predicted: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]) -> str:
    """Returns the predicted labels of one image with their probabilities, and its labels below where they differ; [C] each."""
    order = [c for c in np.argsort(-probabilities, kind="stable") if predicted[c]][:2]
    said = ", ".join(f"{short(class_names[c], 12)} {probabilities[c]:.0%}" for c in order) or "no label"
    said += f" +{more}" if (more := int(predicted.sum()) - len(order)) else ""
    return said if (predicted == labels).all() else f"{said}\ntruth: {names(labels, class_names, 3)}"


def top_labels(predicted: np.ndarray, probabilities: np.ndarray, most: int = SHOWN) -> list[int]:
    """Returns the predicted labels of one image, the most probable first; without any, the most probable label."""
    order = np.argsort(-probabilities, kind="stable")
    return [int(c) for c in order if predicted[c]][:most] or [int(order[0])]


def shown(
    label: str,
    found: Predictions,
    rows: Sequence[int] | np.ndarray,
    class_names: Sequence[str],
    images: np.ndarray,
    model: keras.Model | None,
) -> list[tuple[ShownPrediction, ...]]:
    """Returns the most probable predicted labels of some images, each with its map.

    Args:
        label: The arch, or empty if the page has only one.
        found: Predictions of the split.
        rows: Positions of the images in it.
        class_names: C names.
        images: The images, uint8 [rows, H, W, 3].
        model: Network for the maps; None for none.
    """
    from kerascnn.scoring import grad_cam

    predicted = found.predicted[rows]
    tops = [top_labels(*pair) for pair in zip(predicted, found.probabilities[rows], strict=True)]
    at = [i for i, top in enumerate(tops) for _ in top]
    flat = np.array([c for top in tops for c in top], np.int64)
    heat = None if model is None or not len(flat) else grad_cam.grad_cam(model, images[at], flat)
    made = [
        ShownPrediction(
            label,
            class_names[c],
            float(found.probabilities[rows[i], c]),
            right=bool(found.labels[rows[i], c] == predicted[i, c]),
            heat=None if heat is None else grad_cam.overlay(images[i], heat[place]),
        )
        for place, (i, c) in enumerate(zip(at, flat, strict=True))
    ]
    ends = np.cumsum([len(top) for top in tops])
    return [tuple(made[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
