"""A network in training whose loss has more than the labels: a teacher's answers, agreement between views of an image."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerascnn.config import Config
from kerascnn.data import views
from kerascnn.models import AuxiliaryOutput
from kerascnn.models.auxiliary import WithAuxiliaryHeads
from kerascnn.models.ensemble import features_of
from kerascnn.training.distillation import ConsistencyLoss, DistillationLoss
from kerascnn.training.finetune import HINT
from kerascnn.training.teachers import Teacher


class Guided(WithAuxiliaryHeads):
    """A network, possibly with auxiliary heads, that learns from a teacher, from several views of each image, or both.

    `network` alone is scored, saved and exported. Validation has the loss of the labels only.

    Args:
        network: The single-output network.
        heads: Its auxiliary heads, or none.
        config: The run's config: weights and kinds of the parts of the loss.
        several: Whether images have several labels.
        teacher: The teacher, or None.
    """

    def __init__(
        self,
        network: keras.Model,
        heads: Mapping[str, AuxiliaryOutput],
        config: Config,
        several: bool,
        teacher: Teacher | None,
    ) -> None:
        hint = []
        if teacher is not None and teacher.kind == "feature":
            to_teacher = keras.layers.Dense(teacher.width, dtype="float32", name=HINT)
            hint = [to_teacher(features_of(network))]
        super().__init__(network, heads, hint)
        section = config.optim
        self.teacher, self.share, self.jsd = teacher, section.distill_weight, config.augment.augmix_jsd
        if teacher is not None:
            self.distillation = DistillationLoss(section.distill, section.distill_temperature, several)
            self.distill_loss = keras.metrics.Mean(name="distill_loss")
        if self.jsd:
            self.consistency = ConsistencyLoss(several)
            self.jsd_loss = keras.metrics.Mean(name="jsd_loss")

    def train_step_of(self, plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Returns a training step that asks the teacher and lines up the views, and then does `plain`.

        Targets may come with what the teacher is asked about or has answered: images [batch, height, width, 3] or answers
        [batch, width].
        """

        def step(data: Any) -> Any:
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            if self.teacher is not None:
                y, shown = y if isinstance(y, tuple) else (y, x)
                known = shown.shape.rank == 2
                y = (y, shown if known else tf.stop_gradient(self.teacher(views.first(shown))))
            return plain((views.joined(x), y, sample_weight))

        return step

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        y_pred = _listed(y_pred)
        if not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        y, answers = y if isinstance(y, tuple) else (y, None)
        rows = ops.shape(y)[0]
        own = [output[:rows] for output in y_pred]
        loss = super().compute_loss(x, y, own[: 1 + len(self.head_weights)], sample_weight, training)
        if answers is not None:
            part = self.distillation(answers, own[-1 if self.distillation.kind == "feature" else 0], sample_weight)
            self.note(self.distill_loss, part)
            loss = (1 - self.share) * loss + self.share * part
        if self.jsd:
            others = ops.reshape(y_pred[0][rows:], (views.VIEWS - 1, rows, y_pred[0].shape[-1]))
            part = self.consistency(ops.transpose(others, (1, 0, 2)), own[0], sample_weight)
            self.note(self.jsd_loss, part)
            loss += self.jsd * part
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y = y[0] if isinstance(y, tuple) else y
        return super().compute_metrics(x, y, [_listed(y_pred)[0][: ops.shape(y)[0]]], sample_weight)


def _listed(outputs: Any) -> list[Any]:
    """Returns the outputs of a model, of which Keras gives the only one without a list."""
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def form_of(
    config: Config, several: bool, teacher: Teacher | None
) -> Callable[[keras.Model, Mapping[str, AuxiliaryOutput]], Guided] | None:
    """Returns the function from a network and its heads to `Guided`, or None where the loss is that of the labels."""
    if teacher is None and not config.augment.augmix_jsd:
        return None
    return lambda network, heads: Guided(network, heads, config, several, teacher)
