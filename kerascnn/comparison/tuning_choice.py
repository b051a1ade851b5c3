"""`--tune-each N`: the choice by val, before any seed judges. No TensorFlow."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from kerascnn.cli.screen import Screen, duration
from kerascnn.comparison.cell import Cell
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.errors import TrainingFailed
from kerascnn.runs import Run


def narrowed(plan: ComparisonPlan, failed: Collection[str], screen: Screen) -> ComparisonPlan:
    """Returns the plan with each arch at the setting that val prefers, whose further seeds judge.

    Raises:
        TrainingFailed: No run of an arch could be trained.
    """
    rule = plan.cells[0].subject.task.score(plan.compare.metric)
    runs: dict[int, list[Run]] = {}
    for _, cell, run in plan.choosing():
        if run.finished and run.name not in failed:
            runs.setdefault(id(cell), []).append(run)

    def by_val(cell: Cell) -> tuple[int, float]:
        values = [run.metrics()["val"][rule.name]["value"] for run in runs.get(id(cell), ())]
        return len(values), rule.sign * float(np.mean(values)) if values else 0.0

    chosen = []
    for arch in plan.archs:
        mine = [cell for cell in plan.cells if cell.arch == arch]
        best = max(mine, key=by_val)
        if not runs.get(id(best)):
            raise TrainingFailed(
                f"{arch}: none of its {len(mine)} settings could be trained; lower --lr, or see {plan.directory.path}"
            )
        chosen.append(best)
        spent = duration(seconds_of([run for cell in mine for run in runs.get(id(cell), ())]))
        screen.say(
            f"chosen  {arch}: {best.variant}, of {len(mine)} settings with {plan.compare.choose_seeds} seeds each, by val"
            f" {rule.title} {rule.show(rule.sign * by_val(best)[1])}; {spent}"
        )
    return replace(plan, cells=tuple(chosen), candidates=plan.cells, judges=True)


def seconds_of(runs: Collection[Run]) -> float:
    """Returns the training time of runs."""
    return float(sum(run.metrics()["train_seconds"] for run in runs))
