"""The width at which an arch costs what another one does: plain numbers, whatever cost means."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt

from kerascnn.errors import UserError

TOLERANCE = 0.02
# From the one that machines like to the finest: a coarser one that meets the budget is taken.
WIDTH_DIVISORS = (8, 4, 2, 1)
NARROWEST, WIDEST = 1 / 64, 16.0
# Closer than this a better width is not looked for.
CLOSE = 0.002
STEPS = 14


@dataclass(frozen=True)
class Match:
    """A width and what it costs.

    Args:
        width: What `--width` is given.
        width_divisor: What `--width-divisor` is given.
        cost: Of the network at that width.
        off: By what share it misses the budget, negative below it.
    """

    width: float
    width_divisor: int
    cost: float
    off: float


def solve(cost: Callable[[float, int], float], budget: float, *, what: str, tolerance: float = TOLERANCE) -> Match:
    """The width whose cost is nearest to `budget`, with the coarsest divisor of 8, 4, 2, 1 that meets it.

    The published width is taken where that meets it.

    Args:
        cost: Of a network at (width, width_divisor); it grows with the width, in steps.
        budget: What it is to cost.
        what: What is matched, for the message: "12.3 M MACs of resnet20" with {} where the number stands.
        tolerance: By what share the budget may be missed.

    Raises:
        UserError: No width meets it; names the nearest costs below and above, with their widths.
    """
    tried: list[Match] = []

    def at(width: float, width_divisor: int) -> Match:
        value = cost(width, width_divisor)
        tried.append(Match(width, width_divisor, value, value / budget - 1))
        return tried[-1]

    if abs(at(1.0, WIDTH_DIVISORS[0]).off) <= tolerance:
        return tried[0]
    for width_divisor in WIDTH_DIVISORS:
        found = _nearest(partial(at, width_divisor=width_divisor), tried[0])
        if abs(found.off) <= tolerance:
            return found
    raise UserError(_unmet(tried, budget, what, tolerance))


def _nearest(at: Callable[[float], Match], published: Match) -> Match:
    """The best of one divisor: the budget is bracketed from where a quadratic cost would meet it, then bisected."""
    guess = _within(published.width / sqrt(published.off + 1))
    tried = [at(guess)]
    below, above = NARROWEST, WIDEST
    while len(tried) < STEPS and abs(min(tried, key=_distance).off) > CLOSE and above / below > 1.0005:
        last = tried[-1]
        if last.off < 0:
            below = max(below, last.width)
        else:
            above = min(above, last.width)
        step = last.width / sqrt(last.off + 1)
        # Costs grow in steps: a guess beside the bracket, or one that goes on missing, is bisected.
        if not below < step < above or len(tried) > 3:
            lower, upper = max(below, last.width / 2), min(above, last.width * 2)
            step = sqrt(lower * upper) if lower < upper else sqrt(below * above)
        tried.append(at(_within(step)))
    return min(tried, key=_distance)


def _within(width: float) -> float:
    """A width that `--width` takes, in few digits so that it can be typed again."""
    return round(min(max(width, NARROWEST), WIDEST), 4)


def _distance(match: Match) -> float:
    return abs(match.off)


def _unmet(tried: list[Match], budget: float, what: str, tolerance: float) -> str:
    below = [match for match in tried if match.off < 0]
    above = [match for match in tried if match.off >= 0]
    nearest = [max(below, key=lambda m: m.off)] if below else []
    nearest += [min(above, key=lambda m: m.off)] if above else []
    reach = " and ".join(
        f"{match.cost:,.4g} ({match.off:+.1%}, --width {match.width:g} --width-divisor {match.width_divisor})"
        for match in nearest
    )
    return (
        f"no width meets {what} = {budget:,.4g} within {tolerance:.0%}; nearest are {reach}: "
        f"choose another first arch, or --match none"
    )
