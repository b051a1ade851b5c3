"""Keras metrics for `compile(weighted_metrics=)`, on one-hot or several labels and logits [batch, classes].

All are weighted sums over images, divided once at the end: they are exact for any batch size, number of replicas and padding
rows of weight 0. Their state is three vectors, not a confusion matrix: at 1,000 classes C x C floats per metric would be as
large as the head of a network.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kerascnn.scoring import metrics
from kerascnn.scoring.task import MULTI, SINGLE, LabelScore, Task

# Logits beyond these share the last bins of `BinnedScore`; bins per class, and of all classes together.
FARTHEST = 16.0
MOST_BINS, LEAST_BINS, ALL_BINS = 2048, 128, 2**18


@keras.saving.register_keras_serializable(package="kerascnn")
class CountedScore(keras.metrics.Metric):
    """A score that follows from weighted counts per class: images, predictions and right predictions.

    A soft label (mixup, cutmix) counts as its largest class, as in Keras' CategoricalAccuracy. A tie goes to the first class.
    No step waits for the host: counting and dividing are tensor operations.

    Args:
        num_classes: Number of classes, C.
        score: Name of a row in `scoring.metrics` that has `of_counts`.
        counted_by: A metric that is updated with the same batches and whose counts this one reads, so that each batch is
            counted once; None: it counts by itself.
    """

    def __init__(
        self,
        num_classes: int,
        score: str,
        counted_by: "CountedScore | None" = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name or score, dtype=dtype)
        self.num_classes, self.score = num_classes, score
        if counted_by is None:
            # float32 even under a mixed policy: bfloat16 cannot count beyond 256.
            self.counts = self.add_variable((3, num_classes), "zeros", dtype="float32", name="counts")
        self.counts_of: Callable[[], Any] = self._own if counted_by is None else counted_by.counts_of

    def _own(self):
        return self.counts

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch: `y_true` and `y_pred` [batch, C], `sample_weight` [batch] or None (all are 1)."""
        if not self.variables:
            return
        true = ops.one_hot(ops.argmax(y_true, axis=-1), self.num_classes, dtype="float32")
        predicted = ops.one_hot(ops.argmax(y_pred, axis=-1), self.num_classes, dtype="float32")
        rows = ops.stack([true, predicted, true * predicted], axis=0)
        if sample_weight is not None:
            rows = rows * ops.reshape(ops.cast(sample_weight, "float32"), (1, -1, 1))
        self.counts.assign(self.counts + ops.sum(rows, axis=1))

    def result(self):
        of_counts = metrics.SCORES[self.score].of_counts
        assert of_counts is not None
        images, predicted, right = ops.unstack(ops.convert_to_tensor(self.counts_of()), 3)
        return of_counts(images, predicted, right, ops)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "score": self.score}


@keras.saving.register_keras_serializable(package="kerascnn")
class BinnedScore(keras.metrics.Metric):
    """A score of several labels per image that follows from weighted counts of positives and negatives by class and logit.

    Logits from -FARTHEST to FARTHEST fall into bins of equal width; those in one bin count as equal. The counts are sums, so
    that the score does not depend on batches, replicas or the order of images. Mixed and smoothed labels count as positive
    above one half. The final scores of a run are computed from the probabilities themselves.

    Args:
        num_classes: Number of classes, C.
        score: Name of a row in `scoring.label_metrics` that has `of_bins`.
        binned_by: A metric that is updated with the same batches and whose counts this one reads; None: it counts by itself.
    """

    def __init__(
        self,
        num_classes: int,
        score: str,
        binned_by: "BinnedScore | None" = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name or score, dtype=dtype)
        self.num_classes, self.score = num_classes, score
        self.bins = max(LEAST_BINS, min(MOST_BINS, ALL_BINS // num_classes))
        if binned_by is None:
            # float32 even under a mixed policy: bfloat16 cannot count beyond 256.
            self.counts = self.add_variable((2, num_classes, self.bins), "zeros", dtype="float32", name="counts")
        self.counts_of: Callable[[], Any] = self._own if binned_by is None else binned_by.counts_of

    def _own(self):
        return self.counts

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch: `y_true` and `y_pred` [batch, C], `sample_weight` [batch], [batch, C] or None (all are 1).

        Weights of labels only say which images count: training weighs positives, the score does not.
        """
        if not self.variables:
            return
        share = (ops.cast(y_pred, "float32") / FARTHEST + 1) / 2
        bins = ops.cast(ops.clip(ops.floor(share * self.bins), 0, self.bins - 1), "int32")
        positive = ops.cast(y_true > 0.5, "int32")
        rows = (1 - positive) * self.num_classes + ops.arange(self.num_classes, dtype="int32")[None]
        cells = ops.reshape(rows * self.bins + bins, (-1,))
        weight = ops.ones_like(share)
        if sample_weight is not None:
            given = ops.cast(sample_weight, "float32")
            given = given[:, None] if len(given.shape) == 1 else ops.cast(given > 0, "float32")
            weight = weight * given
        added = ops.segment_sum(ops.reshape(weight, (-1,)), cells, num_segments=2 * self.num_classes * self.bins)
        self.counts.assign(self.counts + ops.reshape(added, self.counts.shape))

    def result(self):
        row = MULTI.scores[self.score]
        assert isinstance(row, LabelScore)
        assert row.of_bins is not None
        positives, negatives = ops.unstack(ops.convert_to_tensor(self.counts_of()), 2)
        return row.of_bins(positives, negatives, ops)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "score": self.score}


def build(num_classes: int, task: Task = SINGLE) -> list[keras.metrics.Metric]:
    """Returns the metrics of every run for `weighted_metrics`: the scores that follow from counts. The loss is Keras' own."""
    first, *rest = task.counted()
    if task.several:
        bins = BinnedScore(num_classes, first.name)
        return [bins, *(BinnedScore(num_classes, row.name, bins) for row in rest)]
    counts = CountedScore(num_classes, first.name)
    return [counts, *(CountedScore(num_classes, row.name, counts) for row in rest)]
