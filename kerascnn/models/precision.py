"""Copies a trained model to full precision."""

from typing import Any

import keras


def float32_twin(model: keras.Model) -> keras.Model:
    """Returns a copy of `model` that computes in float32 on one device, with the same weights.

    The model may be built in a strategy: the weights are read to the host, and the copy belongs to no strategy if it is made
    outside the strategy's scope. The model is not changed; the copy is not compiled.
    """
    clone = keras.models.clone_model(model, clone_function=_in_float32)
    # Keras compiles the clone of a compiled model: its file would be three times as large, and need the optimizer's class.
    twin = keras.Model(clone.input, clone.output, name=model.name)
    twin.dtype_policy = "float32"
    twin.set_weights(model.get_weights())
    return twin


def _in_float32(layer: Any) -> Any:
    """Returns a fresh copy of a layer; models inside a network are copied layer by layer."""
    if not isinstance(layer, keras.layers.Layer):  # an operation, which has no dtype of its own
        return layer
    if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
        return keras.models.clone_model(layer, clone_function=_in_float32)
    return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})
