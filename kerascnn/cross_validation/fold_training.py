"""Trains the unfinished runs of a plan, fold by fold, each in a process of its own."""

import threading

from kerascnn.cli.screen import Screen
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.errors import Stopped, TrainingFailed
from kerascnn.runs import Run
from kerascnn.studies.executor import Executor
from kerascnn.studies.time_limit import time_limit


def train(plan: FoldPlan, executor: Executor, screen: Screen, hours: float | None) -> None:
    """Trains every unfinished run.

    Args:
        plan: The plan.
        executor: Executes the runs.
        screen: Takes lines.
        hours: Time limit of all of them together.

    Raises:
        Stopped: By a signal or the time limit; the same command continues.
        TrainingFailed: A run cannot be trained: without it the images of its fold have no predictions.
    """
    with time_limit(hours) as stop:
        for fold, run in plan.runs():
            head = f"fold {fold}/{plan.folds}  {run.name}"
            if run.finished:
                screen.say(f"{head}: finished on {run.metrics()['finished']}, reused")
                continue
            if stop.is_set():
                raise Stopped(f"--max-hours {hours:g} is up: the same command continues")
            begun = len(run.history())
            screen.say(f"{head}: {f'resuming after epoch {begun}' if begun else 'training'}")
            _train(plan, fold, run, executor, screen, stop)
            screen.say(f"{head}: {_result(run)}")


def _train(plan: FoldPlan, fold: int, run: Run, executor: Executor, screen: Screen, stop: threading.Event) -> None:
    run.write_config(plan.config(fold))
    try:
        rows = executor.train(run.path, None, executor.slots[0], candidate=False, stop=stop, label=f"fold {fold}")
        for row in rows:
            column = run.task.headline.column
            scores = (
                f"loss {row['loss']:.4f}, {column} {row[column]:.4f}" if column in row else f"loss {row['loss']:.4f}"
            )
            speed = f"{row['images_per_second']:,.0f} images/s"
            screen.say(f"    epoch {row['epoch']:.0f}/{plan.target.config.fit.epochs}  {scores}, {speed}")
    except TrainingFailed as error:
        raise TrainingFailed(
            f"fold {fold} cannot be trained, so that there is no score of all images: {error}"
        ) from None
    except Stopped:
        if stop.is_set():
            raise Stopped("--max-hours is up: everything is kept, and the same command continues") from None
        raise


def _result(run: Run) -> str:
    scores = run.metrics()["test"]
    score = run.task.leading(scores)
    found = scores.get(score.name)
    return f"test {score.title} {score.show(found['value'])} (n = {found['n']:,})" if found else "finished"
