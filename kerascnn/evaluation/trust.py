"""How far predictions can be trusted: prediction sets and selective answers of an evaluated model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerascnn.data import Room, strata
from kerascnn.errors import UserError
from kerascnn.evaluation.evaluate_flags import Evaluate
from kerascnn.evaluation.evaluated_model import EvaluatedModel
from kerascnn.scoring import prediction_sets, selective_answers
from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions


class Trust(NamedTuple):
    """The images that thresholds come from, and the strata.

    Attributes:
        calibration: Of the run, or None where there are none, or the split is one that the network has seen.
        strata: The stratum of each image of the run by its id, with --condition-on.
    """

    calibration: Calibration | None
    strata: Mapping[str, str] | None


def find(subject: EvaluatedModel, asked: Evaluate, room: Room) -> Trust:
    """Returns what the thresholds of an evaluated model come from.

    Raises:
        UserError: Strata are asked for where there are no thresholds, or they are the groups of the splits.
    """
    found = None
    if subject.run is not None and (not subject.own or subject.split.name == "test"):
        found = Calibration.of_run(subject.run)
    if asked.condition_on is None:
        return Trust(found, None)
    if subject.run is not None and not subject.own:
        raise UserError("--condition-on: strata are known of the run's own images: leave out --dataset")
    if found is None or subject.run is None:
        raise UserError(
            f"--condition-on {asked.condition_on}: thresholds need the test images of a run with val or calibration images"
        )
    ids = [*map(str, found.predictions.ids), *subject.split.ids()]
    named = strata.of(subject.run.config().data, asked.condition_on, ids, room)
    return Trust(found, dict(zip(ids, named, strict=True)))


def scores(
    trust: Trust, predictions: Predictions, class_names: Sequence[str], groups: np.ndarray | None, asked: Evaluate
) -> dict[str, Any]:
    """Returns the entries of a split in metrics.json; nothing without calibration images."""
    found, parts = trust.calibration, None
    if found is not None and trust.strata is not None:
        known = trust.strata
        parts = ([known[str(name)] for name in found.predictions.ids], [known[str(name)] for name in predictions.ids])
    sets = prediction_sets.scores(
        found, predictions, class_names, groups, coverage=asked.coverage, score=asked.set_score, strata=parts
    )
    return sets | selective_answers.scores(found, predictions, groups, asked.target_accuracy)
