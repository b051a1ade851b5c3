"""Contrasts of two archs over folds: each image is tested once, and the archs are paired by fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerascnn import statistics
from kerascnn.comparison.contrasts import ArchPredictions, Contrast, by_class, check_same
from kerascnn.data.grouping import groups_of
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import FoldSizes

POOLED = 0  # key of all images in `by_seed`


@dataclass(frozen=True, kw_only=True)
class FoldPredictions(ArchPredictions):
    """The predictions of one arch's runs for the images of their folds, one fold after the other.

    Args:
        folds: Fold of each image, int [m].
        thresholds: Of several labels per image, those of each fold's run.
    """

    folds: np.ndarray
    thresholds: dict[int, Thresholds | None]

    @classmethod
    def of_folds(cls, arch: str, runs: dict[int, Run]) -> "FoldPredictions":
        """Returns the predictions of finished runs by fold; see `ArchPredictions.read`."""
        parts = {fold: ArchPredictions.read(arch, {fold: run}) for fold, run in sorted(runs.items())}
        if not parts:
            raise UserError(f"{arch} has no finished run")
        found = [one for part in parts.values() for one in part.by_seed.values()]
        pooled = Predictions(
            np.concatenate([one.ids for one in found]),
            None,
            np.concatenate([one.labels for one in found]),
            np.concatenate([one.probabilities for one in found]),
        )
        folds = np.repeat(list(parts), [len(one) for one in found])
        thresholds = {fold: one.thresholds for fold, one in zip(parts, found, strict=True)}
        names = next(iter(parts.values())).class_names
        return cls(
            arch,
            names,
            {POOLED: pooled},
            groups_of(pooled.ids, next(iter(runs.values()))),
            folds=folds,
            thresholds=thresholds,
        )

    @property
    def pooled(self) -> Predictions:
        """All predictions."""
        return self.by_seed[POOLED]

    def numbers(self) -> list[int]:
        """Returns the folds."""
        return np.unique(self.folds).tolist()

    def sizes(self) -> FoldSizes:
        """Returns the images of a fold and of the others."""
        return FoldSizes.of_folds([int((self.folds == fold).sum()) for fold in self.numbers()])

    def only(self, folds: Sequence[int]) -> "FoldPredictions":
        """Returns the same of some folds."""
        kept, one = np.isin(self.folds, folds), self.pooled
        own = self.thresholds[folds[0]] if len(folds) == 1 else None
        part = Predictions(one.ids[kept], None, one.labels[kept], one.probabilities[kept], own)
        groups = None if self.groups is None else self.groups[kept]
        return FoldPredictions(
            self.arch, self.class_names, {POOLED: part}, groups, folds=self.folds[kept], thresholds=self.thresholds
        )

    def correct(self) -> np.ndarray:
        """Returns whether each image is predicted as its true class, or with all its labels by its own run, bool [m]."""
        return np.concatenate([self.only([fold]).pooled.correct for fold in self.numbers()])

    def values(self, metric: str) -> dict[int, float]:
        """Returns the metric by fold."""
        found = {}
        for fold in self.numbers():
            one = self.only([fold])
            found[fold] = ArchPredictions(self.arch, self.class_names, one.by_seed).values(metric)[POOLED]
        return found

    def weak(self) -> list[str]:
        """Returns a sentence if its runs together are no better than a constant."""
        return [line.rpartition(": seed")[0] for line in super().weak()]


def fold_contrast(first: FoldPredictions, second: FoldPredictions, metric: str, level: float = 0.95) -> Contrast:
    """Returns second minus first, paired by the common folds, with the corrected resampled t.

    Raises:
        UserError: Different images or classes, or fewer than two common folds.
    """
    common = sorted({*first.numbers()} & {*second.numbers()})
    if len(common) < 2:
        raise UserError(
            f"expected two folds or more that both have finished, got {' '.join(map(str, common)) or 'none'}"
        )
    first, second = first.only(common), second.only(common)
    check_same(first, second, second.arch)
    one, other = (list(side.values(metric).values()) for side in (first, second))
    by_fold = np.subtract(other, one).tolist()
    difference = statistics.fold_difference(
        by_fold, first.sizes(), most=first.task.score(metric).largest_difference, level=level
    )
    right = first.correct(), second.correct()
    return Contrast(
        first,
        second,
        metric,
        tuple(common),
        difference,
        tuple(by_fold),
        None,
        tuple(statistics.mcnemar(*(side[first.folds == fold] for side in right)) for fold in common),
        by_class(first, second, (POOLED,), (right[0][None], right[1][None]), level),
    )
