"""Labels of images: one class each, int32 [n], or any number of them, bool [n, classes]. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.config.images import TaskName
from kerascnn.errors import UserError

if TYPE_CHECKING:
    from kerascnn.data.listing import Listing

SEPARATOR = "|"  # of several names in split.csv


def for_task(listing: Listing, task: TaskName) -> None:
    """Gives the images of `listing` the labels of a task: one label of each image becomes a row with one positive for multi.

    Raises:
        UserError: The images have several labels, and the task is single.
    """
    source = listing.source
    if source.several and task == "single":
        raise UserError(
            f"the images of {listing.name} have several labels each: expected one (--task single, or a network for one)"
        )
    if task == "multi" and not source.several:
        source.labels = np.arange(len(source.class_names)) == source.labels[:, None]


def counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the number of images with each label, int [classes]."""
    return labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def names(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Returns the label of each image by name; several ones are joined by SEPARATOR, and none is an empty text."""
    if labels.ndim == 1:
        return [class_names[label] for label in labels]
    return [SEPARATOR.join(class_names[c] for c in np.flatnonzero(row).tolist()) for row in labels]
