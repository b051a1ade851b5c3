"""How far predictions can be trusted: prediction sets and selective answers of an evaluated model."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerascnn.data import Room, strata
from kerascnn.errors import UserError
from kerascnn.evaluation.evaluate_flags import Evaluate
from kerascnn.evaluation.evaluated_model import EvaluatedModel
from kerascnn.scoring import prediction_sets, selective_answers
from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions


def scores(
    subject: EvaluatedModel, predictions: Predictions, groups: np.ndarray | None, asked: Evaluate, room: Room
) -> dict[str, Any]:
    """Returns the entries of a split in metrics.json; nothing for the images that thresholds come from or that were trained on.

    Raises:
        UserError: Strata are asked for where there are no thresholds, or they are the groups of the splits.
    """
    found = None
    if subject.run is not None and (not subject.own or subject.split.name == "test"):
        found = Calibration.of_run(subject.run)
    if found is None:
        if asked.condition_on is not None:
            raise UserError(
                f"--condition-on {asked.condition_on}: thresholds need the test images, or other ones, of a run with val or"
                " calibration images"
            )
        return {}
    parts = None
    if asked.condition_on is not None:
        if not subject.own or subject.run is None:
            raise UserError("--condition-on: strata are known of the run's own images: leave out --dataset")
        section = subject.run.config().data
        ids = [[str(name) for name in one.ids] for one in (found.predictions, predictions)]
        known = strata.of(section, asked.condition_on, [*ids[0], *ids[1]], room)
        parts = (known[: len(ids[0])], known[len(ids[0]) :])
    return {
        **prediction_sets.scores(
            found,
            predictions,
            subject.predictor.class_names,
            groups,
            coverage=asked.coverage,
            score=asked.set_score,
            strata=parts,
        ),
        **selective_answers.scores(found, predictions, groups, asked.target_accuracy),
    }
