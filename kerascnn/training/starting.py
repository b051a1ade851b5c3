"""The one way to train: a run is locked, its config and data are kept, and `Training` continues it from its last state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from kerascnn import data
from kerascnn.architectures import own
from kerascnn.cli.screen import Screen
from kerascnn.config import Config
from kerascnn.data import Splits, corrections, pipeline
from kerascnn.devices.plan import setup
from kerascnn.devices.team import ALONE, Team
from kerascnn.models import functions
from kerascnn.runs import Run
from kerascnn.tracking import trackers
from kerascnn.training import failing
from kerascnn.training.assembly import resolve
from kerascnn.training.loop import Training


def train(
    config: Config,
    run: Run,
    *,
    splits: Splits | None = None,
    until: int | None = None,
    screen: Screen | None = None,
    draw: bool = True,
    read_test: bool = True,
    patience: float = 0.0,
    witness: tuple[Path, int | None] | None = None,
    export_start: float | None = None,
    after: Callable[[trackers.Trackers], None] = lambda told: None,
    team: Team = ALONE,
) -> dict[str, Any]:
    """Trains `run` to its end, or to epoch `until`, from its last state; returns its metrics.

    Args:
        config: The config; remaining `auto`s are resolved.
        run: A run of `runs.prepare`.
        splits: The config's data, if the caller has loaded them.
        until: Stop after this epoch (a rung); the schedule stays.
        screen: Takes lines and phases.
        draw: Whether pictures of images and mistakes are drawn.
        read_test: Whether test is scored at the end; candidates of a search do without, and without graph and report.
        patience: Seconds to wait for another process that trains the run.
        witness: File and step of a `Witness` that watches, for `kerascnn verify`.
        export_start: If an export follows, the seconds until a new process has TensorFlow, for the estimated time.
        after: Called with the trackers once the run is finished, before they end.
        team: The workers that train together; all call this, and all but the chief write nothing.

    Returns:
        What metrics.json holds; without final scores where the run has not reached its last epoch.

    Raises:
        UserError: Another process trains the run, or the config is not valid.
        TrainingFailed: The loss is not finite, or memory does not suffice.
        OSError: A file cannot be written; on a full disk, what was kept before stays.
        Stopped: By a signal or a time limit, or because images cannot be read; everything is kept.
    """
    screen = screen or Screen()
    plan = setup(config.devices, config.fit.batch_size, team)
    splits = splits or data.load(config.data, data.Room(config.logging.runs_dir, screen.counting), screen)
    if run.network_file.exists():  # its own file may have changed since, or be gone
        functions.provide(run.network_file)
    resolved = resolve(config, splits)
    if not team.chief:
        with pipeline.telling(splits.train.source):
            return Training(resolved, run, splits, plan, screen, False, False, trackers.Trackers(), team=team).go(until)
    with run.lock_when_free(patience=patience, waiting=lambda why: screen.say(f"waits   {why}")):
        if run.finished:
            return run.metrics()
        run.write_config(resolved)
        if (function := own.parse(resolved.model.arch)) and function.file is not None:
            run.write_network(functions.source(function))
        run.write_data(splits.summary(), splits.rows(), splits.skipped)
        run.write_corrections(*corrections.contents(config.data))
        screen.log_to(run.log_file)
        try:
            with trackers.opened(config.logging, run.name, run.path, screen.say) as told:
                with failing.noted(run), pipeline.telling(splits.train.source):
                    try:
                        training = Training(
                            resolved, run, splits, plan, screen, draw, read_test, told, export_start, team
                        )
                        training.witness = witness
                        found = training.go(until)
                    except tf.errors.ResourceExhaustedError as error:
                        raise failing.exhausted(error, config.fit.batch_size, plan.replicas) from None
                if told.finished:
                    after(told)
                return found
        finally:
            screen.close()
