"""The risk of the most certain predictions against their share."""

import numpy as np
import pytest

from kerascnn.statistics import selective

CERTAINTY = np.array([0.9, 0.5, 0.8, 0.6, 0.7])
RIGHT = np.array([True, False, False, True, True])  # from the most certain on: right, wrong, right, right, wrong


def test_the_curve_by_hand() -> None:
    found = selective.curve(CERTAINTY, RIGHT)
    np.testing.assert_allclose(found.coverage, [0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 4, 2 / 5])
    np.testing.assert_allclose(found.certainty, [0.9, 0.8, 0.7, 0.6, 0.5])
    area = selective.area(CERTAINTY, RIGHT)
    assert area.value == pytest.approx(np.mean([0, 1 / 2, 1 / 3, 1 / 4, 2 / 5]))
    assert area.low <= area.value <= area.high
    assert area.n == 5


def test_equally_certain_images_are_answered_together() -> None:
    certainty, right = np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, False])
    found = selective.curve(certainty, right)
    np.testing.assert_allclose(found.coverage, [0.25, 1])
    # Two of three errors per image: expected errors after 2, 3 and 4 images are 2/3, 4/3 and 2.
    expected = np.mean([0, (2 / 3) / 2, (4 / 3) / 3, 2 / 4])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        assert selective.area(certainty[order], right[order]).value == pytest.approx(expected)


def test_drawn_areas_are_areas_of_the_drawn_images() -> None:
    rng = np.random.default_rng(0)
    certainty, right = rng.random(50).round(1), rng.random(50) < 0.8
    index = rng.integers(0, 50, (7, 50))
    known = selective.keys(certainty, right)
    one_by_one = [selective.area(certainty[row], right[row]).value for row in index]
    np.testing.assert_allclose(selective.areas(known[index]), one_by_one)


def test_the_certainty_for_an_accuracy() -> None:
    assert selective.certainty_for(CERTAINTY, RIGHT, 0.75) == 0.6, "the largest share of the images that reaches it"
    assert selective.certainty_for(CERTAINTY, RIGHT, 0.6) == 0.5
    assert selective.certainty_for(CERTAINTY, RIGHT, 0.99) == 0.9
    assert selective.certainty_for(CERTAINTY, ~RIGHT, 0.99) is None


def test_the_interval_widens_with_groups() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 10)
    right = np.repeat(rng.random(20) < 0.7, 10)
    certainty = rng.random(200)
    alone, together = selective.area(certainty, right), selective.area(certainty, right, groups)
    assert alone.value == together.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
