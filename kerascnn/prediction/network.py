"""Opens the network of `kerascnn predict` by its flags. TensorFlow is imported here, by the functions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kerascnn.errors import UserError
from kerascnn.prediction.predict_flags import Predict
from kerascnn.runs import Run

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.artefacts.file_rules import SetFacts
    from kerascnn.scoring.prediction_sets import SetRule


class OpenedNetwork(NamedTuple):
    """A network that predicts as the flags say.

    Attributes:
        predictor: The network.
        rule: The rule of its prediction sets; None where they are inside, or not asked for.
        worth: What the sets are worth, a line; empty without sets.
    """

    predictor: Predictor
    rule: SetRule | None
    worth: str


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
    rule, worth = _set_rule(asked, predictor)
    return OpenedNetwork(_telling_unknown(asked, predictor), rule, worth)


def _class_names(asked: Predict) -> list[str] | None:
    if asked.class_names is None:
        return None
    if not os.path.isfile(asked.class_names):  # noqa: PTH113 - Path refuses names as long as a list of classes may be
        return asked.class_names.split(",")
    from kerascnn.artefacts import savedmodel

    return savedmodel.read_classes(Path(asked.class_names))


def _set_rule(asked: Predict, predictor: Predictor) -> tuple[SetRule | None, str]:
    """Returns the rule of prediction sets that the run's calibration images, or its val, give, and what it is worth."""
    if not asked.sets:
        for field, flag in (("coverage", "--coverage"), ("set_score", "--set-score")):
            if getattr(asked, field) != Predict.model_fields[field].default:
                raise UserError(f"{flag} says how prediction sets are made: give --sets as well")
        return None, ""
    from kerascnn.scoring import prediction_sets

    found = prediction_sets.Calibration.of_artefact(Path(asked.artefact))
    if found is None and predictor.rules is not None and predictor.rules.sets is not None:
        return None, _worth_inside(asked, predictor.rules.sets)
    if found is None:
        raise UserError(
            f"--sets: {asked.artefact} has no images for thresholds, and no sets inside: give a run that was trained with val or"
            " calibration images, or an export of one that has been evaluated"
        )
    rule = prediction_sets.rule(found, asked.coverage, asked.set_score)
    return rule, f"sets at {asked.coverage:.0%}, {found.why()}"


def _worth_inside(asked: Predict, sets: SetFacts) -> str:
    """Returns what an artefact's own prediction sets are worth.

    Raises:
        UserError: Others are asked for.
    """
    rule, fields = sets.rule, Predict.model_fields
    for name, flag, own in (("coverage", "--coverage", rule.coverage), ("set_score", "--set-score", rule.score)):
        if getattr(asked, name) not in (fields[name].default, own):
            raise UserError(
                f"{flag} {getattr(asked, name)}: the sets of {asked.artefact} are inside, made with {own}: leave it out, or give"
                " the run"
            )
    return f"sets at {rule.coverage:.0%}, {sets.about['why']}"


def _telling_unknown(asked: Predict, predictor: Predictor) -> Predictor:
    """Returns the predictor, with --reject-unknown one that says which images are known."""
    if not asked.reject_unknown or (predictor.rules is not None and predictor.rules.unknown is not None):
        return predictor
    from kerascnn.evaluation import unknown

    path = Path(asked.artefact)
    rule = unknown.UnknownRule.of_run(Run(path if path.is_dir() else path.parent))
    if rule is None or predictor.network is None:
        raise UserError(
            f"--reject-unknown: {asked.artefact} does not know what is unknown yet: `kerascnn evaluate RUN --unknown FOLDER` of"
            " images of other classes measures it, and an export after it knows"
        )
    return unknown.telling(predictor, rule)
