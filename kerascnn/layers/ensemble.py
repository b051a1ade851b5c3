"""The end of an ensemble: from the logits of several networks to those of the mean of their probabilities."""

from math import log
from typing import Any

import keras
from keras import ops

__all__ = ["EnsembleLogits"]


@keras.saving.register_keras_serializable(package="kerascnn")
class EnsembleLogits(keras.layers.Layer):
    """Logits whose probabilities are the mean of those of several networks, computed in float32.

    For a softmax they are the logarithm of the mean; for sigmoids log(p / (1 - p)) of it. Probabilities that are 0 in float32
    keep their logits.

    Args:
        members: Number of networks.
        activation: softmax, or sigmoid for several labels per image.

    Input: (batch, members * classes), the logits of one network after the other; output: (batch, classes).
    """

    def __init__(self, members, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        if activation not in ("softmax", "sigmoid"):
            raise ValueError(f"activation must be softmax or sigmoid. Received: activation={activation!r}")
        self.members, self.activation = members, activation

    def build(self, input_shape):
        if input_shape[-1] % self.members:
            raise ValueError(f"{input_shape[-1]} logits are not those of {self.members} networks")

    def call(self, x):
        logits = ops.reshape(ops.cast(x, "float32"), (-1, self.members, x.shape[-1] // self.members))
        if self.activation == "sigmoid":
            return _log_sum(-ops.softplus(-logits)) - _log_sum(-ops.softplus(logits))
        return _log_sum(ops.log_softmax(logits, axis=-1)) - log(self.members)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // self.members)

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "members": self.members, "activation": self.activation}


def _log_sum(logs):
    """Returns log(sum(exp(logs))) over the networks, of operations that LiteRT and ONNX have."""
    most = ops.max(logs, axis=1, keepdims=True)
    return ops.log(ops.sum(ops.exp(logs - most), axis=1)) + most[:, 0]
