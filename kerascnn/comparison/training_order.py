"""Executes a plan: shows it, and trains unfinished runs seed by seed."""

import datetime
import threading
import time
from collections.abc import Collection, Iterator

from kerascnn import tracking
from kerascnn.cli.screen import Screen, duration
from kerascnn.comparison import comparison_plan as planning
from kerascnn.comparison.cell import Cell
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.errors import Stopped, TrainingFailed
from kerascnn.runs import Run
from kerascnn.studies.executor import Executor, Slot
from kerascnn.studies.workers import WorkerPool


def lines(plan: ComparisonPlan, workers: int = 1) -> Iterator[str]:
    """Returns the plan as text, with the time that it takes that many workers."""
    compare, cells = plan.compare, plan.cells
    data = cells[0].subject
    images = ", ".join(f"{count:,} {split}" for split, count in data.images.items())
    terms = f"matched by {compare.match}" if compare.match != "none" else "as published"
    terms += f" ({compare.budget} each)" if compare.budget else ""
    yield f"data    {data.dataset}: {images}; {len(data.class_names)} classes"
    scored = "val" if data.config.data.val_is_val else "test"
    seeds = f"{compare.seeds} {'fold' if plan.by_folds else 'seed'}{'s' if compare.seeds > 1 else ''}"
    title = data.task.score(compare.metric).title
    yield f"plan    {' against '.join(plan.archs)}, {terms}, {seeds}; verdict on {scored} {title}"
    width = max(len(cell.key) for cell in cells) + 2
    yield f"        {'':{width}} {'px':>4} {'width':>7} {'round':>5} {'parameters':>12} {'MACs':>11} {'s/epoch':>8} {'epochs':>6}"
    for cell in cells:
        section, cost = cell.subject.config.model, cell.cost
        width_divisor = "-" if section.width == 1 else str(section.width_divisor)
        yield (
            f"        {cell.key:{width}} {cell.subject.config.data.image_size:>4} {section.width:>7g} {width_divisor:>5}"
            f" {cost.params:>12,} {cost.macs / 1e6:>9,.1f} M {cell.epoch_seconds:>8.1f} {cell.epochs:>6}"
        )
    if compare.chooses:
        last = planning.FIRST_CHOOSING + compare.choose_seeds - 1
        named = f"{planning.FIRST_CHOOSING} to {last}" if compare.choose_seeds > 1 else f"{planning.FIRST_CHOOSING}"
        time_of_all = duration(sum(_whole(cell) for _, cell, _ in plan.choosing()))
        many = sum(1 for _ in plan.choosing())
        yield f"choose  by val of {many} further runs, seeds {named}, whose test is not read: {time_of_all} in all"
    every = [(cell, run) for _, cell, run in plan.every()]
    finished = sum(run.finished for _, run in every)
    begun = sum(not run.finished and bool(run.history()) for _, run in every)
    yield f"runs    {len(every)}: {finished} finished and reused, {begun} to be resumed, {len(every) - finished - begun} new"
    if earlier := sum(cell.earlier(seed) for seed, cell, _ in plan.runs()):
        yield f"note    {earlier} runs of an earlier version are not reused: their val and test were cut by another rule"
    left = expected(plan) / workers
    if left:
        yield f"end     about {clock(left)}, in {duration(left)}, with starts, compiling and scoring, as a few steps took now"


def expected(plan: ComparisonPlan, without: Collection[str] = (), pace: float = 1.0) -> float:
    """Returns the expected seconds of the rest of the plan.

    Args:
        plan: The plan.
        without: Names of runs that are not tried again.
        pace: Measured over expected duration of the runs of this start.
    """
    return pace * sum(_left(cell, run) for _, cell, run in plan.every() if run.name not in without)


class Pace:
    """Measured over expected duration of the finished runs; 1 before the first one."""

    def __init__(self) -> None:
        self._expected = self._taken = 0.0

    def ended(self, expected: float, taken: float) -> None:
        """Adds a finished run."""
        self._expected, self._taken = self._expected + expected, self._taken + taken

    @property
    def factor(self) -> float:
        """The present ratio."""
        return self._taken / self._expected if self._expected else 1.0


def _whole(cell: Cell) -> float:
    """Returns the seconds of a whole run."""
    return cell.around_seconds + cell.seconds


def _left(cell: Cell, run: Run) -> float:
    if run.finished:
        return 0.0
    return cell.around_seconds + cell.epoch_seconds * max(cell.epochs - len(run.history()), 0)


def train(
    plan: ComparisonPlan, executor: Executor, screen: Screen, failed: dict[str, str], hours: float | None = None
) -> None:
    """Trains every unfinished run of the plan, each in a process of its own, in as many slots as the executor has.

    Runs begin in the order of the plan, seed by seed, so that a comparison that stops early is balanced.

    A run that cannot be trained, for example with too high a learning rate, does not stop the others.

    Args:
        plan: The plan.
        executor: Executes the runs.
        screen: Takes lines.
        failed: Extended by the name of each run that cannot be trained, and the reason.
        hours: Time limit.

    Raises:
        Stopped: The time is up; the same command continues.
        ChildLost: A run's process was killed or found no space on the disk, which would also affect others: the same command
            continues.
    """
    trainings = _Trainings(plan, executor, screen, failed)
    pool = WorkerPool(executor.slots, trainings.stop, None if hours is None else hours * 3600)
    try:
        pool.work(trainings.next)
    except Stopped:
        if pool.time_is_up:
            raise Stopped(f"--max-hours {hours:g} is up: the same command continues ({trainings.rest()})") from None
        raise


class _Trainings:
    """The trainings of a plan, which workers share.

    Args:
        plan: The plan.
        executor: Executes the runs.
        screen: Takes lines.
        failed: Extended by the name of each run that cannot be trained, and the reason.
    """

    def __init__(self, plan: ComparisonPlan, executor: Executor, screen: Screen, failed: dict[str, str]) -> None:
        self.plan, self.executor, self.screen, self.failed = plan, executor, screen, failed
        self.stop = threading.Event()
        self._every = list(plan.every())
        self._choosing = {run.name for _, _, run in plan.choosing()}
        self._left = iter(enumerate(self._every, 1))
        self._pace = Pace()
        self._turn = threading.Lock()

    def next(self, slot: Slot) -> bool:
        """Trains the next run; returns whether there was one."""
        with self._turn:
            number, (seed, cell, run) = next(self._left, (0, self._every[0]))
        if not number:
            return False
        head = f"{number}/{len(self._every)}  {run.name}"
        if run.finished:
            self.screen.say(f"{head}: finished on {run.metrics()['finished']}, reused")
            return True
        left, start = _left(cell, run), time.monotonic()
        try:
            self._train(run, cell, seed, head, slot)
            said = _result(run, self.plan.compare.metric)
            with self._turn:
                self._pace.ended(left, time.monotonic() - start)
        except TrainingFailed as error:
            self.failed[run.name] = said = str(error)
        self.screen.say(f"{head}: {said}; {self.rest()}")
        return True

    def _train(self, run: Run, cell: Cell, seed: int, head: str, slot: Slot) -> None:
        """Trains one run in a process of its own, from its last state; the test of a candidate is not read."""
        group = tracking.group_of(cell.subject.config.logging, self.plan.directory.name)
        run.write_config(cell.config(seed).replace(fit={"max_hours": None}, logging={"track_group": group}))
        begun, candidate = len(run.history()), run.name in self._choosing
        self.screen.say(f"{head}: {f'resuming after epoch {begun}' if begun else 'training'}")
        whose = f"{cell.key}, seed {seed}: " if len(self.executor.slots) > 1 else ""
        rows = self.executor.train(run.path, None, slot, candidate=candidate, stop=self.stop, label=cell.key)
        for row in rows:
            self.screen.say(f"    {whose}{_epoch(row, cell)}")
        if candidate and run.finished:
            run.drop_checkpoints()

    def rest(self) -> str:
        """Returns the expected time of the rest as text."""
        left = expected(self.plan, self.failed, self._pace.factor) / len(self.executor.slots)
        done = f"all runs finished but {len(self.failed)}" if self.failed else "all runs finished"
        return f"{duration(left)} left, until {clock(left)}" if left else done


def _epoch(row: dict[str, float], cell: Cell) -> str:
    column = cell.subject.task.headline.column
    scores = f"loss {row['loss']:.4f}, {column} {row[column]:.4f}" if column in row else ""
    return f"epoch {row['epoch']:.0f}/{cell.epochs}  {scores}, {row['images_per_second']:,.0f} images/s"


def _result(run: Run, metric: str) -> str:
    metrics = run.metrics()
    split = "test" if "test" in metrics else "val"
    score = run.task.score(metric)
    found = metrics[split].get(score.name)  # a run of an earlier version may lack it
    return f"{split} {score.title} {score.show(found['value'])}" if found else "finished"


def clock(seconds_from_now: float) -> str:
    """Returns the time of day after that many seconds, with the date if that is another day."""
    then = datetime.datetime.now() + datetime.timedelta(seconds=seconds_from_now)
    return then.strftime("%H:%M" if then.date() == datetime.date.today() else "%Y-%m-%d %H:%M")
