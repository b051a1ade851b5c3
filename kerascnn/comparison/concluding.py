"""Concludes from the runs of a plan that are finished. TensorFlow is loaded only when it is called."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from kerascnn.cli.screen import Screen, quiet
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.errors import UserError
from kerascnn.runs import Run

if TYPE_CHECKING:
    from kerascnn.comparison.conclude import Conclusion
    from kerascnn.statistics.looks import PlannedLook


def conclude_plan(
    plan: ComparisonPlan, failed: Collection[str], screen: Screen, look: PlannedLook | None = None
) -> Conclusion | None:
    """Concludes from the seeds that every arch has finished, except for runs that cannot be trained.

    Args:
        plan: The plan.
        failed: Names of runs that cannot be trained.
        screen: Takes lines.
        look: Which of several looks this is; None for the only one.
    """
    with quiet(), screen.phase("loading what concludes"):
        from kerascnn.comparison.entry import Entry
        from kerascnn.comparison.publish import publish
    runs: dict[int, list[Run]] = {}
    unit = "fold" if plan.by_folds else "seed"
    for seed, _, run in plan.runs():
        runs.setdefault(seed, []).append(run)
    complete = [seed for seed, mine in runs.items() if all(run.finished or run.name in failed for run in mine)]
    if not complete:
        screen.say(f"no {unit} is finished for every arch yet: no verdict")
        return None
    if plan.by_folds and len(complete) < 2:
        screen.say("one fold alone is finished for every arch: no verdict yet")
        return None
    choosing = list(plan.choosing())
    if not all(run.finished or run.name in failed for _, _, run in choosing):
        screen.say("the runs that choose are not finished yet: no verdict")
        return None
    entries, lost = [], []
    for i, cell in enumerate(plan.cells):
        finished = {seed: runs[seed][i] for seed in complete if runs[seed][i].finished}
        missing = tuple(seed for seed in complete if seed not in finished)
        if finished:
            by = {seed: run for seed, mine, run in choosing if mine is cell and run.finished}
            tuned = tuple(
                run for _, mine, run in choosing if plan.candidates and mine.arch == cell.arch and run.finished
            )
            entries.append(Entry(cell.arch, cell.variant, finished, cell.cost, by, missing, cell.by_folds, tuned))
        if missing:
            lost.append(f"{cell.key} ({unit}{'s' if len(missing) > 1 else ''} {' '.join(map(str, missing))})")
    try:
        return publish(entries, plan.compare, plan.compare.seeds, plan.directory, screen, lost, look)
    except UserError as error:
        if not lost:
            raise
        screen.say(f"no verdict: {error}; without {'; '.join(lost)}")
        return None
