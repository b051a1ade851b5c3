"""A network of your own, for `--arch examples/own_network.py:build`.

    kerascnn fit --arch examples/own_network.py:build
    kerascnn compare --archs resnet examples/own_network.py:build inception

The file is copied into each run, and its content is part of the run's identity. It may import installed packages only.
"""

import keras
from keras import layers


class Gate(layers.Layer):
    """Multiplies each channel by a number in 0..1 that depends on the whole image (Hu et al., 2018)."""

    def build(self, input_shape):
        self.dense = layers.Dense(input_shape[-1], activation="sigmoid", dtype=self.dtype_policy, name="dense")
        self.dense.build((None, input_shape[-1]))

    def call(self, x):
        return x * self.dense(keras.ops.mean(x, axis=(1, 2)))[:, None, None, :]


def build(input_shape, num_classes, width=1.0, dropout=0.0):
    """Returns the network: pixels from 0 to 255 in, logits out. `--width` and `--dropout` set the other two arguments."""
    images = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1)(images)
    for filters in (32, 64, 128):
        x = layers.SeparableConv2D(round(filters * width), 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = Gate()(layers.ReLU()(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, layers.Dense(num_classes)(x))
