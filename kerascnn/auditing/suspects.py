"""Suspect labels: cleanlab's ranking on out-of-sample probabilities, and its precision on planted errors. No TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.cli.extras import require
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions
from kerascnn.studies.folds_directory import FoldsDirectory

USEFUL = 0.5  # least precision with which a list is proposed for --relabel as it is
PLANTED, ROUNDS = 0.05, 20  # share of labels that are changed to estimate the precision, and how often


class Suspect(NamedTuple):
    """An image whose label is probably wrong.

    Attributes:
        id: Its id.
        given: Its label.
        suggested: The label that the network would give.
        quality: The probability of the given label: the lower, the more suspect.
        probability: The probability of the suggested label.
    """

    id: str
    given: str
    suggested: str
    quality: float
    probability: float


class Suspects(NamedTuple):
    """Suspect labels, and how far such a list can be trusted.

    Attributes:
        rows: The most suspect first.
        n: Number of images whose labels were judged.
        left_out: Images with a copy among the training images, which are not judged.
        accuracy: Share of the n images that are predicted as their label.
        planted: Results on planted errors: share (planted), rounds, recall (of the planted errors that were listed), precision
            (of the list, where every label that was not planted counts as right, so that it is a lower bound); None if there
            are too few images.
    """

    rows: tuple[Suspect, ...]
    n: int
    left_out: int
    accuracy: float
    planted: dict[str, float] | None

    @property
    def useful(self) -> bool:
        """Whether at least half of such a list are wrong labels: a weak network lists its own mistakes."""
        return self.planted is not None and self.planted["precision"] >= USEFUL


def others(run: Run) -> str:
    """Returns the message about a run that was trained on other data."""
    return f"--run: {run.name} was trained on other images, labels or corrections: train one on these, or audit its own"


def of_run(run: Run, fingerprint: str) -> Predictions:
    """Returns the predictions of a run for its val and test images.

    Raises:
        UserError: The run was trained on other images, has no such predictions, or they are of images that it was trained on.
    """
    if run.data()["fingerprint"] != fingerprint:
        raise UserError(others(run))
    rows = run.split_rows()
    found = [Predictions.load(run, split) for split in ("val", "test") if run.has_predictions(split)]
    if not found:
        raise UserError(f"--run: {run.name} has no predictions: kerascnn evaluate {run.path} writes them")
    joined = _joined(found)
    _refuse_trained_on(joined.ids, {name for name, split in rows.items() if split == "train"}, f"run {run.name}")
    return joined


def of_folds(folder: Path, class_names: Sequence[str]) -> tuple[Predictions, np.ndarray]:
    """Returns the predictions of a cross-validation for all its images, and the fold of each, int [n].

    Raises:
        UserError: It is not one, is not finished, or has other classes.
    """
    found = FoldsDirectory(folder).read_out_of_fold()
    if tuple(found.class_names.tolist()) != tuple(class_names):
        raise UserError(
            f"--folds {folder} has the classes {', '.join(found.class_names[:5])} ...: train the folds anew"
        )
    return Predictions(found.ids.astype(str), None, found.labels, found.probabilities), found.folds


def _joined(found: Sequence[Predictions]) -> Predictions:
    ids = np.concatenate([np.asarray(one.ids).astype(str) for one in found])
    if len(set(ids.tolist())) < len(ids):  # a run whose test is its val
        return found[0]
    labels, probabilities = ([getattr(one, name) for one in found] for name in ("labels", "probabilities"))
    return Predictions(ids, None, np.concatenate(labels), np.concatenate(probabilities))


def _refuse_trained_on(ids: np.ndarray, trained: Collection[str], what: str) -> None:
    seen = sum(str(name) in trained for name in ids)
    if seen:
        raise UserError(
            f"{what} was trained on {seen} of the images that it has predictions of: a network repeats the labels that it"
            " has learned, so that their errors cannot be seen; only val, test and out-of-fold predictions count"
        )


def suspects(predictions: Predictions, class_names: Sequence[str], copied: Collection[str]) -> Suspects:
    """Returns the labels that are probably wrong.

    Args:
        predictions: Out-of-sample predictions.
        class_names: C names.
        copied: Images with a copy among the training images: the network has learned their labels.

    Raises:
        UserError: The extra `audit` is missing.
    """
    require("audit", "cleanlab")
    known = np.array([str(name) not in copied for name in predictions.ids], bool)
    labels, probabilities = predictions.labels[known], predictions.probabilities[known].astype(np.float64)
    ids = predictions.ids[known]
    order = _issues(labels, probabilities)
    suggested = probabilities.argmax(axis=1)
    rows = tuple(
        Suspect(
            str(ids[i]),
            class_names[labels[i]],
            class_names[suggested[i]],
            float(probabilities[i, labels[i]]),
            float(probabilities[i, suggested[i]]),
        )
        for i in order.tolist()
    )
    right = float(np.mean(suggested == labels)) if len(labels) else 0.0
    return Suspects(rows, len(labels), int((~known).sum()), right, planted(labels, probabilities))


def _issues(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns the indices of suspect labels, the most suspect first.

    Both of cleanlab's rules must agree, which lists fewer labels, but more of them are wrong.
    """
    from cleanlab.filter import find_label_issues

    if len(labels) < 2 or len(np.unique(labels)) < 2:
        return np.zeros(0, np.int64)
    with warnings.catch_warnings():  # of classes with a single image, whose label cannot be judged
        warnings.simplefilter("ignore", UserWarning)
        found = find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", filter_by="both", n_jobs=1
        )
    # A label that the network itself would give is no suspect.
    return np.asarray([i for i in found if probabilities[i].argmax() != labels[i]], np.int64)


def planted(
    labels: np.ndarray, probabilities: np.ndarray, share: float = PLANTED, rounds: int = ROUNDS, seed: int = 0
) -> dict[str, Any] | None:
    """Returns how many errors are found, and how many of the found labels are errors, when some labels are changed.

    A share of all labels is changed to another class at random. Labels that were listed before count as right.
    """
    count, classes = probabilities.shape
    changed = round(share * count)
    if changed < 1 or classes < 2:
        return None
    rng = np.random.default_rng(seed)
    listed = hits = 0
    for _ in range(rounds):
        at = rng.choice(count, changed, replace=False)
        noisy = labels.copy()
        noisy[at] = (labels[at] + rng.integers(1, classes, changed)) % classes
        found = _issues(noisy, probabilities)
        listed += len(found)
        hits += int(np.isin(found, at).sum())
    return {
        "share": share,
        "rounds": rounds,
        "images": changed,
        "recall": hits / (rounds * changed),
        "precision": hits / listed if listed else 0.0,
    }
