"""Intervals against published values, closed forms and simulation."""

import subprocess
import sys

import numpy as np
import pytest

from kerascnn.statistics import Interval, t_interval, wilson
from kerascnn.statistics.intervals import resampled


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_published_values(successes, n, low, high):
    """Newcombe, 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    interval = wilson(successes, n)
    assert interval == pytest.approx((successes / n, low, high, n), abs=5e-5)


def test_wilson_ends():
    assert wilson(5, 5).high == 1.0
    assert wilson(0, 5).low == 0.0
    assert wilson(50, 100, level=0.9).low > wilson(50, 100).low


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses(successes, n):
    with pytest.raises(ValueError, match=f"got {successes} of {n}"):
        wilson(successes, n)


def test_t_interval():
    """Mean 3, standard error sqrt(2.5 / 5), t(4, 0.975) = 2.776445."""
    half = 2.776445 * 0.5**0.5
    assert t_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 3 - half, 3 + half, 5), abs=1e-6)
    with pytest.raises(ValueError, match="two values or more"):
        t_interval([0.9])


def test_interval_as_json():
    assert Interval(0.5, 0.4, 0.6, 10)._asdict() == {"value": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    assert all(type(number) in (int, float) for number in wilson(np.int64(3), np.int64(4)))


def test_no_tensorflow():
    code = "import sys, kerascnn.statistics; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_groups_are_drawn_whole(monkeypatch):
    groups = np.array([3, 3, 7, 7, 7, 1, 9, 9])
    monkeypatch.setattr("kerascnn.statistics.intervals.RESAMPLED_AT_ONCE", 100)
    blocks = list(resampled(8, 500, 0, groups))
    assert sum(len(block) for block in blocks) == 500
    drawn = np.zeros(8)
    for row in (row for block in blocks for row in block):
        times = np.bincount(row, minlength=8)
        assert times[0] == times[1]
        assert times[2] == times[3] == times[4]
        assert times[6] == times[7]
        assert times[[0, 2, 5, 6]].sum() == 4, "as many groups as there are"
        drawn += times
    assert drawn == pytest.approx(500, rel=0.15)
