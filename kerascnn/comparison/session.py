"""A comparison from its request to its report."""

from collections.abc import Sequence
from pathlib import Path

from kerascnn.cli import Stopped, TrainingFailed
from kerascnn.comparison.directory import Directory
from kerascnn.comparison.options import AXES, Compare, Request
from kerascnn.comparison.plan import Plan
from kerascnn.config import Config, UserError
from kerascnn.escaping import within
from kerascnn.runs import Run, shown_command
from kerascnn.screen import Screen, quiet


def of_archs(request: Request, configs: list[Config], screen: Screen) -> None:
    """Plan, train what is not finished, conclude.

    Raises:
        UserError: The plan cannot be.
        Stopped: By a signal or by time; the finished seeds were concluded from.
        TrainingFailed: A run cannot be trained; the finished seeds were concluded from.
    """
    from kerascnn.comparison import execute, plan

    made = plan.make(request, configs, screen.say)
    if request.compare.dry_run:
        for line in execute.lines(made):
            screen.say(line)
        return
    made.directory.path.mkdir(parents=True, exist_ok=True)
    screen.log_to(made.directory.log_file)
    for line in execute.lines(made):
        screen.say(line)
    made.keep(shown_command())
    screen.say(f"kept    {made.directory.path}")
    try:
        execute.train(made, screen.say, request.fit.max_hours)
    except (Stopped, TrainingFailed):
        _conclude(made, screen)
        raise
    _conclude(made, screen)


def _conclude(plan: Plan, screen: Screen) -> None:
    """The verdict of the seeds that every arch has finished."""
    with quiet():
        from kerascnn.comparison.conclude import Entry
        from kerascnn.comparison.publish import publish
    runs: dict[int, list[Run]] = {}
    for seed, _, run in plan.runs():
        runs.setdefault(seed, []).append(run)
    complete = [seed for seed, mine in runs.items() if all(run.finished for run in mine)]
    if not complete:
        screen.say("no seed is finished for every arch yet: no verdict")
        return
    entries = [
        Entry(cell.arch, cell.variant, {seed: runs[seed][i] for seed in complete}, cell.price)
        for i, cell in enumerate(plan.cells)
    ]
    publish(entries, plan.compare, plan.compare.seeds, plan.directory, screen)


def of_runs(paths: Sequence[str], compare: Compare, screen: Screen) -> None:
    """Conclude from runs that are there; lists those that cannot take part, with why.

    Raises:
        UserError: No two archs among the finished runs on the same data, or flags that only a plan can follow.
    """
    planned = [name for name in (*AXES, "native", "budget", "dry_run") if getattr(compare, name)]
    if planned:
        raise UserError(f"--{planned[0].replace('_', '-')} is for a comparison that trains; these runs are as they are")
    with quiet():
        from kerascnn.comparison import finished
        from kerascnn.comparison.publish import publish
    found = finished.gather([Path(path) for path in paths])
    for line in found.lines():
        screen.say(line)
    directory = Directory(within(compare.comparisons_dir, compare.name or found.name))
    entries = found.entries(directory, screen.say)
    screen.log_to(directory.log_file)
    publish(entries, compare, max(len(entry.runs) for entry in entries), directory, screen)
