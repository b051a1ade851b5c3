"""Train one network on your images; the same command resumes."""

import contextlib
import math
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kerascnn import cli
from kerascnn.config import Config
from kerascnn.runs import CANDIDATE, PARENT_PIPE, Run, pin
from kerascnn.screen import Screen, duration, quiet

if TYPE_CHECKING:
    from kerascnn.artefacts.exporting import Exported


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn fit`: train, score, export."""
    config: Config = cli.parse_config(argv, prog="kerascnn fit", description=__doc__ or "")
    child = PARENT_PIPE in os.environ
    if child:
        _end_with_parent()
        pin()
    with quiet(config.logging.verbose):
        from kerascnn import data, distribute, training
        from kerascnn.artefacts import exporting

        distribute.setup(config.devices, config.fit.batch_size)
    screen = Screen()
    splits = data.load(config.data)
    for line in splits.lines():
        screen.say(line)
    config = training.resolve(config, splits)
    run = Run.prepare(config, splits.fingerprint, splits.name)
    read_test = os.environ.get(PARENT_PIPE) != CANDIDATE
    if run.finished:
        if read_test and training.mend(run, splits, draw=not child):
            screen.say(f"report  {run.report_file}, which was missing")
        done = run.metrics()["finished"]
        screen.say(
            f"run {run.name}: finished on {done}: nothing trained (--overwrite starts anew, --seed 1 is another run)"
        )
    with _goes_on(config.logging.overwrite):
        if not run.finished:
            # Two comparisons may share a run: who comes second takes what is there.
            patience = math.inf if child else 0.0
            training.train(
                config, run, splits=splits, screen=screen, draw=not child, read_test=read_test, patience=patience
            )
        if run.finished and config.logging.export:
            _export(screen, exporting.export(run, config.logging.exports_dir, splits=splits))
    if run.finished:
        _say_scores(screen, run.metrics())
        _say_next(screen, run, config)
    return cli.DONE


@contextlib.contextmanager
def _goes_on(overwrite: bool) -> Iterator[None]:
    """Say what "the same command" is to those who gave --overwrite, with which it would delete what is kept."""
    leave_out = " (without --overwrite, which starts anew)"
    try:
        yield
    except cli.Stopped as error:
        if not overwrite:
            raise
        raise cli.Stopped(f"{error}{leave_out}", error.code) from None
    except OSError as error:
        if not overwrite or error.errno not in cli.FULL:
            raise
        raise cli.Stopped(cli.explained(error) + leave_out) from None


def _end_with_parent() -> None:
    """Stop as at a signal once standard input closes: a killed parent leaves no training and no lock."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _export(screen: Screen, done: "Exported") -> None:
    for row in done.rows:
        agrees = f"agrees with the run to {row['images']['max_difference']:.0e} on {row['images']['n']} images"
        screen.say(f"export  {done.version}: {agrees} and {row['files']['n']} files")


def _say_scores(screen: Screen, metrics: dict[str, Any]) -> None:
    name = "test" if "test" in metrics else "val"
    scores = metrics[name]
    accuracy, f1 = scores["accuracy"], scores["macro_f1"]
    mark = "  (val chose this model: no test set was kept apart)" if metrics["test_is_val"] or name == "val" else ""
    screen.say()
    screen.say(
        f"{name} accuracy {accuracy['value']:.2%}  [{accuracy['low']:.2%}, {accuracy['high']:.2%}]"
        f" (95 %, n = {accuracy['n']} images, 1 seed){mark}",
        style="bold",
    )
    screen.say(f"macro F1 {f1['value']:.4f}  [{f1['low']:.4f}, {f1['high']:.4f}]")
    worst = scores["worst_class"]
    screen.say(f"worst class: {worst['name']} (F1 {worst['f1']:.3f}, n = {worst['n']})")
    screen.say(f"always answering the largest class: {scores['majority']:.2%}")
    best = f"best epoch {metrics['best_epoch']} by {metrics['monitor']}"
    screen.say(f"trained {metrics['epochs']} epochs in {duration(metrics['train_seconds'])}; {best}")


def _say_next(screen: Screen, run: Run, config: Config) -> None:
    screen.say()
    screen.say(f"curves:  tensorboard --logdir {shlex.quote(str(run.path.parent))}")
    other = "inception" if config.model.arch.startswith("res") else "resnet"
    screen.say(f"next:    python -m kerascnn.fit --arch {other} --dataset {shlex.quote(config.data.dataset)}")


if __name__ == "__main__":
    sys.exit(main())
