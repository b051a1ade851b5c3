"""What the labels of a data set ask of a network: one class per image, or any number of labels.

Losses, scores, decisions and the activation of exports follow from the task; the places that differ ask it. No TensorFlow:
importing this module loads neither numpy nor scipy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kerascnn.errors import UserError
from kerascnn.scoring import label_metrics, metrics
from kerascnn.scoring.label_metrics import LabelScore
from kerascnn.scoring.metrics import Better, Place, Score

if TYPE_CHECKING:
    import numpy as np

TaskName = Literal["single", "multi"]


@dataclass(frozen=True)
class Task:
    """What the labels ask of a network.

    Attributes:
        name: single or multi, the value of `--task`.
        several: Whether an image has any number of labels.
        rows: Its scores.
        headline: The main score of a run.
        activation: Name of the function from logits to probabilities, in `tf.nn` and `keras.activations`.
        label_smoothing: Its default.
        monitor: Column that chooses the best epoch by default.
        same: What two networks predict alike, in percent, in the proof of an export.
    """

    name: TaskName
    several: bool
    rows: tuple[Score, ...]
    headline: Score
    activation: Literal["softmax", "sigmoid"]
    label_smoothing: float
    same: str

    @property
    def scores(self) -> dict[str, Score]:
        """Its scores by name."""
        return {row.name: row for row in self.rows}

    @property
    def monitors(self) -> dict[str, Better]:
        """Columns of history.csv that val can choose by: whether more is better."""
        return {row.column: row.better for row in self.rows if row.epoch}

    def shown_in(self, place: Place) -> tuple[Score, ...]:
        """Returns the scores that appear in a place."""
        return tuple(row for row in self.rows if place in row.places)

    def counted(self) -> tuple[Score, ...]:
        """Returns the scores, besides the loss, that are known after each epoch."""
        return tuple(row for row in self.rows if row.epoch == "counts")

    def leading(self, scores: Mapping[str, Any]) -> Score:
        """Returns the headline, or the next score in brief where a split is too small for it, of a split's scores."""
        return next((row for row in (self.headline, *self.shown_in("brief")) if scores.get(row.name)), self.headline)

    def score(self, name: str, flag: str = "--metric") -> Score:
        """Returns the score `name`, or the headline for `auto`.

        Raises:
            UserError: The task has no such score.
        """
        if name == "auto":
            return self.headline
        if name not in self.scores:
            known = ", ".join(row.name for row in self.shown_in("compare"))
            raise UserError(f"{flag} {name}: a score of the other task; images with {self.about} have {known}")
        return self.scores[name]

    @property
    def about(self) -> str:
        """The task in words, after "images with"."""
        return "several labels" if self.several else "one label each"

    def measured(self, rows: Iterable[Score], found: Any, groups: np.ndarray | None = None) -> dict[str, Any]:
        """Returns the entries of metrics.json of `rows`, {"value", "low", "high", "n"} by name; see `metrics.measured`.

        Args:
            rows: Some of its scores.
            found: `scoring.predictions.Predictions`.
            groups: The group of each image, int [n], or None where images are independent.
        """
        if self.several:
            return label_metrics.measured(rows, found, groups)
        return metrics.measured(rows, found.probabilities, found.labels, groups)


SINGLE = Task(
    name="single",
    several=False,
    rows=tuple(metrics.SCORES.values()),
    headline=metrics.HEADLINE,
    activation="softmax",
    label_smoothing=0.1,
    same="top-1",
)
MULTI = Task(
    name="multi",
    several=True,
    rows=label_metrics.ROWS,
    headline=label_metrics.ROWS[0],
    activation="sigmoid",
    label_smoothing=0.0,
    same="same labels",
)
TASKS: dict[str, Task] = {task.name: task for task in (SINGLE, MULTI)}
# Columns of history.csv that val can choose by in some task, and those of scores that tune can search by.
MONITORS: dict[str, Better] = {**SINGLE.monitors, **MULTI.monitors}
COLUMNS: dict[str, Better] = {
    **MONITORS,
    **{row.name: row.better for task in TASKS.values() for row in task.rows if row.epoch and row.trained},
}


def of_labels(labels: np.ndarray) -> Task:
    """Returns the task of labels: int [n] (one class per image) or bool [n, classes] (several labels)."""
    return MULTI if labels.ndim == 2 else SINGLE


def of_facts(facts: Mapping[str, Any]) -> Task:
    """Returns the task in data.json or an artefact's metadata, which name it where images have several labels."""
    return TASKS[facts.get("task", SINGLE.name)]


def of_column(column: str) -> Score | None:
    """Returns the score in a column of history.csv, or None."""
    name = column.removeprefix("val_")
    return SINGLE.scores.get(name) or MULTI.scores.get(name)


__all__ = [
    "COLUMNS",
    "MONITORS",
    "MULTI",
    "SINGLE",
    "TASKS",
    "LabelScore",
    "Task",
    "of_column",
    "of_facts",
    "of_labels",
]
