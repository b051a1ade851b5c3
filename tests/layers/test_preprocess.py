"""From pixels to what networks were trained on."""

import numpy as np
import pytest

from kerascnn.layers import Preprocess


def test_channels_are_scaled_and_reversed():
    x = np.random.default_rng(0).uniform(0, 255, (2, 3, 3, 3)).astype("float32")
    mean, std = np.array([1.0, 2, 3]), np.array([4.0, 5, 6])
    np.testing.assert_allclose(Preprocess(mean.tolist(), std.tolist())(x), (x - mean) / std, rtol=1e-5)
    reverse = Preprocess(mean.tolist(), std.tolist(), reverse=True)
    np.testing.assert_allclose(reverse(x), (x[..., ::-1] - mean) / std, rtol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_pixels_are_not_rounded_before_they_are_scaled(policy):
    layer = Preprocess([127.5] * 3, [1.0] * 3, dtype=policy)
    x = np.full((1, 1, 1, 3), 127.9, "float32")  # bfloat16 has 128
    np.testing.assert_allclose(np.asarray(layer(x)).astype("float32"), 0.4, rtol=4e-3)
    np.testing.assert_array_equal(layer(x.astype("uint8")), layer(np.floor(x)))
