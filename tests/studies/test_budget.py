"""Widths that meet a budget: plain costs first, then the networks that must be matched."""

import pytest

from kerascnn.comparison import measure
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.studies.budget import TOLERANCE, solve


def stepped(scale, channels):
    """A quadratic cost of one layer of `channels` channels, rounded as counts are."""

    def cost(width, width_divisor):
        count = (
            channels if width == 1 else max(width_divisor, int(channels * width / width_divisor + 0.5) * width_divisor)
        )
        return scale * count**2

    return cost


def test_published_width_where_it_meets():
    found = solve(stepped(1, 64), 64**2 * 1.015, what="x")
    assert (found.width, found.width_divisor) == (1, 8)


@pytest.mark.parametrize(("count", "width_divisor"), [(48, 8), (44, 4), (42, 2), (41, 1)])
def test_coarsest_rounding_that_meets(count, width_divisor):
    found = solve(stepped(3, 64), 3 * count**2, what="x")
    assert found.width_divisor == width_divisor
    assert found.cost == 3 * count**2
    assert abs(found.off) <= TOLERANCE


def test_far_away():
    assert abs(solve(stepped(1, 1000), 20_000, what="x").off) <= TOLERANCE
    assert abs(solve(stepped(1, 1000), 9e7, what="x").off) <= TOLERANCE


@pytest.mark.parametrize(
    ("budget", "nearest"), [(12.0, r"9 .*16 "), (0.5, r"nearest are 1 \(\+100"), (1e9, "1.049e\\+06")]
)
def test_unmet_names_the_nearest(budget, nearest):
    with pytest.raises(UserError, match=nearest):
        solve(stepped(1, 64), budget, what="x")


def test_small_networks_meet():
    first, other = (
        Config().replace(model={"arch": arch}, data={"image_size": 32}) for arch in ("resnet20", "inception_small")
    )
    found = measure.scaled(first, other, 10, "macs")
    assert abs(found.off) <= TOLERANCE
    at_width = other.replace(model={"width": found.width, "width_divisor": found.width_divisor})
    assert measure.counted(at_width, 10)[1] == found.cost


@pytest.mark.slow
@pytest.mark.parametrize("by", ["macs", "params"])
@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("resnet50", "inception_v3"),
        ("inception_v3", "resnet50"),
        ("inception_small", "resnet20"),
        ("resnet20", "inception_small"),
    ],
)
def test_networks_meet_both_ways(first, other, by):
    size = 32 if "small" in first + other else 224
    a, b = (Config().replace(model={"arch": arch}, data={"image_size": size}) for arch in (first, other))
    assert abs(measure.scaled(a, b, 10, by).off) <= TOLERANCE
