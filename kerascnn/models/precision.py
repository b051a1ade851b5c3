"""Copies a trained model to full precision."""

import keras


def float32_twin(model: keras.Model) -> keras.Model:
    """Returns a copy of `model` that computes in float32 on one device, with the same weights.

    The model may be built in a strategy: the weights are read to the host, and the copy belongs to no strategy if it is made
    outside the strategy's scope. The model is not changed; the copy is not compiled.
    """

    def in_float32(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    clone = keras.models.clone_model(model, clone_function=in_float32)
    # Keras compiles the clone of a compiled model: its file would be three times as large, and need the optimizer's class.
    twin = keras.Model(clone.input, clone.output, name=model.name)
    twin.dtype_policy = "float32"
    twin.set_weights(model.get_weights())
    return twin
