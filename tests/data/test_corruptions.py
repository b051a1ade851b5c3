"""Images made worse: seeded, the same however they are batched, and worse with severity."""

import numpy as np

from kerascnn.data import corruptions


def test_corruptions_are_seeded_and_grow() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    for name in corruptions.CORRUPTIONS:
        first, again = (corruptions.corrupt(image, name, 3, [4, 9]) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        distance = [np.abs(corruptions.corrupt(image, name, s, [4, 9]).astype(int) - image).mean() for s in (1, 5)]
        assert 0 < distance[0] < distance[1], name
        assert first.dtype == np.uint8
        np.testing.assert_array_equal(corruptions.corrupt(image[1:], name, 3, [9])[0], first[1])
