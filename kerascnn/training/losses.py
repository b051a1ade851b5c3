"""Training losses from logits, by name and task: `--loss`.

Targets are what the pipeline made of the labels, smoothed and mixed, float [batch, classes]. Those of val and test are plain, so
that val_loss is not smoothed. Probabilities do not depend on the loss: with one label per image they are the softmax of the
logits, whose largest is that of the sigmoids too.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from kerascnn.config import Optim
from kerascnn.errors import UserError
from kerascnn.scoring.task import Task

# Targets and logits [batch, classes] -> the loss of each class of each image, [batch, classes].
Function = Callable[[Any, Any, Optim], Any]
TINY = 1e-8  # probabilities are at least this before a logarithm


def _bce(y, logits, section: Optim):
    """Binary cross-entropy of each class (Wightman et al., 2021, ResNet strikes back)."""
    if section.bce_threshold is not None:
        y = ops.cast(y > section.bce_threshold, logits.dtype)
    return ops.binary_crossentropy(y, logits, from_logits=True)


def _focal(y, logits, section: Optim):
    """Binary cross-entropy that counts less where the network is right and sure (Lin et al., 2017, equation 5)."""
    p, gamma, alpha = ops.sigmoid(logits), section.focal_gamma, section.focal_alpha
    positive = y * alpha * (1 - p) ** gamma * ops.log_sigmoid(logits)
    negative = (1 - y) * (1 - alpha) * p**gamma * ops.log_sigmoid(-logits)
    return -(positive + negative)


def _asymmetric_several(y, logits, section: Optim):
    """Binary cross-entropy with focusing of its own for absent labels, of which sure ones do not count (Ridnik et al., 2021)."""
    present = ops.sigmoid(logits)
    absent = ops.minimum(1 - present + section.asymmetric_clip, 1.0)
    loss = y * ops.log(ops.maximum(present, TINY)) + (1 - y) * ops.log(ops.maximum(absent, TINY))
    return -loss * _focus(y, present * y + absent * (1 - y), section)


def _asymmetric_one(y, logits, section: Optim):
    """The same of one label per image: cross-entropy of the softmax with a weight for each class; nothing is clipped."""
    log_p = ops.log_softmax(logits)
    p = ops.exp(log_p)
    return -y * log_p * _focus(y, p * y + (1 - p) * (1 - y), section)


def _focus(y, right, section: Optim):
    """Returns (1 - `right`) to a power that differs between present and absent labels."""
    negative, positive = section.asymmetric_gamma
    # Not 0, where the gradient of a power below 1 is infinite.
    return ops.maximum(1 - right, TINY) ** (positive * y + negative * (1 - y))


class LossRow(NamedTuple):
    """A loss: its functions for one label per image and for several; None where it has none, or Keras' own is used."""

    one: Function | None
    several: Function | None


LOSSES: dict[str, LossRow] = {
    "softmax": LossRow(None, None),
    "bce": LossRow(_bce, _bce),
    "focal": LossRow(_focal, _focal),
    "asymmetric": LossRow(_asymmetric_one, _asymmetric_several),
}


@keras.saving.register_keras_serializable(package="kerascnn")
class LabelLoss(keras.losses.Loss):
    """A loss of each class of each image: the mean over images, and the mean or the sum over classes.

    Only binary cross-entropy is a mean over classes, as timm's is, unless `bce_sum` is set.

    Args:
        section: The config's optim section, or its values by name.
        loss: A key of LOSSES but for softmax.
        several: Whether images have several labels.

    Call arguments: targets and logits [batch, classes], weights of images [batch] or of labels [batch, classes].
    """

    def __init__(self, section: Optim | dict[str, Any], loss: str, several: bool, name: str = "label_loss", **options):
        super().__init__(name=name, **options)
        self.section = section if isinstance(section, Optim) else Optim(**section)
        self.loss, self.several = loss, several
        function = LOSSES[loss].several if several else LOSSES[loss].one
        assert function is not None
        self.function = function

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and len(sample_weight.shape) == 1:
            sample_weight = ops.expand_dims(sample_weight, -1)
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        """Returns the loss of each label, [batch, classes], of which Keras takes the mean."""
        values = self.function(y_true, y_pred, self.section)
        summed = self.loss != "bce" or self.section.bce_sum
        return values * y_pred.shape[-1] if summed else values

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "section": self.section.model_dump(mode="json"),
            "loss": self.loss,
            "several": self.several,
        }


def default(task: Task) -> str:
    """Returns the loss of a task by `auto`."""
    return "bce" if task.several else "softmax"


def resolve(section: Optim, task: Task) -> str:
    """Returns the value of `--loss` in a resolved config: `auto` also for the task's default by name, which is the same run.

    Raises:
        UserError: The task has no such loss, or an option is for another one.
    """
    name = default(task) if section.loss == "auto" else section.loss
    if task.several and LOSSES[name].several is None:
        raise UserError(
            f"--loss {name}: one class per image; images with several labels have bce, focal and asymmetric"
        )
    for flag, given, needed in (
        ("--bce-threshold", section.bce_threshold is not None, "bce"),
        ("--bce-sum", section.bce_sum, "bce"),
    ):
        if given and name != needed:
            raise UserError(f"{flag} is for --loss {needed}, and this run has {name}")
    return "auto" if name == default(task) else name


def build(section: Optim, task: Task) -> keras.losses.Loss:
    """Returns the loss of a resolved section."""
    name = default(task) if section.loss == "auto" else section.loss
    if name == "softmax":
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    return LabelLoss(section, name, task.several)
