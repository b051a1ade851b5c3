"""Parameters and multiply-adds, by hand."""

import keras
import pytest

from kerascnn import layers
from kerascnn.models import cost


def test_convolutions_matrix_products_and_called_functions():
    inputs = keras.Input((10, 10, 4))
    x = layers.Conv2D(8, 3, 2, "symmetric", groups=2)(inputs)  # 5 x 5 x 8 outputs of 9 x 2 products
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)  # 5 x 5 x 8 outputs of 9
    x = layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    expected = cost.Counts(
        params=9 * 2 * 8 + 8 + 9 * 8 + 4 * 8 + 8 * 3 + 3,
        trainable=9 * 2 * 8 + 8 + 9 * 8 + 2 * 8 + 8 * 3 + 3,
        macs=5 * 5 * 8 * 9 * 2 + 5 * 5 * 8 * 9 + 8 * 3,
        activations=2 * 5 * 5 * 8,
    )
    assert cost.count(model) == expected
    with layers.stock_paths():  # Keras wraps the grouped convolution in a function of its own
        assert cost.count(model) == expected


def test_image_size_where_the_model_has_none():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(2, 1, use_bias=False)(inputs))
    assert cost.count(model, 7).macs == 7 * 7 * 3 * 2
    with pytest.raises(ValueError, match="image_size"):
        cost.count(model)


def test_products_of_networks_from_elsewhere_count_and_what_is_unknown_is_named():
    inputs = keras.Input((6, 6, 4))
    x = keras.layers.Conv2DTranspose(3, 2, strides=2, use_bias=False)(
        inputs
    )  # 6 x 6 x 4 inputs reach 2 x 2 x 3 outputs
    x = keras.layers.Reshape((36, 12))(x)
    x = keras.layers.MultiHeadAttention(2, 5)(x, x)  # three projections, scores, their sums, and the way back
    x = keras.ops.real(keras.ops.ifft2((x, keras.ops.zeros_like(x)))[0])
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    counted = cost.count(model)
    attention = 3 * 36 * 12 * 10 + 2 * 36 * 36 * 10 + 36 * 10 * 12
    assert counted.macs == 6 * 6 * 4 * 2 * 2 * 3 + attention + 36 * 12 * 3
    assert any("FFT" in name for name in counted.unknown)
