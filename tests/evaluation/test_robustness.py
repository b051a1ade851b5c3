"""What several looks at one image are."""

import numpy as np
import pytest

from kerascnn.evaluation import robustness

IMAGES = np.random.default_rng(0).integers(1, 256, (2, 32, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize(("name", "count"), [("flip", 2), ("shifts", 6), ("crops", 12)])
def test_every_view_comes_with_its_mirror_image_and_the_whole_first(name, count):
    views = list(robustness.VIEWS[name](IMAGES, np.arange(2)))
    assert len(views) == count
    np.testing.assert_array_equal(views[0], IMAGES)
    for view, mirrored in zip(views[::2], views[1::2], strict=True):
        assert view.shape == IMAGES.shape
        assert view.dtype == IMAGES.dtype
        np.testing.assert_array_equal(mirrored, view[:, :, ::-1])


def test_shifts_move_by_a_pixel_along_the_diagonal_and_zeros_move_in():
    _, _, down, _, up, _ = robustness.VIEWS["shifts"](IMAGES, np.arange(2))
    np.testing.assert_array_equal(down[:, 1:, 1:], IMAGES[:, :-1, :-1])
    np.testing.assert_array_equal(up[:, :-1, :-1], IMAGES[:, 1:, 1:])
    for moved, row, column in ((down, 0, 0), (up, -1, -1)):
        assert not moved[:, row].any()
        assert not moved[:, :, column].any()
