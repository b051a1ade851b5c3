"""Widths that meet a budget: plain costs first, then the networks that must be matched."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from kerascnn.comparison import network_costs
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.studies.budget import NARROWEST, TOLERANCE, Match, solve_width


def stepped(scale, channels):
    """A quadratic cost of one layer of `channels` channels, rounded as counts are."""

    def cost(width, width_divisor):
        count = (
            channels if width == 1 else max(width_divisor, int(channels * width / width_divisor + 0.5) * width_divisor)
        )
        return scale * count**2

    return cost


matched = partial(solve_width, what="x", hint="choose another first arch")


def test_published_width_where_it_meets():
    found = matched(stepped(1, 64), 64**2 * 1.015)
    assert (found.width, found.width_divisor) == (1, 8)


@pytest.mark.parametrize(("count", "width_divisor"), [(48, 8), (44, 4), (42, 2), (41, 1)])
def test_coarsest_rounding_that_meets(count, width_divisor):
    found = matched(stepped(3, 64), 3 * count**2)
    assert found.width_divisor == width_divisor
    assert found.cost == 3 * count**2
    assert abs(found.off) <= TOLERANCE


def test_far_away():
    assert abs(matched(stepped(1, 1000), 20_000).off) <= TOLERANCE
    assert abs(matched(stepped(1, 1000), 9e7).off) <= TOLERANCE


@pytest.mark.parametrize(
    ("budget", "nearest"), [(12.0, r"9 .*16 "), (0.5, r"nearest is 1 \(\+100"), (1e9, "1.049e\\+06")]
)
def test_unmet_names_the_nearest(budget, nearest):
    with pytest.raises(UserError, match=nearest):
        matched(stepped(1, 64), budget)


def shares(limit: float, cost: Callable[[float, int], float]) -> Match:
    """The widest network that is counted and costs at most `limit`."""
    return solve_width(cost, limit, what="x", hint="raise the budget", at_most=True, tries=20)


@pytest.mark.parametrize("limit", np.geomspace(40.0, 2e5, 25))
def test_at_most_is_never_exceeded_and_nearly_reached(limit):
    found = shares(limit, stepped(1, 64))
    assert found.off <= 0
    best = max(count**2 for count in range(1, 1025) if count**2 <= limit)  # of the finest divisor
    assert found.cost >= min(best, (1 - TOLERANCE) * limit)


def test_at_most_takes_the_published_width_where_that_is_the_widest():
    assert shares(64**2, stepped(1, 64)).width == 1


def test_at_most_unmet_says_what_the_narrowest_costs():
    with pytest.raises(UserError, match=r"no width meets x of at most 0.5; nearest is 1 .*raise the budget"):
        shares(0.5, stepped(1, 64))


def latency(cost: Callable[[float], float], start: float = 1.0, widest: float = 16.0) -> Match:
    """The widest network whose time, which must be measured, is at most 1."""
    return solve_width(
        lambda width, _: cost(width), 1.0, what="x", hint="", at_most=True,
        tolerance=0.1, close=0.1, divisors=(8,), start=start, widest=widest, tries=8,
    )  # fmt: skip


@pytest.mark.parametrize("fixed", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("begin", [0.25, 1.0, 8.0])
def test_a_measured_time_comes_close_from_both_sides(fixed: float, begin: float) -> None:
    calls: list[float] = []

    def share(width: float) -> float:
        calls.append(width)
        return fixed + (1 - fixed) * (width / 1.5) ** 2

    found = latency(share, begin)
    assert -0.1 <= found.off <= 0
    assert len(calls) <= 8


def test_bounds_hold() -> None:
    assert latency(lambda width: 0.01 * width, widest=4.0).width == 4.0
    assert latency(lambda width: 0.5, widest=1.0).width == 1.0
    with pytest.raises(UserError, match="no width meets"):
        latency(lambda width: 5.0)
    assert latency(lambda width: width / NARROWEST, 0.5).width == NARROWEST


def test_noise_never_lets_a_miss_through() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        measured: dict[float, float] = {}

        def share(width: float, measured=measured) -> float:
            return measured.setdefault(width, 0.4 + 0.5 * width + float(rng.normal(0, 0.05)))

        assert measured[latency(share).width] <= 1


def test_small_networks_meet():
    first, other = (
        Config().replace(model={"arch": arch}, data={"image_size": 32}) for arch in ("resnet20", "inception_small")
    )
    (found,) = network_costs.scaled([(first, other)], 10, "macs")
    assert abs(found.off) <= TOLERANCE
    at_width = other.replace(model={"width": found.width, "width_divisor": found.width_divisor})
    assert network_costs.counted(at_width, 10)[1] == found.cost


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
    (found,) = network_costs.scaled([(a, b)], 10, by)
    assert abs(found.off) <= TOLERANCE
