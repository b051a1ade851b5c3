"""`--until-decided`: trains to each look in turn, and stops at the first one that decides, or that shows that seeds cannot."""

from __future__ import annotations

import time
from dataclasses import replace

from scipy import stats

from kerascnn.cli.screen import Screen
from kerascnn.comparison import training_order
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.comparison.conclude import Conclusion, Pair, side
from kerascnn.comparison.concluding import conclude_plan
from kerascnn.comparison.verdict import MetricUnit, judge
from kerascnn.errors import Stopped
from kerascnn.statistics import Difference
from kerascnn.statistics.looks import PlannedLook, planned
from kerascnn.studies.executor import Executor


def carry_out(
    plan: ComparisonPlan, executor: Executor, screen: Screen, failed: dict[str, str], hours: float | None
) -> None:
    """Trains and looks.

    Args:
        plan: The plan with the seeds of the last look.
        executor: Executes the runs.
        screen: Takes lines.
        failed: Extended by the name of each run that cannot be trained, and the reason.
        hours: Time limit; the last look is then reported again.

    Raises:
        Stopped: By a signal or the time limit; the same command continues.
    """
    ends = None if hours is None else time.monotonic() + hours * 3600
    done: tuple[ComparisonPlan, PlannedLook] | None = None
    for look in planned(plan.compare.seeds, len(plan.archs)):
        part = replace(plan, compare=plan.compare.model_copy(update={"seeds": look.seeds}))
        screen.say(f"look    {look.number} of {len(look.planned)}: {look.seeds} seeds")
        left = None if ends is None else max(ends - time.monotonic(), 1.0) / 3600
        try:
            training_order.train(part, executor, screen, failed, left)
        except Stopped:
            if done is not None:
                screen.say("stopped between two looks; the last look again:")
                conclude_plan(done[0], failed, screen, done[1])
            raise
        found = conclude_plan(part, failed, screen, look)
        done = part, look
        if found is None or look.last:
            return
        if all(pair.verdict.take for pair in found.verdicts):
            screen.say(
                f"decided at {look.seeds} seeds; {look.planned[-1] - look.seeds} of {look.planned[-1]} were not needed"
            )
            return
        hopeless = [line for pair in found.verdicts if (line := why_seeds_cannot_help(pair, found, look))]
        if len(hopeless) == sum(not pair.verdict.take for pair in found.verdicts):
            for line in hopeless:
                screen.say(line)
            return


def why_seeds_cannot_help(pair: Pair, found: Conclusion, look: PlannedLook) -> str:
    """Returns why no number of seeds would decide a pair, if the difference stays the same; empty if some would, or it is."""
    if pair.verdict.take is not None:
        return ""
    narrow = with_all_seeds(pair.contrast.difference, replace(look, number=len(look.planned)).level)
    rule = found.rule
    unit = MetricUnit(rule.title, rule.sign, rule.points, pair.first.split)
    alike = pair.first.variant == pair.second.variant
    one, other = side(pair.first, pair.second, alike), side(pair.second, pair.first, alike)
    if judge(one, other, narrow, unit, found.margin).take is not None:
        return ""
    return (
        f"more seeds cannot help {one.name} against {other.name}: with any number of them, {narrow.images:,} images leave"
        f" [{unit.signed(narrow.low)}, {unit.signed(narrow.high)}]; more {pair.first.split} images would"
    )


def with_all_seeds(difference: Difference, level: float) -> Difference:
    """Returns the difference as it would be known after very many seeds: the images alone leave it uncertain."""
    alone = max(difference.images_part - difference.left_part, 0.0)
    half = float(stats.t.ppf((1 + level) / 2, difference.units - 1)) * alone**0.5
    low, high = (max(difference.value - half, -difference.most), min(difference.value + half, difference.most))
    return replace(difference, low=low, high=high, level=level)
