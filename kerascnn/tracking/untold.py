"""Finished runs whose trackers were not told the end, because the process was killed or stopped before. No TensorFlow."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kerascnn.config import Logging
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.task import Task
from kerascnn.tracking import kept, trackers
from kerascnn.tracking.tracker import FINISHED
from kerascnn.tracking.trackers import Trackers


def scores(metrics: Mapping[str, Any], task: Task) -> dict[str, float]:
    """Returns the final scores that trackers get, from what metrics.json holds."""
    return {
        f"{split}_{score.name}": found[score.name]["value"]
        for split, found in metrics.items()
        if split in ("val", "test")
        for score in task.shown_in("run")
        if found.get(score.name)
    }


def files(run: Run) -> list[Path]:
    """Returns the files that trackers get at the end of a run."""
    return [run.config_file, run.data_file, run.environment_file, run.history_file, run.metrics_file, run.report_file]


def waiting(logging: Logging, run: Run) -> tuple[str, ...]:
    """Returns the trackers of --track that have begun this finished run, and were not told its end."""
    found = {name: kept.read(run.path, name) for name in logging.track} if run.finished else {}
    return tuple(name for name, facts in found.items() if facts and facts.get("status") != FINISHED)


@contextlib.contextmanager
def telling(logging: Logging, run: Run, say: Callable[[str], None]) -> Iterator[Trackers]:
    """Yields the trackers that wait for the end of a finished run; they have its scores and files, and are ended.

    None of them where another process works in the run, which tells them, or where it is read-only.
    """
    names = waiting(logging, run)
    with contextlib.ExitStack() as held:
        told = Trackers()
        if names:
            with contextlib.suppress(UserError, OSError):
                held.enter_context(run.lock())
                left = logging.model_copy(update={"track": names})
                told = held.enter_context(trackers.opened(left, run.name, run.path, say))
                told.values({}, scores(run.metrics(), run.task))
                told.files(files(run))
                told.finished = True
        yield told


def end(runs: Iterable[Run], say: Callable[[str], None]) -> None:
    """Tells the trackers of a study's finished runs, each by its own config, what they wait for."""
    for run in runs:
        if run.finished and run.config_file.exists() and waiting(run.config().logging, run):
            with telling(run.config().logging, run, say):
                pass
