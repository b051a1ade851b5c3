"""Thresholds of an 8-bit file from its own answers: those of the trained network are not its own."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from kerascnn.artefacts import litert, litert_graft
from kerascnn.artefacts.file_rules import FileRules, OwnAnswers
from kerascnn.artefacts.further import KNOWN_SCORE
from kerascnn.data import Split, Splits, pipeline
from kerascnn.data.grouping import groups_of
from kerascnn.runs import Run
from kerascnn.runs.scratch import scratch
from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions

MOST = 2000  # images of a split, spread evenly over it: a LiteRT file takes them one by one
BATCH = 32


def recalibrated(path: Path, rules: FileRules, run: Run, splits: Splits) -> FileRules:
    """Returns the rules of a run with the thresholds of a LiteRT file's own answers to the same images.

    Args:
        path: The file, without further outputs.
        rules: The rules of the run.
        run: The run.
        splits: Its images.
    """
    about = next(each.about for each in (rules.sets, rules.unknown) if each is not None)
    chosen = next(split for split in splits.parts() if split.name == about["from"])
    with scratch() as folder:
        probed = Path(shutil.copy(path, folder / path.name))
        litert_graft.add(probed, rules)  # its scores do not depend on thresholds
        found, known = _answers(probed, chosen, splits)
        test = _answers(probed, splits.test, splits) if len(splits.test) else None
    calibration = Calibration(chosen.name, found, groups_of(found.ids, run) is not None)
    return rules.on(calibration, known, test, None if test is None else groups_of(test.predictions.ids, run))


def _answers(path: Path, split: Split, splits: Splits) -> OwnAnswers:
    """Returns the file's predictions for up to MOST images of a split, and its `known_score` where it has one."""
    compute, names, *_ = litert.reader(path)
    wanted = [name for name in ("probabilities", KNOWN_SCORE) if name in names]
    spread = np.unique(np.linspace(0, len(split) - 1, min(MOST, len(split))).round().astype(int))
    part = dataclasses.replace(split, indices=split.indices[spread], labels=split.labels[spread])
    rows, places, first = [], [], 0
    with pipeline.telling(part.source):
        for images, _, weights in pipeline.scoring(part, splits, BATCH):
            usable = np.flatnonzero(weights.numpy() > 0)  # neither padding nor damaged
            if len(usable):
                rows.append(compute(images.numpy()[usable], wanted))
                places.append(first + usable)
            first += len(weights)
    at = np.concatenate(places)
    found = {name: np.concatenate([row[name] for row in rows]) for name in wanted}
    labels = part.labels[at] if part.labels.ndim == 2 else part.labels[at].astype(np.int64)
    ids = np.array(part.ids())[at]
    return OwnAnswers(Predictions(ids, spread[at], labels, found["probabilities"]), found.get(KNOWN_SCORE))
