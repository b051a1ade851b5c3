"""Maps raw pixels to the inputs that a network was trained on."""

from typing import Any

import keras
from keras import ops

__all__ = ["Preprocess"]


@keras.saving.register_keras_serializable(package="kerascnn")
class Preprocess(keras.layers.Layer):
    """Pixels from 0 to 255 to (pixel - mean) / std, computed in float32, returned in the compute dtype.

    Args:
        mean: One number per channel, in pixel values.
        std: One number per channel, in pixel values.
        reverse: Whether the network takes blue, green, red (Caffe's weights); mean and std are in its order.

    Input: (batch, height, width, 3), integers or floats; output of the same shape.
    """

    def __init__(self, mean, std, *, reverse=False, **kwargs):
        # No autocast: bfloat16 would round resized pixels to 8 bits before any computation.
        super().__init__(autocast=False, **kwargs)
        self.mean, self.std, self.reverse = list(mean), list(std), reverse

    def call(self, images):
        x = ops.cast(images, "float32")
        x = x[..., ::-1] if self.reverse else x
        x = (x - ops.convert_to_tensor(self.mean, "float32")) / ops.convert_to_tensor(self.std, "float32")
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std, "reverse": self.reverse}
