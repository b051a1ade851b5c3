"""The scores of several labels per image: one row each, as `scoring.metrics` has those of one label.

A decision is a probability at or above a threshold that val chose: one of each class (`each`), or one for all (`one`).
Importing this module loads neither numpy nor scipy nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from kerascnn.scoring.metrics import Place, Score

if TYPE_CHECKING:
    import numpy as np

    from kerascnn.statistics import Interval

Which = Literal["each", "one"]


class Thresholds(NamedTuple):
    """The probabilities from which labels are predicted.

    Attributes:
        each: One per class.
        one: One for all classes.
        chosen_on: The split that chose them, or None if there was none and all are 0.5.
    """

    each: tuple[float, ...]
    one: float
    chosen_on: str | None = None

    @classmethod
    def half(cls, classes: int) -> Thresholds:
        """Returns 0.5 for all classes."""
        return cls((0.5,) * classes, 0.5)

    @classmethod
    def chosen(cls, probabilities: np.ndarray, labels: np.ndarray, split: str) -> Thresholds:
        """Returns the thresholds with the highest F1 of these images: of each class, and micro F1 for all.

        Args:
            probabilities: [n, C].
            labels: bool [n, C].
            split: Name of their split.
        """
        from kerascnn.statistics import several_labels

        each, one = several_labels.best_thresholds(probabilities, labels)
        return cls(tuple(each), one, split)

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Thresholds:
        """Returns the thresholds of `kept`."""
        return cls(tuple(map(float, kept["each"])), float(kept["one"]), kept.get("chosen_on"))

    def kept(self) -> dict[str, Any]:
        """Returns the entry of metrics.json and of an artefact's metadata."""
        return {"each": list(self.each), "one": self.one, "chosen_on": self.chosen_on}

    def decide(self, probabilities: np.ndarray, which: Which = "each") -> np.ndarray:
        """Returns the predicted labels, bool [n, C], of probabilities [n, C]."""
        import numpy as np

        return probabilities >= np.asarray(self.each if which == "each" else self.one, "float64")


class LabelsScored(Protocol):
    """Predictions and labels of the images of a split, with the thresholds of decisions."""

    @property
    def probabilities(self) -> np.ndarray: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def thresholds(self) -> Thresholds | None: ...


@dataclass(frozen=True)
class LabelScore(Score):
    """A score of several labels per image; see `Score`.

    `each` takes (decisions or probabilities [n, C], labels bool [n, C]); `of_counts` takes numbers of positives, predicted
    and right labels of each class.

    Args:
        decided: The thresholds of its decisions; None for a score of probabilities.
        of_bins: (positives, negatives, arrays) -> value, of numbers of images by class and bin of rising probability,
            [C, bins], with numpy or `keras.ops` as `arrays`: how it is known after each epoch.
    """

    decided: Which | None = None
    of_bins: Callable[[Any, Any, Any], Any] | None = field(default=None, kw_only=True)

    def _seen(self, found: LabelsScored) -> np.ndarray:
        """Returns decisions, or probabilities for a score without decisions, [n, C]."""
        if self.decided is None:
            return found.probabilities
        thresholds = found.thresholds or Thresholds.half(found.labels.shape[1])
        return thresholds.decide(found.probabilities, self.decided)

    def sampler(self, found: LabelsScored) -> Callable[[np.ndarray], np.ndarray]:  # type: ignore[override]
        """See `Score.sampler`."""
        import numpy as np

        from kerascnn.statistics import several_labels

        seen = self._seen(found)
        if self.each is not None:
            values = self.each(seen, found.labels).astype("float64")
            return lambda index: values[index].mean(axis=1)
        if self.of_counts is None:
            return several_labels.drawn_average_precision(found.probabilities, found.labels)
        score, parts = self.of_counts, np.stack([found.labels, seen, found.labels & seen]).astype("float64")

        def draw(index: np.ndarray) -> np.ndarray:
            rounds, n = len(index), parts.shape[1]
            cells = (index + np.arange(rounds)[:, None] * n).ravel()
            times = np.bincount(cells, minlength=rounds * n).reshape(rounds, n)
            drawn = times @ parts  # [3, rounds, C]
            return score(drawn[0], drawn[1], drawn[2], np)

        return draw

    def measured_labels(self, found: LabelsScored, groups: np.ndarray | None) -> Any:
        """What `read` takes the interval from."""
        from kerascnn.statistics import several_labels

        seen = self._seen(found)
        if self.measure:
            return self.measure(seen, found.labels, groups)
        assert self.of_counts is not None
        return several_labels.of_counts(self.of_counts, found.labels, seen, groups)


def measured(rows: Iterable[Score], found: LabelsScored, groups: np.ndarray | None = None) -> dict[str, Any]:
    """Returns the entries of metrics.json, as `metrics.measured`; see there."""
    results: dict[Any, Any] = {}
    entries: dict[str, Any] = {}
    for row in rows:
        assert isinstance(row, LabelScore)
        source = (row.measure or row.name, row.decided)
        if source not in results:
            results[source] = row.measured_labels(found, groups)
        interval = row.read(results[source])
        entries[row.name] = None if interval is None else interval._asdict()
    return entries


def _share(part: Any, whole: Any, arrays: Any) -> Any:
    return part / arrays.where(whole > 0, whole, 1.0)


def _micro_f1_of(positives: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    """F1 of all labels together."""
    both = arrays.sum(positives, axis=-1) + arrays.sum(predicted, axis=-1)
    return _share(2 * arrays.sum(right, axis=-1), both, arrays)


def _macro_f1_of(positives: Any, predicted: Any, right: Any, arrays: Any) -> Any:
    """Mean F1 over the classes that occur or are predicted."""
    both = positives + predicted
    known = arrays.sum(arrays.where(both > 0, 1.0, 0.0), axis=-1)
    return _share(arrays.sum(_share(2 * right, both, arrays), axis=-1), known, arrays)


def _from_the_top(positives: Any, negatives: Any, arrays: Any) -> tuple[Any, Any]:
    """Returns the numbers of positives and of images in each bin and all higher ones, [C, bins], the highest bin first."""
    hits = arrays.cumsum(arrays.flip(positives, axis=-1), axis=-1)
    return hits, hits + arrays.cumsum(arrays.flip(negatives, axis=-1), axis=-1)


def _mean_average_precision_of(positives: Any, negatives: Any, arrays: Any) -> Any:
    hits, answered = _from_the_top(positives, negatives, arrays)
    total, others = arrays.sum(positives, axis=-1), arrays.sum(negatives, axis=-1)
    steps = arrays.flip(positives, axis=-1) * _share(hits, answered, arrays)
    each = _share(arrays.sum(steps, axis=-1), total, arrays)
    both = arrays.where((total > 0) & (others > 0), 1.0, 0.0)
    return _share(arrays.sum(each * both), arrays.sum(both), arrays)


def _best_micro_f1_of(positives: Any, negatives: Any, arrays: Any) -> Any:
    hits, answered = (arrays.sum(part, axis=0) for part in _from_the_top(positives, negatives, arrays))
    return arrays.max(_share(2 * hits, answered + arrays.sum(positives), arrays))


def _best_macro_f1_of(positives: Any, negatives: Any, arrays: Any) -> Any:
    hits, answered = _from_the_top(positives, negatives, arrays)
    total = arrays.sum(positives, axis=-1)
    best = arrays.max(_share(2 * hits, answered + total[:, None], arrays), axis=-1)
    there = arrays.where(total > 0, 1.0, 0.0)
    return _share(arrays.sum(best * there), arrays.sum(there), arrays)


def _all_right(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (predicted == labels).all(axis=1)


def _wrong_share(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (predicted != labels).mean(axis=1)


def _loss_of_each(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from kerascnn.statistics import several_labels

    return several_labels.losses(probabilities, labels)


def _exact(predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import proportion

    return proportion(_all_right(predicted, labels), groups)


def _hamming(predicted: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import mean_share

    return mean_share(_wrong_share(predicted, labels), groups)


def _loss(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import several_labels

    return several_labels.mean_loss(probabilities, labels, groups)


def _ranking(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Any:
    from kerascnn.statistics import several_labels

    return several_labels.ranking(probabilities, labels, groups)


_EVERYWHERE: frozenset[Place] = frozenset({"run", "compare", "columns"})
_ONE = "one threshold for all classes"
ROWS = (
    LabelScore(
        name="mean_average_precision",
        title="mAP",
        unit="share",
        better="max",
        places=_EVERYWHERE | {"brief"},
        epoch="counts",
        trained=True,
        about="mean average precision over classes",
        measure=_ranking,
        read=lambda found: found.average_precision,
        of_bins=_mean_average_precision_of,
    ),
    LabelScore(
        name="micro_f1",
        title="micro F1",
        unit="share",
        better="max",
        places=_EVERYWHERE | {"brief"},
        epoch="counts",
        of_counts=_micro_f1_of,
        decided="one",
        about=_ONE,
        of_bins=_best_micro_f1_of,
    ),
    LabelScore(
        name="macro_f1",
        title="macro F1",
        unit="share",
        better="max",
        places=_EVERYWHERE | {"brief"},
        epoch="counts",
        of_counts=_macro_f1_of,
        decided="each",
        about="a threshold for each class",
        of_bins=_best_macro_f1_of,
    ),
    LabelScore(
        name="micro_f1_each",
        title="micro F1, own thresholds",
        unit="share",
        better="max",
        places=frozenset({"run", "compare"}),
        of_counts=_micro_f1_of,
        decided="each",
        about="a threshold for each class",
    ),
    LabelScore(
        name="macro_f1_one",
        title="macro F1, one threshold",
        unit="share",
        better="max",
        places=frozenset({"run", "compare"}),
        of_counts=_macro_f1_of,
        decided="one",
        about=_ONE,
    ),
    LabelScore(
        name="exact_match",
        title="exact match",
        unit="share",
        better="max",
        places=_EVERYWHERE,
        each=_all_right,
        measure=_exact,
        decided="each",
        about="images with all labels right",
    ),
    LabelScore(
        name="hamming_loss",
        title="Hamming loss",
        unit="share",
        better="min",
        places=_EVERYWHERE,
        each=_wrong_share,
        measure=_hamming,
        decided="each",
        about="share of wrong labels",
    ),
    LabelScore(
        name="loss",
        title="log loss",
        unit="number",
        better="min",
        places=_EVERYWHERE,
        epoch="loss",
        trained=True,
        bounds=(0.0, None),
        each=_loss_of_each,
        measure=_loss,
        about="binary, mean over classes",
    ),
    LabelScore(
        name="auroc",
        title="area under ROC",
        unit="share",
        better="max",
        places=frozenset({"run"}),
        about="mean over classes",
        measure=_ranking,
        read=lambda found: found.auroc,
    ),
)
