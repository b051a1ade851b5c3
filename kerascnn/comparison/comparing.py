"""A comparison from its request to its report."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from kerascnn import tracking
from kerascnn.cli.escaping import within
from kerascnn.cli.screen import Screen, quiet
from kerascnn.comparison.compare_config import AXES, Compare, CompareConfig
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.comparison.concluding import conclude_plan
from kerascnn.config import Config
from kerascnn.errors import Stopped, TrainingFailed, UserError
from kerascnn.runs import Busy, shown_command
from kerascnn.studies.executor import Executor
from kerascnn.studies.executors.local import LocalExecutor
from kerascnn.studies.placement import executor_of, fork_server
from kerascnn.tracking import trackers, untold


def of_archs(request: CompareConfig, configs: list[Config], screen: Screen) -> None:
    """Plans, trains unfinished runs, and concludes.

    Raises:
        UserError: The plan is not possible.
        Stopped: By a signal or the time limit; the conclusion covers the finished seeds.
        TrainingFailed: Some runs cannot be trained, or a process was lost; the conclusion covers the others.
    """
    server = fork_server(screen, request.logging.verbose)
    with contextlib.closing(executor_of(request.placement, screen, server, request.fit.max_hours)) as executor:
        _of_archs(request, configs, executor, screen)


def _of_archs(request: CompareConfig, configs: list[Config], executor: Executor, screen: Screen) -> None:
    from kerascnn.comparison import comparison_plan, training_order

    if request.compare.dry_run:
        looked_at = comparison_plan.make(request, configs, executor, screen)
        for line in training_order.lines(looked_at, len(executor.slots)):
            screen.say(line)
        with contextlib.suppress(Busy), looked_at.directory.lock():  # a comparison in progress has its own
            looked_at.keep(shown_command())
            kept = f"{looked_at.directory.path}: what was measured"
            screen.say(f"kept    {kept}; the same command without --dry-run starts from it")
        return
    with contextlib.ExitStack() as held:
        made = comparison_plan.make(
            request, configs, executor, screen, lambda directory: held.enter_context(directory.lock(screen.say))
        )
        _carry_out(made, request, executor, screen)


def _carry_out(made: ComparisonPlan, request: CompareConfig, executor: Executor, screen: Screen) -> None:
    """Trains unfinished runs and concludes."""
    from kerascnn.comparison import training_order

    screen.log_to(made.directory.log_file)
    for line in training_order.lines(made, len(executor.slots)):
        screen.say(line)
    made.keep(shown_command())
    screen.say(f"kept    {made.directory.path}")
    failed: dict[str, str] = {}
    group, directory = tracking.group_of(request.logging, made.directory.name), made.directory
    with trackers.of_study(request.logging, group, directory.path, screen.say) as told:
        hours, began = request.fit.max_hours, time.monotonic()
        if made.compare.tune_each:
            from kerascnn.comparison import tuning_choice

            training_order.train(made, executor, screen, failed, hours)
            made = tuning_choice.narrowed(made, failed, screen)
            made.keep(shown_command())
            hours = None if hours is None else max(hours - (time.monotonic() - began) / 3600, 1e-4)
        if made.compare.until_decided:
            from kerascnn.comparison import looking

            looking.carry_out(made, executor, screen, failed, hours)
        else:
            try:
                training_order.train(made, executor, screen, failed, hours)
            except (Stopped, TrainingFailed):
                conclude_plan(made, failed, screen)
                raise
            conclude_plan(made, failed, screen)
        untold.end((run for _, _, run in made.every()), screen.say)
        told.files([directory.terms_file, directory.table_file, directory.markdown_file, directory.report_file])
        told.finished = not failed
    if failed:
        why = "\n".join(f"  {reason}" for reason in failed.values())
        raise TrainingFailed(
            f"{len(failed)} of {len(list(made.every()))} runs cannot be trained:\n{why}\n"
            "the same command tries these again: leave out what fails for good, or lower its learning rate"
        )


def of_runs(paths: Sequence[Path], compare: Compare, screen: Screen) -> None:
    """Concludes from existing runs and predictions of other programs; lists what cannot take part, with the reasons.

    Raises:
        UserError: There are no two systems on the same data, or a flag is only for a plan.
    """
    planned = [name for name in (*AXES, "native", "budget", "dry_run") if getattr(compare, name)]
    if planned:
        raise UserError(f"--{planned[0].replace('_', '-')} is for a comparison that trains, not for finished runs")
    if compare.truth and (paths or not compare.predictions):
        raise UserError("--truth is for --predictions without runs: runs know their images and labels")
    with quiet(), screen.phase("loading what concludes"):
        from kerascnn.comparison import finished, outside_entries
        from kerascnn.comparison.publish import publish
    outside = bool(compare.predictions)
    found = finished.gather(list(paths), least=1 if outside else 2) if paths else finished.FinishedRuns((), {})
    for line in found.lines():
        screen.say(line)
    others = outside_entries.read(compare, found, screen) if outside else outside_entries.NONE
    name = compare.name or others.name(found)
    directory = ComparisonDirectory(within(compare.comparisons_dir, name))
    with directory.lock(screen.say):
        with LocalExecutor(phases=screen) as executor:
            entries = [*found.entries(directory, executor, screen, others.terms), *others.entries]
        screen.log_to(directory.log_file)
        publish(entries, compare, max(len(entry.seeds) for entry in entries), directory, screen)
