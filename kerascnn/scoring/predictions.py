"""The predictions of a network for the images of a split: one row per image that could be decoded."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from kerascnn.runs import Run
from kerascnn.scoring import task as tasks
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import Task


@dataclass(frozen=True)
class Predictions:
    """Predictions for a split, in the split's order.

    Args:
        ids: Path or name of each image, [n].
        indices: Position of each image in the split, int64 [n]; None where a file of an earlier version lacks them.
        labels: True classes, int64 [n], or bool [n, C] where images have any number of labels.
        probabilities: float32 [n, C]; each row sums to 1, but for several labels.
        thresholds: Of several labels: the probabilities from which they are predicted; None for 0.5 each, or one label.
    """

    ids: np.ndarray
    indices: np.ndarray | None
    labels: np.ndarray
    probabilities: np.ndarray
    thresholds: Thresholds | None = None

    @classmethod
    def of_logits(cls, ids: np.ndarray, indices: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> "Predictions":
        """Returns the predictions of logits [n, C]; the softmax, or sigmoid, is computed in float64."""
        exact = logits.astype("float64")
        probabilities = expit(exact) if labels.ndim == 2 else softmax(exact, axis=1)
        return cls(ids, indices, labels, probabilities.astype("float32"))

    @classmethod
    def load(cls, run: Run, split: str) -> "Predictions":
        """Returns the predictions of a split that a run has written.

        Raises:
            FileNotFoundError: There are none.
        """
        kept = run.read_predictions(split)
        labels = kept["labels"] if kept["labels"].ndim == 2 else kept["labels"].astype(np.int64)
        thresholds = None
        if "thresholds" in kept:
            thresholds = Thresholds(tuple(kept["thresholds"][:-1].tolist()), float(kept["thresholds"][-1]))
        return cls(kept["ids"], kept.get("indices"), labels, kept["probabilities"], thresholds)

    def save(self, run: Run, split: str) -> None:
        """Writes predictions/<split>.npz of a run."""
        known = {} if self.indices is None else {"indices": self.indices}
        if self.thresholds is not None:
            known["thresholds"] = np.array([*self.thresholds.each, self.thresholds.one])
        run.write_predictions(split, ids=self.ids, **known, labels=self.labels, probabilities=self.probabilities)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return tasks.of_labels(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image, int64 [n], the first one of equals; or the predicted labels, bool [n, C]."""
        if self.task.several:
            return (self.thresholds or Thresholds.half(self.labels.shape[1])).decide(self.probabilities)
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each image is predicted as its true class, or all its labels are right, bool [n]."""
        right = self.predicted == self.labels
        return right.all(axis=1) if self.task.several else right

    def confusion(self) -> np.ndarray:
        """Returns the number of images by true (rows) and predicted class (columns), int64 [C, C]; not of several labels."""
        classes = self.probabilities.shape[1]
        cells = self.labels * classes + self.predicted
        return np.bincount(cells, minlength=classes**2).reshape(classes, classes)

    def worst(self, count: int) -> np.ndarray:
        """Returns rows of the worst mistakes, int64 [count or fewer], with the lowest probability of the true class first.

        With several labels those whose least probable true answer, a label or its absence, has the lowest probability.
        """
        wrong = np.flatnonzero(~self.correct)
        if self.task.several:
            truth = np.where(self.labels[wrong], self.probabilities[wrong], 1 - self.probabilities[wrong])
            return wrong[np.argsort(np.where(self._mistaken(wrong), truth, 1).min(axis=1), kind="stable")][:count]
        return wrong[np.argsort(self.probabilities[wrong, self.labels[wrong]], kind="stable")][:count]

    def _mistaken(self, rows: np.ndarray) -> np.ndarray:
        """Returns which labels of these images are decided wrongly, bool [rows, C]."""
        return self.predicted[rows] != self.labels[rows]
