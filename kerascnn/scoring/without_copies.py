"""Scores of a split without the images that have a near-copy among the training images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerascnn.data import Splits
from kerascnn.data.copies import Copies
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import Task

KEY = "without_copies"  # in metrics.json, in the scores of a split


def scores(
    predictions: Predictions, splits: Splits, copies: Copies | None, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns the entry of a split in metrics.json, or nothing where copies are not known.

    Args:
        predictions: Of images of the run that it was not trained on.
        splits: The splits of the run.
        copies: What an audit found in its images, or None.
        groups: The group of each image, int [n], or None.

    Returns:
        Under KEY: copies (number of images with a near-copy in train), and the scores of the others, if there are some.
    """
    if copies is None:
        return {}
    copied = copies.having([str(name) for name in predictions.ids], set(splits.train.ids()))
    kept = np.array([str(name) not in copied for name in predictions.ids], bool)
    entry: dict[str, Any] = {"copies": len(copied)}
    if copied and kept.any():
        others = replace(
            predictions,
            ids=predictions.ids[kept],
            indices=None,
            labels=predictions.labels[kept],
            probabilities=predictions.probabilities[kept],
        )
        task = predictions.task
        entry |= task.measured(task.shown_in("run"), others, None if groups is None else groups[kept])
    return {KEY: entry}


def line(split: str, found: Mapping[str, Any], task: Task) -> str:
    """Returns a sentence about the main score of a split and that without copies, or nothing where it is not known."""
    beside = found.get(KEY)
    if beside is None:
        return ""
    count = beside["copies"]
    if not count:
        return f"No {split} image has a near-copy in train."
    images = (
        f"the {count:,} {split} images that have a near-copy"
        if count > 1
        else f"the one {split} image that has a near-copy"
    )
    score = task.leading(found)
    whole = f"{split} {score.title} {score.show_interval(found[score.name])}"
    if beside.get(score.name) is None:
        return f"{whole}; {count:,} {split} images have a near-copy in train."
    return f"{whole}; without {images} in train {score.show_interval(beside[score.name])}."
