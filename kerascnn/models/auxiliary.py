"""Training of a network with the auxiliary heads of its paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import keras

from kerascnn.architectures.rows import Inception
from kerascnn.layers import AuxiliaryHead

if TYPE_CHECKING:
    from kerascnn.models import AuxiliaryOutput

# Parts of a training loss that validation does not have, as they are called in logs.
PARTS = ("aux_loss", "distill_loss", "jsd_loss")


class WithAuxiliaryHeads(keras.Model):
    """A network with auxiliary heads on its stages, which only add to the training loss.

    Szegedy et al., 2015 (section 5) and 2016 (section 4). `network` is scored, saved and exported; `aux_loss` is the heads'
    share of the training loss.

    Args:
        network: The single-output network.
        heads: By name the head's logits in the network's graph, and its loss weight.
        further: Outputs that follow those of the heads; subclasses use them.
    """

    def __init__(
        self, network: keras.Model, heads: Mapping[str, AuxiliaryOutput], further: Sequence[keras.KerasTensor] = ()
    ) -> None:
        super().__init__(network.input, [network.output, *(head.logits for head in heads.values()), *further])
        self.network = network
        self.head_weights = [head.weight for head in heads.values()]
        if heads:
            self.aux_loss = keras.metrics.Mean(name="aux_loss")

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits, *auxiliary = y_pred
        loss = super().compute_loss(x, y, logits, sample_weight, training)
        if not training or not self.head_weights:
            return loss
        of_heads = [w * self.loss(y, head, sample_weight) for w, head in zip(self.head_weights, auxiliary, strict=True)]
        extra = keras.ops.sum(keras.ops.stack(of_heads))
        self.note(self.aux_loss, extra)
        return loss + extra

    def note(self, part: keras.metrics.Mean, value) -> None:
        """Counts a part of a batch's loss."""
        # Keras divides every loss by the number of replicas, whose gradients are summed.
        part.update_state(value * self.distribute_strategy.num_replicas_in_sync)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(x, y, y_pred[0], sample_weight)


def heads(row: Inception, num_classes: int) -> dict[str, AuxiliaryHead]:
    """Returns the unbuilt auxiliary heads of a row with concrete counts, by name."""
    return {
        f"aux{i}": AuxiliaryHead(
            num_classes,
            head.steps,
            head.grid,
            window=head.window,
            hidden=head.hidden,
            dropout=head.dropout,
            scale=row.scale,
            momentum=row.momentum,
            epsilon=row.epsilon,
            name=f"aux{i}",
        )
        for i, head in enumerate(row.auxiliary, 1)
    }
