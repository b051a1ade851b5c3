"""The predictions of a network for the images of a split: one row per image that could be decoded."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kerascnn.runs import Run


@dataclass(frozen=True)
class Predictions:
    """Predictions for a split, in the split's order.

    Args:
        ids: Path or name of each image, [n].
        indices: Position of each image in the split, int64 [n]; None where a file of an earlier version lacks them.
        labels: True classes, int64 [n].
        probabilities: float32 [n, C]; each row sums to 1.
    """

    ids: np.ndarray
    indices: np.ndarray | None
    labels: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def of_logits(cls, ids: np.ndarray, indices: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> "Predictions":
        """Returns the predictions of logits [n, C]; the softmax is computed in float64."""
        return cls(ids, indices, labels, softmax(logits.astype("float64"), axis=1).astype("float32"))

    @classmethod
    def load(cls, run: Run, split: str) -> "Predictions":
        """Returns the predictions of a split that a run has written.

        Raises:
            FileNotFoundError: There are none.
        """
        kept = run.read_predictions(split)
        return cls(kept["ids"], kept.get("indices"), kept["labels"].astype(np.int64), kept["probabilities"])

    def save(self, run: Run, split: str) -> None:
        """Writes predictions/<split>.npz of a run."""
        indices = {} if self.indices is None else {"indices": self.indices}
        run.write_predictions(split, ids=self.ids, **indices, labels=self.labels, probabilities=self.probabilities)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each image, int64 [n]; the first one of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each image is predicted as its true class, bool [n]."""
        return self.predicted == self.labels

    def confusion(self) -> np.ndarray:
        """Returns the number of images by true class (rows) and predicted class (columns), int64 [C, C]."""
        classes = self.probabilities.shape[1]
        cells = self.labels * classes + self.predicted
        return np.bincount(cells, minlength=classes**2).reshape(classes, classes)

    def worst(self, count: int) -> np.ndarray:
        """Returns rows of the worst mistakes, int64 [count or fewer], with the lowest probability of the true class first."""
        wrong = np.flatnonzero(~self.correct)
        return wrong[np.argsort(self.probabilities[wrong, self.labels[wrong]], kind="stable")][:count]
