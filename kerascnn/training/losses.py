"""The training loss of a task, from logits."""

import keras
from keras import ops

from kerascnn.scoring.task import Task


@keras.saving.register_keras_serializable(package="kerascnn")
class LabelCrossentropy(keras.losses.Loss):
    """Binary cross-entropy of several labels per image, from logits: the mean over images and classes.

    Call arguments: targets and logits [batch, classes], weights of images [batch] or of labels [batch, classes].
    """

    def __init__(self, name: str = "label_crossentropy", **options):
        super().__init__(name=name, **options)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.expand_dims(sample_weight, -1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        """Returns the loss of each label, [batch, classes]."""
        return ops.binary_crossentropy(y_true, y_pred, from_logits=True)


def of_task(task: Task) -> keras.losses.Loss:
    """Returns the loss of targets that the pipeline has smoothed and mixed: it is plain, so that val_loss is not smoothed."""
    return LabelCrossentropy() if task.several else keras.losses.CategoricalCrossentropy(from_logits=True)
