"""A cross-validation from its config to its report and its ensemble."""

import contextlib
import shlex
from collections.abc import Collection

from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config import Config
from kerascnn.cross_validation import fold_plan, fold_training
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.data import preflight
from kerascnn.errors import UserError
from kerascnn.runs import Run, shown_command
from kerascnn.studies.placement import Placement, executor_of, fork_server

# Settings of a single run, with what to do instead.
_SINGLE = {
    "overwrite": "delete the runs that are to be trained anew, or choose another --runs-dir",
    "stop_epoch": "the run of each fold is trained to its end: --epochs",
}


def of_config(asked: Config, told: Collection[str], placement: Placement, screen: Screen) -> None:
    """Trains the runs of all folds that are not finished, scores them together, and makes their ensemble.

    Args:
        asked: The config, with `folds` and without `fold`.
        told: Names of the fields that a recipe or a flag sets.
        placement: Where the runs are trained.
        screen: Takes lines and phases.

    Raises:
        UserError: An option that is not one of a cross-validation, or that does not fit the data.
        Stopped: By a signal or the time limit; the same command continues.
        TrainingFailed: A run cannot be trained.
    """
    config = _checked(asked, told, screen)
    server = fork_server(screen, config.logging.verbose)
    with contextlib.closing(executor_of(placement, screen, server, config.fit.max_hours)) as executor:
        plan = fold_plan.make(config, executor)
        with plan.directory.lock(screen.say):
            request = plan.request()
            plan.directory.claimed(request)
            screen.log_to(plan.directory.log_file)
            for line in plan.lines():
                screen.say(line)
            plan.directory.keep(shown_command(), request, [run.name for _, run in plan.runs()])
            screen.say(f"kept    {plan.directory.path}")
            fold_training.train(plan, executor, screen, config.fit.max_hours)
            _conclude(plan, screen)


def _checked(asked: Config, told: Collection[str], screen: Screen) -> Config:
    """Returns the config of the first fold, after checking that everything exists."""
    for key, instead in _SINGLE.items():
        if getattr(asked.logging, key, None) or getattr(asked.fit, key, None):
            raise UserError(f"--{key.replace('_', '-')} with --folds and without --fold: {instead}")
    config, start = preflight.adopt(preflight.check(asked.replace(data={"fold": 1})), told)
    preflight.check_shape(config)
    if start:
        screen.say(start)
    return config


def _conclude(plan: FoldPlan, screen: Screen) -> None:
    runs = dict(plan.runs())
    with quiet(plan.target.config.logging.verbose):
        with starting(screen):
            from kerascnn.cross_validation import fold_ensemble, folds_page
            from kerascnn.cross_validation.fold_results import FoldResults
            from kerascnn.report import html
        results = FoldResults.of(runs)
        plan.directory.write_out_of_fold(results.out_of_fold())
        plan.directory.write_table(plan.directory.table_file, results.rows())
        screen.say()
        for line in results.lines():
            screen.say(line, style="bold" if line.startswith("out-of-fold") else None)
        ensemble, splits = fold_ensemble.make(plan, runs, screen)
        for line in folds_page.ensemble_lines(ensemble, len(runs)):
            screen.say(line)
        page = folds_page.page(plan.directory, results, ensemble, shown_command())
        plan.directory.write_report(html.folds_html(page))
        if plan.target.config.logging.export:
            from kerascnn.artefacts import exporting

            options = exporting.ExportOptions(name=plan.directory.name)
            done = exporting.export(
                ensemble, plan.target.config.logging.exports_dir, options, splits=splits, phases=screen
            )
            screen.say(f"export  {done.version}: the ensemble")
    _say_next(plan, ensemble, screen)


def _say_next(plan: FoldPlan, ensemble: Run, screen: Screen) -> None:
    """Prints where everything is, and commands that can be pasted."""
    place, directory = shlex.quote(str(ensemble.path)), plan.directory
    screen.say()
    screen.say(f"report:  {directory.report_file}")
    screen.say(f"images:  python -m kerascnn.predict {place} IMAGE...")
    screen.say(f"export:  python -m kerascnn.export {place}")
    screen.say(f"predictions of every image: {directory.out_of_fold_file}; table of folds: {directory.table_file.name}")
