"""Losses beside that of the labels: the distance to a teacher (`--distill`), and that between views (`--augmix-jsd`).

Both are means over images, and respect the weights of images as the labels' loss does. With one label per image probabilities are
a softmax; with several, each is a sigmoid, and divergences are means over the labels.
"""

from typing import Any

import keras
from keras import ops

from kerascnn.config.training import DistillName

TINY = 1e-7  # of a mixture of probabilities before its logarithm, as in AugMix' own code


def _weights_of_rows(sample_weight: Any, wide: bool) -> Any:
    """Returns weights [batch, 1] or, where classes have their own and values are of classes, [batch, classes]; or None."""
    if sample_weight is None:
        return None
    if len(sample_weight.shape) == 1:
        return ops.expand_dims(sample_weight, -1)
    return sample_weight if wide else ops.cast(ops.any(sample_weight > 0, axis=-1, keepdims=True), "float32")


@keras.saving.register_keras_serializable(package="kerascnn")
class DistillationLoss(keras.losses.Loss):
    """The distance of a network's answers from those of its teacher.

    soft: the Kullback-Leibler divergence of the probabilities at a temperature, times its square (Hinton et al., 2015, section
    2). hard: the cross-entropy of the teacher's decision (Touvron et al., 2021, DeiT, equation 3). feature: the mean squared
    distance of features, relative to the mean square of the teacher's (as the hints of Romero et al., 2015).

    Args:
        kind: soft, hard or feature.
        temperature: Divides the logits of both; only of soft.
        several: Whether images have several labels.

    Call arguments: the teacher's logits or features and the network's, float32 [batch, width]; weights of images [batch], or of
    labels [batch, classes].
    """

    def __init__(
        self, kind: DistillName, temperature: float, several: bool, name: str = "distillation_loss", **options: Any
    ) -> None:
        super().__init__(name=name, **options)
        self.kind, self.temperature, self.several = kind, temperature, several

    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(y_true, y_pred, _weights_of_rows(sample_weight, wide=self.kind != "feature"))

    def call(self, y_true, y_pred):
        """Returns values [batch, width], of which Keras takes the mean."""
        return {"soft": self._soft, "hard": self._hard, "feature": self._feature}[self.kind](y_true, y_pred)

    def _soft(self, teacher, student):
        t = self.temperature
        if self.several:
            q = ops.sigmoid(teacher / t)
            yes = q * (ops.log_sigmoid(teacher / t) - ops.log_sigmoid(student / t))
            no = (1 - q) * (ops.log_sigmoid(-teacher / t) - ops.log_sigmoid(-student / t))
            return (yes + no) * t**2
        q = ops.softmax(teacher / t)
        apart = q * (ops.log_softmax(teacher / t) - ops.log_softmax(student / t))
        return apart * t**2 * student.shape[-1]  # a sum over classes

    def _hard(self, teacher, student):
        if self.several:
            return ops.binary_crossentropy(ops.cast(teacher > 0, "float32"), student, from_logits=True)
        chosen = ops.one_hot(ops.argmax(teacher, axis=-1), student.shape[-1], dtype="float32")
        return -chosen * ops.log_softmax(student) * student.shape[-1]

    def _feature(self, teacher, student):
        size = ops.mean(ops.square(teacher), axis=-1, keepdims=True)
        return ops.square(student - teacher / ops.sqrt(size + TINY))

    def get_config(self) -> dict[str, Any]:
        mine = {"kind": self.kind, "temperature": self.temperature, "several": self.several}
        return {**super().get_config(), **mine}


@keras.saving.register_keras_serializable(package="kerascnn")
class ConsistencyLoss(keras.losses.Loss):
    """The Jensen-Shannon divergence of a network's answers for the views of an image (Hendrycks et al., 2020, section 3).

    Args:
        several: Whether images have several labels.

    Call arguments: logits of the other views, [batch, views, classes], and of the first one, [batch, classes]; weights of images
    [batch], or of labels [batch, classes].
    """

    def __init__(self, several: bool, name: str = "consistency_loss", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.several = several

    def __call__(self, y_true, y_pred, sample_weight=None):
        return super().__call__(y_true, y_pred, _weights_of_rows(sample_weight, wide=True))

    def call(self, y_true, y_pred):
        """Returns values [batch, classes], of which Keras takes the mean."""
        logits = ops.concatenate([ops.expand_dims(y_pred, 1), y_true], axis=1)
        if self.several:
            yes, no = (_divergence(ops.sigmoid(z), ops.log_sigmoid(z)) for z in (logits, -logits))
            return yes + no
        return _divergence(ops.softmax(logits), ops.log_softmax(logits)) * y_pred.shape[-1]  # a sum over classes

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "several": self.several}


def _divergence(p, log_p):
    """Returns the mean over views of each class's part of the divergence from the mean of all, [batch, classes]."""
    mixture = ops.log(ops.clip(ops.mean(p, axis=1, keepdims=True), TINY, 1.0))
    return ops.mean(p * (log_p - mixture), axis=1)
