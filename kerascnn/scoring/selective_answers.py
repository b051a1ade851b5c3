"""Answers to the images of which a network is certain enough: how many, and how many of them are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import proportion, selective

KEY = "selective"  # in metrics.json, in the scores of a split
ACCURACY = 0.99


def scores(
    found: Calibration | None, predictions: Predictions, groups: np.ndarray | None = None, accuracy: float = ACCURACY
) -> dict[str, Any]:
    """Returns the entry of a split in metrics.json, or nothing without calibration images or with several labels.

    Args:
        found: The images that choose from which certainty on an image is answered.
        predictions: Of the split.
        groups: The group of each image, int [n], or None.
        accuracy: Share of the answers that shall be right.

    Returns:
        Under KEY: asked, from (split), n, certainty (None if no certainty is enough), share (of images that are answered) and
        accuracy (of the answers; None without any), each with its interval.
    """
    if found is None or predictions.task.several or not len(found.predictions):
        return {}
    chosen = found.predictions
    limit = selective.certainty_for(chosen.probabilities.max(axis=1), chosen.correct, accuracy)
    facts = {"asked": accuracy, "from": found.split, "n": len(chosen), "certainty": limit}
    answered = np.zeros(len(predictions), bool) if limit is None else predictions.probabilities.max(axis=1) >= limit
    right = predictions.correct[answered]
    of_answered = proportion(right, None if groups is None else groups[answered]) if len(right) else None
    share = proportion(answered, groups)
    return {KEY: {**facts, "share": share._asdict(), "accuracy": of_answered and of_answered._asdict()}}


def line(entry: Mapping[str, Any]) -> str:
    """Returns the sentence about an entry of metrics.json."""
    asked, where = f"{entry['asked']:.0%} accuracy", entry["from"]
    if entry["certainty"] is None:
        return f"answers no image at {asked}: no certainty reached it on {where}"
    share, right = entry["share"], entry["accuracy"]
    said = f"answers {share['value']:.1%} of the images [{share['low']:.1%}, {share['high']:.1%}] at {asked}, asked of {where}"
    if right is None:
        return f"{said}: none is certain enough"
    return (
        f"{said}: {right['value']:.2%} [{right['low']:.2%}, {right['high']:.2%}] of these are right (n = {right['n']:,},"
        f" probability from {entry['certainty']:.4f} on)"
    )
