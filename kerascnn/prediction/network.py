"""Opens the network of `kerascnn predict` by its flags. TensorFlow is imported here, by the functions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kerascnn.errors import UserError
from kerascnn.prediction.predict_flags import Predict
from kerascnn.runs import Run

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.scoring.prediction_sets import SetRule


class OpenedNetwork(NamedTuple):
    """A network that predicts as the flags say: with --reject-unknown its rows end in 1 for an unknown image, else 0."""

    predictor: Predictor
    rule: SetRule | None


def opened(asked: Predict) -> OpenedNetwork:
    """Returns the network of `asked.artefact`, a path, and the rule of prediction sets.

    Raises:
        UserError: There is none, or it cannot do what the flags ask for.
    """
    from kerascnn import artefacts

    predictor = artefacts.open(
        asked.artefact,
        class_names=_class_names(asked),
        image_size=asked.image_size,
        resize=asked.resize,
        task=asked.task,
    )
    if asked.threshold is not None and not predictor.task.several:
        raise UserError(f"--threshold: {asked.artefact} predicts one class per image, the most probable one")
    rule = _set_rule(asked)
    return OpenedNetwork(_telling_unknown(asked, predictor), rule)


def _class_names(asked: Predict) -> list[str] | None:
    if asked.class_names is None:
        return None
    if not os.path.isfile(asked.class_names):  # noqa: PTH113 - Path refuses names as long as a list of classes may be
        return asked.class_names.split(",")
    from kerascnn.artefacts import savedmodel

    return savedmodel.read_classes(Path(asked.class_names))


def _set_rule(asked: Predict) -> SetRule | None:
    """Returns the rule of prediction sets that the run's calibration images, or its val, give; says what it is worth."""
    if not asked.sets:
        for field, flag in (("coverage", "--coverage"), ("set_score", "--set-score")):
            if getattr(asked, field) != Predict.model_fields[field].default:
                raise UserError(f"{flag} says how prediction sets are made: give --sets as well")
        return None
    from kerascnn.scoring import prediction_sets

    found = prediction_sets.Calibration.of_artefact(Path(asked.artefact))
    if found is None:
        raise UserError(
            f"--sets: {asked.artefact} has no images for thresholds: give a run that was trained with val or calibration images"
        )
    print(f"kerascnn: sets at {asked.coverage:.0%}, {found.why()}", file=sys.stderr)
    return prediction_sets.rule(found, asked.coverage, asked.set_score)


def _telling_unknown(asked: Predict, predictor: Predictor) -> Predictor:
    """Returns the predictor, with --reject-unknown one whose rows end in 1 for an unknown image, else 0."""
    if not asked.reject_unknown:
        return predictor
    from kerascnn.evaluation import unknown

    path = Path(asked.artefact)
    rule = unknown.UnknownRule.of_run(Run(path if path.is_dir() else path.parent))
    if rule is None or predictor.network is None:
        raise UserError(
            f"--reject-unknown: {asked.artefact} does not know what is unknown yet: kerascnn evaluate {asked.artefact}"
            " --unknown FOLDER of images of other classes measures it"
        )
    return unknown.telling(predictor, rule)
