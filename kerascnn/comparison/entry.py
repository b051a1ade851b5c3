"""An arch in one variant with its finished runs: what a verdict judges."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kerascnn import statistics
from kerascnn.comparison.contrasts import ArchPredictions, scored_split
from kerascnn.comparison.fold_contrasts import FoldPredictions
from kerascnn.outside import GivenCost
from kerascnn.runs import Run
from kerascnn.scoring.metrics import Score
from kerascnn.statistics import Interval, fold_score
from kerascnn.studies.measured_cost import Cost


@dataclass(frozen=True)
class Entry:
    """An arch in one variant, with its finished runs.

    Args:
        arch: Name of the arch.
        variant: Recipe, learning rate, fraction or image size; empty without variants.
        runs: Finished runs by seed.
        cost: Cost of its network; of another program's, as its files give it.
        choosing: Finished runs of other seeds whose val chooses a variant; their test was not read.
        failed: Seeds whose runs cannot be trained.
        by_folds: Whether its runs are those of folds, by fold in place of seed.
        tuned: Finished runs of its arch in all settings of --tune-each.
    """

    arch: str
    variant: str
    runs: dict[int, Run]
    cost: Cost | GivenCost
    choosing: dict[int, Run] = field(default_factory=dict)
    failed: tuple[int, ...] = ()
    by_folds: bool = False
    tuned: tuple[Run, ...] = ()

    @property
    def label(self) -> str:
        """What it is called where variants meet."""
        return f"{self.arch} ({self.variant})" if self.variant else self.arch

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds, or folds, of its finished runs."""
        return tuple(self.runs)

    @property
    def data_name(self) -> str:
        """Name of the data set."""
        return str(next(iter(self.runs.values())).data()["name"])

    @cached_property
    def metrics(self) -> dict[int, dict[str, Any]]:
        """Each run's metrics.json."""
        return {seed: run.metrics() for seed, run in self.runs.items()}

    @cached_property
    def answers(self) -> ArchPredictions:
        """Its predictions on test, or on val where that is all there is."""
        if self.by_folds:
            return FoldPredictions.of_folds(self.label, self.runs)
        return ArchPredictions.read(self.label, self.runs, self.split)

    def over(self, values: Sequence[float], score: Score) -> Interval | None:
        """Returns the mean of one value per run with its interval: t over seeds, corrected over folds; None of too few."""
        if not isinstance(self.answers, FoldPredictions):
            return statistics.over_seeds(values, score.bounds)
        return fold_score(values, self.answers.sizes(), score.bounds).interval if len(values) > 1 else None

    @property
    def split(self) -> str:
        """What the verdict is read from: val where no test was kept apart (--val-is-val)."""
        return scored_split(next(iter(self.metrics.values())))

    def score(self, split: str, metric: str) -> list[float]:
        """Returns the metric by seed, from the runs' own scores."""
        return [found[split][metric]["value"] for found in self.metrics.values() if found.get(split, {}).get(metric)]

    def choosing_scores(self, metric: str) -> list[float]:
        """Returns val's metric of the runs that choose."""
        found = [run.metrics() for run in self.choosing.values()]
        return [each["val"][metric]["value"] for each in found if each.get("val", {}).get(metric)]

    @cached_property
    def tuning_seconds(self) -> float | None:
        """Training time of all runs of its arch that chose its settings (--tune-each); None without such runs."""
        return sum(run.metrics()["train_seconds"] for run in self.tuned) if self.tuned else None

    @property
    def place(self) -> float:
        """Its position on the axis of variants: learning rate, training images or image size."""
        run = next(iter(self.runs.values()))
        config = run.config()
        if self.variant.startswith("lr "):
            return float(config.optim.lr or 0)
        if self.variant.startswith("fraction "):
            return float(run.data()["images"]["train"])
        return float(config.data.image_size or 0)

    @property
    def train_seconds(self) -> float | None:
        """Mean training time of its runs; None if it is not known."""
        return float(np.mean([found["train_seconds"] for found in self.metrics.values()]))
