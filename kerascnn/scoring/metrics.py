"""The scores of a classifier: one row each.

evaluate, compare, tune's objectives, `--monitor`, the pages, TensorBoard, help and messages read these rows. A new score is
one more row. Importing this module loads neither numpy nor scipy nor TensorFlow, since `--help` reads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kerascnn.scoring import measures

if TYPE_CHECKING:
    import numpy as np

    from kerascnn.statistics import Interval

Unit = Literal["share", "number"]
Better = Literal["max", "min"]
# run: metrics.json at the end of a training; otherwise evaluate adds it. brief: also in the epochs' table and curves, and at
# the end of fit. compare: `--metric`. columns: of a comparison's page. calibrated: also at val's
# temperature.
Place = Literal["run", "brief", "compare", "columns", "calibrated"]


class Scored(Protocol):
    """Predictions and labels of the images of a split: `scoring.predictions.Predictions`."""

    @property
    def probabilities(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Score:
    """One score.

    A score is a mean over images (`each`), follows from counts by class (`of_counts`), or is neither; compare resamples the
    first two kinds, and those with `drawn`. Every score has an interval: `measure`, or that of `of_counts`.

    Args:
        name: Key in metrics.json; `val_<name>` is the column in history.csv.
        title: Name in tables and messages.
        unit: "share" is shown in percent and differs in points, "number" is shown as it is.
        better: Whether more or less is better.
        places: Where it appears beside evaluate and the run page, which have every score.
        epoch: How it is known after each epoch: Keras' loss, or counts by class; None where it is not.
        trained: Whether it is also known of the training images.
        about: Addition to the title on pages.
        classes: The fewest classes with which it says something.
        bounds: The least and the most that it can be.
        each: (probabilities [n, C], labels [n]) -> value of each image, [n].
        of_counts: (images, predicted, right, arrays) -> value [...]: numbers of images, predictions and right predictions of
            each class, [..., C], with numpy or `keras.ops` as `arrays`.
        drawn: (probabilities, labels) -> a function from draws of images, int [rounds, k], to the score of each draw; of a score
            with neither of the two.
        measure: (probabilities, labels, groups [n] or None) -> what `read` takes the interval from; scores that share it are
            measured once.
        read: The interval in what `measure` gives.
        beside: Further entries of metrics.json in what `measure` gives.
    """

    name: str
    title: str
    unit: Unit
    better: Better
    places: frozenset[Place]
    epoch: Literal["loss", "counts"] | None = None
    trained: bool = False
    about: str = ""
    classes: int = 1
    bounds: tuple[float, float | None] = (0.0, 1.0)
    each: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    of_counts: Callable[[Any, Any, Any, Any], Any] | None = None
    drawn: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]] | None = None
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray | None], Any] | None = None
    read: Callable[[Any], Interval | None] = lambda found: found
    beside: Callable[[Any], Mapping[str, Any]] = lambda found: {}

    @property
    def column(self) -> str:
        """The column of history.csv with this score."""
        return f"val_{self.name}"

    @property
    def sign(self) -> int:
        """1 if more is better, -1 if less is better."""
        return 1 if self.better == "max" else -1

    @property
    def points(self) -> bool:
        """Whether differences are given in points."""
        return self.unit == "share"

    @property
    def largest_difference(self) -> float:
        """Largest possible difference of two values."""
        least, most = self.bounds
        return math.inf if most is None else most - least

    def show(self, value: float) -> str:
        """Returns a value as text."""
        return f"{value:.2%}" if self.unit == "share" else f"{value:.4f}"

    def show_amount(self, value: float) -> str:
        """Returns a difference or a spread as text."""
        return f"{value * 100:.1f} points" if self.points else f"{value:.4f}"

    def show_interval(self, found: Mapping[str, Any], width: int = 0) -> str:
        """Returns an entry of metrics.json as text: the value in `width` columns, then its interval."""
        return f"{self.show(found['value']):>{width}}  [{self.show(found['low'])}, {self.show(found['high'])}]"

    def sample(self, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Returns the data of `resampled` for each image, [n]: its value, or its predicted class."""
        return self.each(probabilities, labels) if self.each else probabilities.argmax(axis=1)

    def resampled(self, labels: np.ndarray, sample: np.ndarray, classes: int) -> np.ndarray:
        """Returns the score of several draws of images, [rounds], from their labels and `sample`, [rounds, n] each."""
        from kerascnn.statistics import class_counts

        if self.each:
            return sample.mean(axis=1)
        assert self.of_counts is not None
        return class_counts.from_counts(self.of_counts, labels, sample, classes)

    def sampler(self, found: Scored) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function from draws of images, int [rounds, k], to the score of each draw, [rounds]."""
        labels, classes = found.labels, found.probabilities.shape[1]
        if self.drawn:
            return self.drawn(found.probabilities, labels)
        sample = self.sample(found.probabilities, labels)
        return lambda index: self.resampled(labels[index], sample[index], classes)

    def measured(self, probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Any:
        """What `read` takes the interval from."""
        from kerascnn.statistics import class_counts

        if self.measure:
            return self.measure(probabilities, labels, groups)
        assert self.of_counts is not None
        predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
        return class_counts.interval(self.of_counts, labels, predicted, classes, groups)


def _ratio(part: Any, whole: Any, arrays: Any) -> Any:
    """Returns the quotient, or 0 for a divisor of 0."""
    return part / arrays.where(whole > 0, whole, 1.0)


def _number(condition: Any, arrays: Any) -> Any:
    """Returns the number of classes that meet a condition."""
    return arrays.sum(arrays.where(condition, 1.0, 0.0), axis=-1)


def _accuracy_of(images: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    return _ratio(arrays.sum(right, axis=-1), arrays.sum(images, axis=-1), arrays)


def _macro_f1_of(images: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    """Mean F1 over the classes that occur or are predicted, as scikit-learn's `f1_score(average="macro")`."""
    f1 = _ratio(2 * right, images + predicted, arrays)
    return _ratio(arrays.sum(f1, axis=-1), _number(images + predicted > 0, arrays), arrays)


def _balanced_accuracy_of(images: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    """Mean recall over the classes that occur, as scikit-learn's `balanced_accuracy_score`."""
    recall = _ratio(right, images, arrays)
    return _ratio(arrays.sum(recall, axis=-1), _number(images > 0, arrays), arrays)


def _cohen_kappa_of(images: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    """Agreement beyond that of chance (Cohen, 1960), as scikit-learn's `cohen_kappa_score`; 0 where chance alone agrees."""
    total = arrays.sum(images, axis=-1, keepdims=True)
    chance = arrays.sum(_ratio(images, total, arrays) * _ratio(predicted, total, arrays), axis=-1)
    return _ratio(_accuracy_of(images, predicted, right, arrays) - chance, 1 - chance, arrays)


_ROWS = (
    Score(
        name="accuracy",
        title="accuracy",
        unit="share",
        better="max",
        places=frozenset({"run", "brief", "compare", "columns"}),
        epoch="counts",
        trained=True,
        each=measures.right,
        of_counts=_accuracy_of,
        measure=measures.accuracy,
    ),
    Score(
        name="top5",
        title="top-5 accuracy",
        unit="share",
        better="max",
        places=frozenset({"run", "compare"}),
        classes=measures.TOP + 1,
        each=measures.among_top,
        measure=measures.top5,
    ),
    Score(
        name="macro_f1",
        title="macro F1",
        unit="share",
        better="max",
        places=frozenset({"run", "brief", "compare", "columns"}),
        epoch="counts",
        of_counts=_macro_f1_of,
        measure=measures.macro_f1,
    ),
    Score(
        name="balanced_accuracy",
        title="balanced accuracy",
        unit="share",
        better="max",
        places=frozenset({"run", "compare", "columns"}),
        epoch="counts",
        of_counts=_balanced_accuracy_of,
        measure=measures.balanced_accuracy,
    ),
    Score(
        name="cohen_kappa",
        title="Cohen's kappa",
        unit="share",
        better="max",
        places=frozenset({"run", "compare", "columns"}),
        epoch="counts",
        about="share of the agreement beyond chance",
        bounds=(-1.0, 1.0),
        of_counts=_cohen_kappa_of,
    ),
    Score(
        name="loss",
        title="log loss",
        unit="number",
        better="min",
        places=frozenset({"run", "compare", "columns", "calibrated"}),
        epoch="loss",
        trained=True,
        bounds=(0.0, None),
        each=measures.loss_of_each,
        measure=measures.loss,
    ),
    Score(
        name="brier",
        title="Brier score",
        unit="number",
        better="min",
        places=frozenset({"calibrated"}),
        bounds=(0.0, 2.0),
        measure=measures.brier,
    ),
    Score(
        name="ece",
        title="ECE (equal mass)",
        unit="share",
        better="min",
        places=frozenset({"calibrated"}),
        about="expected calibration error",
        measure=measures.ece,
        read=lambda found: found.interval,
        beside=measures.chance_of_ece,
    ),
    Score(
        name="average_precision",
        title="average precision",
        unit="share",
        better="max",
        places=frozenset(),
        about="mean over classes",
        measure=measures.ranking,
        read=lambda found: found and found.average_precision,
    ),
    Score(
        name="auroc",
        title="area under ROC",
        unit="share",
        better="max",
        places=frozenset(),
        about="mean over classes",
        measure=measures.ranking,
        read=lambda found: found and found.auroc,
    ),
    Score(
        name="aurc",
        title="area under risk-coverage",
        unit="share",
        better="min",
        places=frozenset({"run", "compare"}),
        about="mean error of the most certain predictions, over all shares of the images",
        drawn=measures.drawn_aurc,
        measure=measures.aurc,
    ),
)
SCORES = {row.name: row for row in _ROWS}
# The main score of a run.
HEADLINE = SCORES["accuracy"]


def shown_in(place: Place) -> tuple[Score, ...]:
    """Returns the scores that appear in a place."""
    return tuple(row for row in _ROWS if place in row.places)


def counted() -> tuple[Score, ...]:
    """Returns the scores that follow from counts by class after each epoch."""
    return tuple(row for row in _ROWS if row.epoch == "counts")


def measured(
    rows: Iterable[Score], probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None
) -> dict[str, Any]:
    """Returns the entries of metrics.json: {"value", "low", "high", "n"} by name, None where a score says nothing.

    Args:
        rows: The scores; those that need more classes are left out.
        probabilities: [n, C].
        labels: True classes, [n].
        groups: The group of each image, int [n], of images that are not independent; None where all are.
    """
    results: dict[Any, Any] = {}
    entries: dict[str, Any] = {}
    for row in rows:
        if probabilities.shape[1] < row.classes:
            continue
        source = row.measure or row.name
        if source not in results:
            results[source] = row.measured(probabilities, labels, groups)
        found = row.read(results[source])
        entries |= {row.name: None if found is None else found._asdict(), **row.beside(results[source])}
    return entries
