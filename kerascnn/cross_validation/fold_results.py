"""What the finished runs of all folds say together: predictions for every image, scores over folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kerascnn.data.grouping import groups_of
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring import split_scores
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import Task
from kerascnn.statistics import FoldScore, FoldSizes, fold_score
from kerascnn.studies.folds_directory import OutOfFold


@dataclass(frozen=True)
class FoldResults:
    """The finished runs of all folds.

    Args:
        runs: By fold.
        predictions: For each image once, by the network that was not trained on it, sorted by id.
        folds: Fold of each image, int [n].
    """

    runs: Mapping[int, Run]
    predictions: Predictions
    folds: np.ndarray

    @classmethod
    def of(cls, runs: Mapping[int, Run]) -> "FoldResults":
        """Returns the results of finished runs.

        Raises:
            UserError: An image is in two folds: some runs saw another cut.
        """
        parts = [Predictions.load(run, "test") for run in runs.values()]
        ids = np.concatenate([part.ids for part in parts])
        order = np.argsort(ids, kind="stable")
        twice = ids[order][1:][ids[order][1:] == ids[order][:-1]]
        if len(twice):
            raise UserError(f"{twice[0]!r} is in two folds: these runs saw other cuts; train them anew")
        predictions = Predictions(
            ids[order],
            None,
            np.concatenate([part.labels for part in parts])[order],
            np.concatenate([part.probabilities for part in parts])[order],
            mean_thresholds([part.thresholds for part in parts if part.thresholds]),
        )
        folds = np.repeat(list(runs), [len(part) for part in parts])[order]
        return cls(runs, predictions, folds)

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return self.predictions.task

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the labels' order."""
        return tuple(next(iter(self.runs.values())).data()["class_names"])

    @cached_property
    def metrics(self) -> dict[int, dict[str, Any]]:
        """Each run's metrics.json by fold."""
        return {fold: run.metrics() for fold, run in self.runs.items()}

    @cached_property
    def images(self) -> dict[int, dict[str, int]]:
        """Images of each split by fold."""
        return {fold: run.data()["images"] for fold, run in self.runs.items()}

    @property
    def sizes(self) -> FoldSizes:
        """Images of a fold and of the others, val and what --fraction leaves out among them: two folds share those."""
        return FoldSizes.of_folds([images["test"] for images in self.images.values()])

    @property
    def missing(self) -> int:
        """Number of images without predictions, because they could not be decoded."""
        return sum(images["test"] for images in self.images.values()) - len(self.predictions)

    def values(self, score: Score) -> list[float]:
        """Returns a score by fold; empty where a fold has none."""
        found = [each["test"].get(score.name) for each in self.metrics.values()]
        return [one["value"] for one in found] if all(found) else []

    def score(self, score: Score) -> FoldScore | None:
        """Returns a score over folds, or None where a fold has none."""
        values = self.values(score)
        return fold_score(values, self.sizes, score.bounds) if values else None

    def scores(self) -> dict[Score, FoldScore]:
        """Returns the scores that every fold has, the headline first."""
        first = self.task.headline
        found = {
            row: self.score(row) for row in (first, *(row for row in self.task.shown_in("run") if row is not first))
        }
        return {row: one for row, one in found.items() if one is not None}

    def pooled(self) -> dict[str, Any]:
        """Returns the scores of all predictions as those of one split, for the classes."""
        groups = groups_of(self.predictions.ids, next(iter(self.runs.values())))
        return split_scores.score(self.predictions, self.class_names, groups)

    def out_of_fold(self) -> OutOfFold:
        """Returns the predictions as they are kept."""
        found = self.predictions
        return OutOfFold(found.ids, found.labels, found.probabilities, self.folds, np.array(self.class_names))

    def rows(self) -> list[dict[str, Any]]:
        """Returns folds.csv: images and scores of each fold."""
        found = []
        for i, (fold, run) in enumerate(self.runs.items()):
            images = self.images[fold]
            scores = {score.name: self.values(score)[i] for score in self.scores()}
            found.append({"fold": fold, "run": run.name, **{name: images[name] for name in images}, **scores})
        return found

    def lines(self) -> list[str]:
        """Returns the scores as text."""
        (first, headline), *rest = self.scores().items()
        folds = len(self.runs)
        show = first.show
        said = [
            f"out-of-fold {first.title} {first.show_interval(headline.interval._asdict())} (95 %, corrected resampled t over"
            f" {folds} folds, n = {len(self.predictions):,} images, each predicted once)",
            f"        folds {show(headline.least)} to {show(headline.most)}, standard deviation"
            f" {first.show_amount(headline.spread)}; their training sets overlap: Student's interval would be too narrow",
        ]
        said += [f"{score.title} {score.show_interval(one.interval._asdict())}" for score, one in rest]
        if self.missing:
            said.append(f"{self.missing} images cannot be decoded and have no prediction")
        return said


def mean_thresholds(of_folds: Sequence[Thresholds]) -> Thresholds | None:
    """Returns the mean thresholds of the networks of several labels, which each chose them on its own val; None of others."""
    if not of_folds:
        return None
    each = tuple(np.mean([found.each for found in of_folds], axis=0).tolist())
    return Thresholds(each, float(np.mean([found.one for found in of_folds])), "val")
