"""Signs of a failing training with a finite loss: val loss explodes, or only one class is predicted."""

import math
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from kerascnn.data import Splits, labels
from kerascnn.scoring import metrics
from kerascnn.scoring.split_scores import exploded
from kerascnn.scoring.task import SINGLE, Task
from kerascnn.training.callbacks import Row


def one_class(row: Mapping[str, float], images: np.ndarray) -> int | None:
    """Returns the only class that an epoch predicts according to its val scores, or None.

    The accuracy, balanced accuracy and macro F1 of such a network are known; another network matches all three only by a rare
    coincidence.

    Args:
        row: A row of history.csv.
        images: Number of val images of each class, [C].
    """
    known = {score.column: score.of_counts for score in metrics.counted() if score.of_counts and score.column in row}
    occurring = np.flatnonzero(images)
    if len(occurring) < 2 or len(known) < 3:
        return None
    for c in occurring:
        only = np.arange(len(images)) == c
        counts = images, only * images.sum(), only * images
        if all(abs(row[column] - of_counts(*counts, np)) < 1e-5 for column, of_counts in known.items()):
            return int(c)
    return None


def of_epoch(
    row: Row, images: np.ndarray, class_names: Sequence[str], lr: float, task: Task = SINGLE
) -> dict[str, str]:
    """Returns the problems after an epoch: one line by kind.

    Args:
        row: The epoch's row of history.csv.
        images: Number of val images of each class, [C].
        class_names: C names.
        lr: The peak learning rate.
        task: What the labels ask; the predictions of several labels have no class of their own.
    """
    found = {}
    epoch, classes = int(row["epoch"]), 2 if task.several else len(class_names)
    if "val_loss" in row and exploded(row["val_loss"], classes, task):
        equal = "probabilities of one half" if task.several else "equal probabilities for all classes"
        found["exploded"] = (
            f"note: val loss explodes: {row['val_loss']:,.4g} after epoch {epoch}, where {equal}"
            f" give {math.log(classes):.2f}; if it stays so, give a lower --lr (it is {lr:.3g}), a longer --warmup"
            " or a larger --batch-size"
        )
    if not task.several and (only := one_class(row, images)) is not None:
        found["one class"] = (
            f"note: after epoch {epoch} every val image is predicted as {class_names[only]}: if it stays so, give more"
            f" --epochs or another --lr (it is {lr:.3g})"
        )
    return found


class Symptoms(keras.callbacks.Callback):
    """Reports each kind of problem after an epoch once; it follows History.

    Args:
        rows: One row per epoch.
        images: Number of val images of each class, [C].
        class_names: C names.
        lr: The peak learning rate.
        said: Kinds that were reported before; extended in place.
        say: Takes a line.
        task: What the labels ask.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        images: np.ndarray,
        class_names: Sequence[str],
        lr: float,
        said: set[str],
        say: Callable[[str], None],
        task: Task = SINGLE,
    ) -> None:
        super().__init__()
        self.rows, self.images, self.class_names, self.task = rows, images, class_names, task
        self.lr, self.said, self.say = lr, said, say

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        found = of_epoch(self.rows[-1], self.images, self.class_names, self.lr, self.task)
        for kind, line in found.items():
            if kind not in self.said:
                self.say(line)
        self.said |= found.keys()


def watch(rows: list[Row], splits: Splits, lr: float, noticed: set[str], say: Callable[[str], None]) -> Symptoms:
    """Returns the callback that reports the symptoms of a training on `splits`; see `Symptoms`."""
    images = labels.counts(splits.val.labels, len(splits.class_names))
    return Symptoms(rows, images, splits.class_names, lr, noticed, say, splits.task)
