"""Train one network on your images; the same command resumes."""

import contextlib
import math
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from kerascnn import tracking
from kerascnn.cli.automatic import Automatic
from kerascnn.cli.command import command, explained
from kerascnn.cli.parsing import OfData, parse_config, told
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import preflight
from kerascnn.data.room import Missing
from kerascnn.devices.team import Team
from kerascnn.devices.workers import WorkerFlags, together
from kerascnn.errors import DONE, FULL, Stopped, UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run, identity, prepare
from kerascnn.runs.files import write_file
from kerascnn.studies.child import Orders, when_parent_ends
from kerascnn.studies.placement import Placement, of_one_run
from kerascnn.tracking import untold

if TYPE_CHECKING:
    from kerascnn.data import Splits
    from kerascnn.tracking.trackers import Trackers


class FitFlags(OfData):
    """The flags of `kerascnn fit`."""

    budget: str | None = Field(None, description="with --epochs auto: the time of the training, such as 30m or 1h30m")
    strict: bool = Field(
        False, description="refuse test images with a copy in train, and copies with different labels (kerascnn audit)"
    )
    placement: Placement = Placement()
    hosts: WorkerFlags = WorkerFlags()
    show_augment: Path | None = Field(
        None,
        description="write a picture of training images under each augmentation to this PNG file, and train nothing",
        json_schema_extra={"metavar": "FILE"},
    )

    @field_validator("show_augment")
    @classmethod
    def _png(cls, file: Path | None) -> Path | None:
        if file is not None and file.suffix.lower() != ".png":
            raise ValueError(f"expected a file that ends in .png, got {file}")
        return file


@command
def main(argv: list[str]) -> int:
    """`kerascnn fit`: trains, scores, exports."""
    orders, argv = Orders.taken_from(argv)
    child = orders is not None
    automatic, argv = Automatic.taken_from(argv)
    typed = parse_config(argv, prog="kerascnn fit", description=__doc__ or "", schema=FitFlags)
    asked, automatic = typed.config, automatic.within(typed.budget)
    tracking.check(asked.logging.track)
    if asked.data.folds is not None and asked.data.fold is None:
        return _all_folds(typed, told(argv, FitFlags), automatic)
    of_one_run(typed.placement)
    if orders:
        _obey(orders)
    alone = child or typed.show_augment is not None
    cluster = None if alone else typed.hosts.cluster(os.environ)
    screen = Screen(tell=orders.tell() if orders else None)
    # They meet first: what only one of them lacks is told by all.
    with together(cluster, typed.hosts.workers_wait, screen.say) as team:
        _of_team(team, automatic)
        with _images_may_return(child):
            config, start = preflight.adopt(preflight.check(asked), told(argv, FitFlags))
        preflight.check_shape(config)
        return _fit(typed, config, start, automatic, orders, screen, team)


def _of_team(team: Team, automatic: Automatic) -> None:
    """Checks what several hosts cannot do."""
    if team.count > 1 and automatic:
        raise UserError("--lr find and auto are for one host: find them there, and give the numbers to all")


def _fit(
    typed: FitFlags,
    config: Config,
    start: str | None,
    automatic: Automatic,
    orders: Orders | None,
    screen: Screen,
    team: Team,
) -> int:
    """Trains, scores and exports the run of a config."""
    asked, child = typed.config, orders is not None
    with starting(screen) as phase, quiet(config.logging.verbose):
        server = ForkServer.here() if config.logging.export and team.chief else None
        from kerascnn import data, training
        from kerascnn.artefacts import exporting  # noqa: F401 - imported in the phase that says so
        from kerascnn.auditing import leaks
        from kerascnn.devices.plan import setup
        from kerascnn.training import found_settings, summary

        setup(config.devices, config.fit.batch_size, team)
    if not team.chief:
        screen.console.quiet = True  # the chief says it for all
    with _images_may_return(child):
        room = data.Room(config.logging.runs_dir, screen.counting)
        splits = data.load(config.data, room, screen)
        audited = leaks.check(splits, config.data, room, typed.strict)
    for line in [*splits.lines(), *filter(None, (start, audited))]:
        screen.say(line)
    config = training.resolve(found_settings.find(automatic, config, splits, screen), splits)
    if typed.show_augment is not None:
        _show_augment(typed.show_augment, asked, config, splits, screen)
        return DONE
    team.agree("data and config", _facts(config, splits))
    if not team.chief:
        return _follow(config, splits, screen, team)
    run = prepare(config, splits.fingerprint, splits.name, splits.former, screen.say)
    rows = run.split_rows() if run.config_file.exists() and run.data_file.exists() else None
    if rows is not None:
        splits = splits.arranged(rows)
    team.told({"rows": rows, "trained": not run.finished})
    _carry_out(run, config, splits, screen, orders, server, phase.seconds, team)
    if run.finished:
        summary.say_scores(screen, run.metrics(), run.task)
        summary.say_next(screen, run, asked)
    screen.close()
    return DONE


def _carry_out(
    run: Run,
    config: ResolvedConfig,
    splits: "Splits",
    screen: Screen,
    orders: Orders | None,
    server: ForkServer | None,
    start_seconds: float,
    team: Team,
) -> None:
    """Trains and exports; of a finished run only what is missing is made.

    Args:
        run: The run, new or begun.
        config: Its config.
        splits: Its images.
        screen: Takes lines.
        orders: What a parent wants of a child, else None.
        server: Forks the processes of the export, if there is one.
        start_seconds: How long the imports took, which each of those processes repeats without a server.
        team: The workers that train together.
    """
    from kerascnn import training

    def export(trackers: "Trackers") -> None:
        """Exports the trained run while its trackers are open, which get the model."""
        if config.logging.export:
            trackers.model(_export(screen, run, config.logging.exports_dir, splits, server))

    child, read_test = orders is not None, orders is None or orders.read_test
    trained = run.finished
    with _goes_on(config.logging.overwrite):
        if trained:
            if read_test and training.mend(run, splits, draw=not child):
                screen.say(f"report  {run.report_file}, which was missing")
            _say_finished(screen, run)
            with untold.telling(config.logging, run, screen.say) as trackers:
                export(trackers)
            return
        training.train(
            config,
            run,
            splits=splits,
            screen=screen,
            draw=not child,
            read_test=read_test,
            # Two comparisons may share a run: the second one waits for it.
            patience=math.inf if child else 0.0,
            witness=None if orders is None or orders.witness is None else (Path(orders.witness), orders.kill_at),
            export_start=None if not config.logging.export else 0.0 if server else start_seconds,
            after=export,
            team=team,
        )
        if run.finished:
            screen.log_to(run.log_file)


def _follow(config: ResolvedConfig, splits: "Splits", screen: Screen, team: Team) -> int:
    """Trains as a worker that is not the chief, which alone has the run."""
    from kerascnn import training

    told = team.told()
    if told["rows"] is not None:
        splits = splits.arranged(told["rows"])
    if told["trained"]:
        training.train(config, Run(config.logging.runs_dir), splits=splits, screen=screen, team=team)
    return DONE


def _facts(config: ResolvedConfig, splits: "Splits") -> dict[str, Any]:
    """Returns what must be equal for all workers of one training."""
    fit, logging = config.fit, config.logging
    same = {
        "checkpoint-every": fit.checkpoint_every,
        "stop-epoch": fit.stop_epoch,
        "remat": fit.remat,
        "sync-bn": config.devices.sync_bn,
    }
    return {**identity(config, splits.fingerprint), **same, "steps-per-log": logging.steps_per_log}


def _obey(orders: Orders) -> None:
    """Has this child end with its parent, and when Slurm says so; what was trained is saved. Keeps it to its cores."""

    def end(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    when_parent_ends(end)
    if hasattr(signal, "SIGUSR2"):  # Slurm's, before a job's time is up: it may reach all processes of the job
        signal.signal(signal.SIGUSR2, end)
    orders.pin()


def _say_finished(screen: Screen, run: Run) -> None:
    screen.say(
        f"run {run.name}: finished on {run.metrics()['finished']}: nothing trained (--overwrite starts anew,"
        " --seed 1 is another run)"
    )


def _all_folds(typed: FitFlags, given: set[str], automatic: Automatic) -> int:
    """Trains every fold as a run of its own (--folds without --fold)."""
    if automatic:
        raise UserError("--lr find and auto are for one run: find them with --fold 1, and give the numbers to --folds")
    if typed.hosts.cluster(os.environ):
        raise UserError("several hosts train one run together: give --fold too, or --workers-at alone")
    if typed.strict:
        raise UserError("--strict checks the splits of one run: give --fold too, or audit the images first")
    if typed.show_augment is not None:
        raise UserError("--show-augment shows the images of one run: give --fold too")
    from kerascnn import cross_validation

    screen = Screen()
    cross_validation.of_config(typed.config, given, typed.placement, screen)
    screen.close()
    return DONE


def _show_augment(file: Path, asked: Config, config: ResolvedConfig, splits: "Splits", screen: Screen) -> None:
    """Writes the picture of --show-augment: all augmentations, or those of --augment."""
    from kerascnn.data.sampling import Sampling
    from kerascnn.report import augment_sheet

    every = asked.augment.augment == ("auto",)
    words = augment_sheet.everything() if every else [word for word in config.augment.augment if word != "none"]
    with screen.phase("drawing the augmentations"):
        sampled = Sampling(config.fit.sampling, config.fit.repeats)
        found = augment_sheet.rows(splits, config.augment, words, config.draw_seed, sampled)
        heading = f"augmentations of {splits.name} at {splits.image_size} px, seed {config.draw_seed}, first epoch"
        write_file(file, augment_sheet.picture(found, heading))
    screen.say(f"augmentations: {file} (nothing was trained)")
    screen.close()


@contextlib.contextmanager
def _images_may_return(child: bool) -> Iterator[None]:
    """Turns missing images into `Stopped` in a child process: its parent has seen them, so the config is not wrong."""
    try:
        yield
    except Missing as error:
        if not child:
            raise
        raise Stopped(f"{error}\nonce the images are back, the same command continues") from None


@contextlib.contextmanager
def _goes_on(overwrite: bool) -> Iterator[None]:
    """Adds to a message about "the same command" that --overwrite must be omitted, since it would delete what is kept."""
    leave_out = " (without --overwrite, which starts anew)"
    try:
        yield
    except Stopped as error:
        if not overwrite:
            raise
        raise Stopped(f"{error}{leave_out}", error.code) from None
    except OSError as error:
        if not overwrite or error.errno not in FULL:
            raise
        raise Stopped(explained(error) + leave_out) from None


def _export(screen: Screen, run: Run, folder: Path, splits: "Splits", server: ForkServer | None) -> Path:
    """Exports a finished run and says how far the export agrees with it; returns the version."""
    from kerascnn.artefacts import exporting

    with server or contextlib.nullcontext():
        done = exporting.export(run, folder, splits=splits, phases=screen, server=server)
    for row in done.rows:
        agrees = f"agrees with the run to {row['images']['max_difference']:.0e} on {row['images']['n']} images"
        screen.say(f"export  {done.version}: {agrees} and {row['files']['n']} files")
    return done.version


if __name__ == "__main__":
    sys.exit(main())
