"""Trains the unfinished runs of a plan, fold by fold, each in a process of its own."""

import threading

from kerascnn.cli.screen import Screen
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.errors import Stopped, TrainingFailed
from kerascnn.runs import Run
from kerascnn.studies.executor import Executor, Slot
from kerascnn.studies.workers import WorkerPool


def train(plan: FoldPlan, executor: Executor, screen: Screen, hours: float | None) -> None:
    """Trains every unfinished run, in as many slots as the executor has.

    Args:
        plan: The plan.
        executor: Executes the runs.
        screen: Takes lines.
        hours: Time limit of all of them together.

    Raises:
        Stopped: By a signal or the time limit; the same command continues.
        TrainingFailed: A run cannot be trained: without it the images of its fold have no predictions.
    """
    stop, turn, left = threading.Event(), threading.Lock(), iter(plan.runs())

    def next_one(slot: Slot) -> bool:
        with turn:
            fold, run = next(left, (0, None))
        if run is None:
            return False
        head = f"fold {fold}/{plan.folds}  {run.name}"
        if run.finished:
            screen.say(f"{head}: finished on {run.metrics()['finished']}, reused")
            return True
        begun = len(run.history())
        screen.say(f"{head}: {f'resuming after epoch {begun}' if begun else 'training'}")
        _train(plan, fold, run, executor, slot, screen, stop)
        screen.say(f"{head}: {_result(run)}")
        return True

    pool = WorkerPool(executor.slots, stop, None if hours is None else hours * 3600)
    try:
        pool.work(next_one)
    except Stopped:
        if pool.time_is_up:
            raise Stopped(f"--max-hours {hours:g} is up: everything is kept, and the same command continues") from None
        raise


def _train(
    plan: FoldPlan, fold: int, run: Run, executor: Executor, slot: Slot, screen: Screen, stop: threading.Event
) -> None:
    run.write_config(plan.config(fold))
    whose = f"fold {fold}: " if len(executor.slots) > 1 else ""
    try:
        for row in executor.train(run.path, None, slot, candidate=False, stop=stop, label=f"fold {fold}"):
            column = run.task.headline.column
            scores = (
                f"loss {row['loss']:.4f}, {column} {row[column]:.4f}" if column in row else f"loss {row['loss']:.4f}"
            )
            speed = f"{row['images_per_second']:,.0f} images/s"
            screen.say(f"    {whose}epoch {row['epoch']:.0f}/{plan.target.config.fit.epochs}  {scores}, {speed}")
    except TrainingFailed as error:
        raise TrainingFailed(
            f"fold {fold} cannot be trained, so that there is no score of all images: {error}"
        ) from None


def _result(run: Run) -> str:
    scores = run.metrics()["test"]
    score = run.task.leading(scores)
    found = scores.get(score.name)
    return f"test {score.title} {score.show(found['value'])} (n = {found['n']:,})" if found else "finished"
