"""Turns a config into the runs of all its folds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kerascnn.cli.escaping import within
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs import Run, default_name, identity, prepare
from kerascnn.studies.executor import Executor
from kerascnn.studies.folds_directory import FoldsDirectory
from kerascnn.studies.targets import Target, targets


@dataclass(frozen=True)
class FoldPlan:
    """A cross-validation before its first step.

    Args:
        target: Config and data of the first fold; those of the others differ in the fold.
        directory: Its directory.
    """

    target: Target
    directory: FoldsDirectory

    @property
    def folds(self) -> int:
        """Number of folds."""
        return self.target.config.data.folds or 0

    @property
    def whole(self) -> ResolvedConfig:
        """The config of all folds together."""
        return self.target.config.replace(data={"fold": None}, logging={"run": None})

    def config(self, fold: int) -> ResolvedConfig:
        """Returns the config of the run of one fold, which `fit --fold` would give it."""
        return self.target.config.replace(data={"fold": fold}, logging={"run": None}, fit={"max_hours": None})

    def runs(self) -> Iterator[tuple[int, Run]]:
        """Yields the run of each fold."""
        for fold in range(1, self.folds + 1):
            yield fold, prepare(self.config(fold), self.target.fingerprint, self.target.dataset)

    def request(self) -> dict[str, Any]:
        """Returns the terms of the runs, flat."""
        return {key: json.dumps(value) for key, value in identity(self.whole, self.target.fingerprint).items()}

    def lines(self) -> Iterator[str]:
        """Returns the plan as text."""
        target, fit = self.target, self.target.config.fit
        images = ", ".join(f"{count:,} {split}" for split, count in target.images.items())
        yield f"data    {target.dataset}: {self.folds} folds, the first with {images}; {len(target.class_names)} classes"
        yield f"plan    {target.config.model.arch}, {fit.epochs} epochs for each fold, seed {fit.seed}"
        every = [run for _, run in self.runs()]
        finished = sum(run.finished for run in every)
        begun = sum(not run.finished and bool(run.history()) for run in every)
        new = len(every) - finished - begun
        yield f"runs    {len(every)}: {finished} finished and reused, {begun} to be resumed, {new} new"


def make(config: Config, executor: Executor) -> FoldPlan:
    """Returns the plan of a config with `folds` and the first fold.

    Raises:
        UserError: The data do not exist or cannot be cut into these folds, or an option does not fit them.
    """
    name = config.logging.run
    (target,) = executor.call(targets, [config], slot=executor.slots[0])
    if target.config.data.folds is None:
        raise UserError("expected a number of folds: --folds 5")
    whole = target.config.replace(data={"fold": None})
    name = name or default_name(whole, target.fingerprint, target.dataset)
    return FoldPlan(target, FoldsDirectory(within(config.logging.folds_dir, name)))
