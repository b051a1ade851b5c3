"""Keras metrics for `compile(weighted_metrics=)`, on one-hot labels and logits [batch, classes].

All are weighted sums over images, divided once at the end: exact for any batch size, any number of replicas and any
fill rows of weight 0. Their state is three vectors, not a confusion matrix: at 1,000 classes C x C floats per metric
would be as much as a network's whole head.
"""

from typing import Any, Literal

import keras
from keras import ops

# What val can choose by, and which way is better. `auto` is resolved before anything asks.
MONITORS: dict[str, Literal["max", "min"]] = {
    "val_accuracy": "max",
    "val_loss": "min",
    "val_macro_f1": "max",
    "val_balanced_accuracy": "max",
}


class ClassCounts(keras.metrics.Metric):
    """Weighted counts per class: images of the class, answers with the class, right answers.

    A soft label (mixup, cutmix) counts as its largest class, as in Keras' CategoricalAccuracy. A tie goes to the class
    that comes first. No step waits for the host: both counting and dividing are tensor operations.

    Args:
        num_classes: Number of classes, C.
    """

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        # float32 even under a mixed policy: bfloat16 stops counting at 256.
        self.counts = self.add_variable((3, num_classes), "zeros", dtype="float32", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds one batch: `y_true` and `y_pred` [batch, C], `sample_weight` [batch] or None (all weigh 1)."""
        true = ops.one_hot(ops.argmax(y_true, axis=-1), self.num_classes, dtype="float32")
        answered = ops.one_hot(ops.argmax(y_pred, axis=-1), self.num_classes, dtype="float32")
        rows = ops.stack([true, answered, true * answered], axis=0)
        if sample_weight is not None:
            rows = rows * ops.reshape(ops.cast(sample_weight, "float32"), (1, -1, 1))
        self.counts.assign(self.counts + ops.sum(rows, axis=1))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="kerascnn")
class MacroF1(ClassCounts):
    """Unweighted mean of the classes' F1 scores, in [0, 1].

    It is the mean over the classes that occur among labels or answers, as scikit-learn's `f1_score(average="macro")`: a
    class that is answered but does not occur counts with 0, one that neither occurs nor is answered does not count.

    Args:
        num_classes: Number of classes, C.
    """

    def __init__(self, num_classes: int, name: str | None = "macro_f1", dtype: Any = None):
        super().__init__(num_classes, name=name, dtype=dtype)

    def result(self):
        images, answers, right = ops.unstack(ops.convert_to_tensor(self.counts), 3)
        seen = ops.cast(images + answers > 0, "float32")
        f1 = ops.divide_no_nan(2 * right, images + answers)
        return ops.divide_no_nan(ops.sum(f1), ops.sum(seen))


@keras.saving.register_keras_serializable(package="kerascnn")
class BalancedAccuracy(ClassCounts):
    """Unweighted mean of the classes' recalls, in [0, 1].

    Classes without an image are left out, as in scikit-learn's `balanced_accuracy_score`.

    Args:
        num_classes: Number of classes, C.
    """

    def __init__(self, num_classes: int, name: str | None = "balanced_accuracy", dtype: Any = None):
        super().__init__(num_classes, name=name, dtype=dtype)

    def result(self):
        images, _, right = ops.unstack(ops.convert_to_tensor(self.counts), 3)
        seen = ops.cast(images > 0, "float32")
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(right, images)), ops.sum(seen))


def build(num_classes: int) -> list[keras.metrics.Metric]:
    """The metrics of every run, for `weighted_metrics`: accuracy, macro_f1, balanced_accuracy (the loss is Keras')."""
    return [keras.metrics.CategoricalAccuracy(name="accuracy"), MacroF1(num_classes), BalancedAccuracy(num_classes)]
