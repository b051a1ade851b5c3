"""A run as one row: its state, progress and score. Damage is a state, never an error. No TensorFlow."""

import datetime
from dataclasses import dataclass
from typing import Any, Literal

from kerascnn.architectures import own
from kerascnn.cli.escaping import one_line
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs.directory import Run
from kerascnn.runs.finding import when
from kerascnn.runs.lease_files import live_holder
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.task import SINGLE, Task

State = Literal["finished", "running", "stopped", "failed", "damaged"]
# Errors of reading a file that was truncated or edited by hand.
_DAMAGE = (UserError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)


@dataclass(frozen=True)
class Summary:
    """The row of one run.

    Attributes:
        run: The run.
        state: finished; running (a process holds it); stopped; failed (its training cannot continue); damaged.
        detail: Its progress, or the problem.
        arch: Name of the arch, or empty if it is unknown.
        dataset: Short name of the data set.
        split: Split of the score: test or val.
        score: Its headline: accuracy, or mAP with several labels per image; None if there is none yet.
        interval: 95 % interval of the score; None while the score is that of val during training.
        when: Time of the last training, in seconds since 1970.
        headline: The score that it is.
    """

    run: Run
    state: State
    detail: str
    arch: str = ""
    dataset: str = ""
    split: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    when: float = 0.0
    headline: Score = SINGLE.headline

    def as_dict(self) -> dict[str, Any]:
        """Returns the row for `--json`."""
        moment = datetime.datetime.fromtimestamp(self.when, datetime.UTC)
        return {
            "name": self.run.name,
            "path": str(self.run.path),
            "state": self.state,
            "detail": self.detail,
            "arch": self.arch,
            "dataset": self.dataset,
            "split": self.split,
            self.headline.name: self.score,
            "low": self.interval and self.interval[0],
            "high": self.interval and self.interval[1],
            "when": moment.isoformat(timespec="seconds"),
        }


def summarize(run: Run) -> Summary:
    """Returns the row of a run, as far as it can be read."""
    known: dict[str, Any] = {"when": when(run)}
    try:
        config = run.config()
        known |= {"arch": own.shown(config.model.arch), "dataset": config.data.dataset}
        if run.data_file.exists():
            known |= {"dataset": str(run.data()["name"]), "headline": run.task.headline}
        if run.finished:
            return Summary(run, "finished", "", **{**known, **_final(run.metrics(), run.task)})
        return _unfinished(run, config, known)
    except _DAMAGE as error:
        said = one_line(" ".join(str(error).split())) or type(error).__name__
        return Summary(run, "damaged", said, **known)


def in_order(summaries: list[Summary]) -> list[Summary]:
    """Sorts by score, best first; runs without one come last, newest first."""
    return sorted(summaries, key=lambda one: (one.score is None, -(one.score or 0.0), -one.when))


def _final(metrics: dict[str, Any], task: Task) -> dict[str, Any]:
    split = "test" if "test" in metrics else "val"
    if "members" in metrics and split not in metrics:  # an ensemble without images that none of its networks has seen
        return {}
    headline = task.leading(metrics[split])
    found = metrics[split][headline.name]
    interval = float(found["low"]), float(found["high"])
    return {"split": split, "score": float(found["value"]), "interval": interval, "headline": headline}


def _unfinished(run: Run, config: Config, known: dict[str, Any]) -> Summary:
    rows = run.history()
    column = known.get("headline", SINGLE.headline).column
    scores = [row[column] for row in rows if column in row]
    if scores:
        known |= {"split": "val", "score": max(scores)}
    place = f"epoch {len(rows)} of {config.fit.epochs}" if config.fit.epochs else f"epoch {len(rows)}"
    if in_use(run):
        return Summary(run, "running", place, **known)
    failure = _failure(run)
    if failure:
        return Summary(run, "failed", f"{place}: {one_line(failure)}", **known)
    return Summary(run, "stopped", place, **known)


def _failure(run: Run) -> str:
    if not run.failure_file.exists():
        return ""
    return run.failure_file.read_text(encoding="utf-8", errors="replace").strip()


def in_use(run: Run) -> bool:
    """Returns whether a process holds the run."""
    try:
        return live_holder(run.path) is not None
    except OSError:
        return False
