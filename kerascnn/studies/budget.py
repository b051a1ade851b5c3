"""The width solver: finds the width at which an arch has a given cost, of any kind. Plain numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

from kerascnn.errors import UserError

TOLERANCE = 0.02
# From the one that is best for hardware to the finest; the coarsest one that meets the budget is used.
WIDTH_DIVISORS = (8, 4, 2, 1)
NARROWEST, WIDEST = 1 / 64, 16.0
# A width that is closer than this ends the search.
CLOSE = 0.002
STEPS = 14
# Number of guesses before bisection, which ends at this ratio of two widths.
GUESSES, FINEST = 3, 1.0005
# Exponent of the growth of costs with the width: initial value, and bounds of the estimate from two costs.
POWER, LEAST_POWER, MOST_POWER = 2.0, 0.5, 3.0


@dataclass(frozen=True)
class Match:
    """A width and its cost.

    Args:
        width: Value of `--width`.
        width_divisor: Value of `--width-divisor`.
        cost: Cost of the network at this width.
        off: Relative distance from the budget, negative below it.
    """

    width: float
    width_divisor: int
    cost: float
    off: float


@dataclass(frozen=True)
class _Terms:
    """The terms of a match: its tolerance, or from below with `at_most`."""

    at_most: bool
    close: float
    widest: float
    tries: int

    @property
    def aim(self) -> float:
        """The target cost as a share of the limit."""
        return 1 - self.close / 2 if self.at_most else 1.0

    def distance(self, match: Match) -> float:
        """Returns the distance of a match from the target, or infinity if it is not allowed."""
        return float("inf") if self.at_most and match.off > 0 else abs(match.off)


def solve_width(
    cost_of: Callable[[float, int], float],
    limit: float,
    *,
    what: str,
    hint: str,
    at_most: bool = False,
    tolerance: float = TOLERANCE,
    close: float = CLOSE,
    divisors: tuple[int, ...] = WIDTH_DIVISORS,
    start: float = 1.0,
    widest: float = WIDEST,
    tries: int = STEPS,
) -> Match:
    """Returns the width whose cost is closest to `limit`, with the coarsest of `divisors` that is within `tolerance`.

    Args:
        cost_of: Function from (width, width_divisor) to the cost of a network, which grows with the width in steps, apart
            from noise.
        limit: The budget.
        what: The matched cost, for the message: "MACs of resnet20".
        hint: What to do if no width meets the limit, for the message.
        at_most: Whether the cost must not exceed `limit`: then the widest such network is returned, however far below it is.
            Otherwise `start` is returned if it is within `tolerance`.
        tolerance: Largest relative distance from the limit.
        close: A width within this relative distance ends the search.
        divisors: Width divisors to try, the preferred one first.
        start: First width.
        widest: Largest width.
        tries: Number of widths to try for each divisor.

    Raises:
        UserError: No width meets the limit; names the nearest costs below and above, with their widths.
    """
    tried: list[Match] = []
    terms = _Terms(at_most, close, widest, tries)

    def at(width: float, width_divisor: int) -> Match:
        value = cost_of(width, width_divisor)
        tried.append(Match(width, width_divisor, value, value / limit - 1))
        return tried[-1]

    first = at(start, divisors[0])
    if not at_most and abs(first.off) <= tolerance:
        return first
    for width_divisor in divisors:
        found = _nearest(at, width_divisor, first, terms)
        if terms.distance(found) <= tolerance:
            return found
    if at_most and (fitting := [match for match in tried if match.off <= 0]):
        return min(fitting, key=terms.distance)
    raise UserError(_unmet(tried, limit, what, hint, 0 if at_most else tolerance))


def _nearest(at: Callable[[float, int], Match], width_divisor: int, first: Match, terms: _Terms) -> Match:
    """Returns the best width of one divisor: guessed from the growth of the cost, then bisected."""
    tried = [first] if first.width_divisor == width_divisor else []
    while len(tried) < terms.tries:
        width = _next(tried, first, terms)
        if width is None:
            break
        tried.append(at(width, width_divisor))
    return min(tried, key=terms.distance)


def _next(tried: list[Match], first: Match, terms: _Terms) -> float | None:
    """Returns the next width to try, or None if there is no better one."""
    last, early = tried[-1] if tried else first, len(tried) <= GUESSES
    guess = last.width * (terms.aim / (last.off + 1)) ** (1 / _power(tried))
    if not tried:
        return _within(guess, terms.widest)
    below = max((match.width for match in tried if match.off <= 0), default=None)
    above = min((match.width for match in tried if match.off > 0), default=None)
    if min(map(terms.distance, tried)) <= terms.close or below == terms.widest or above == NARROWEST:
        return None
    # Costs grow in steps: a guess outside of the bracket, or one that does not come closer, is replaced by bisection.
    if below is None or above is None:
        far = above / 2 if above is not None else 2 * last.width
        onward = guess < last.width if below is None else guess > last.width
        return _within(guess if onward and early else far, terms.widest)
    if above / below <= FINEST:
        return None
    return _within(guess if below < guess < above and early else sqrt(below * above), terms.widest)


def _power(tried: list[Match]) -> float:
    """Returns the exponent of the cost's growth, estimated from the last two costs."""
    if len(tried) < 2 or tried[-1].width == tried[-2].width:
        return POWER
    grown = log((tried[-1].off + 1) / (tried[-2].off + 1)) / log(tried[-1].width / tried[-2].width)
    return min(max(grown, LEAST_POWER), MOST_POWER)


def _within(width: float, widest: float) -> float:
    """Returns a valid `--width` with few digits, so that it can be typed again."""
    return min(max(round(width, 4), NARROWEST), widest)


def _unmet(tried: list[Match], limit: float, what: str, hint: str, tolerance: float) -> str:
    below = [match for match in tried if match.off < 0]
    above = [match for match in tried if match.off >= 0]
    nearest = [max(below, key=lambda m: m.off)] if below else []
    nearest += [min(above, key=lambda m: m.off)] if above else []
    reach = " and ".join(
        f"{match.cost:,.4g} ({match.off:+.1%}, --width {match.width:g} --width-divisor {match.width_divisor})"
        for match in nearest
    )
    within = f"{what} = {limit:,.4g} within {tolerance:.0%}" if tolerance else f"{what} of at most {limit:,.4g}"
    return f"no width meets {within}; nearest {'are' if len(nearest) > 1 else 'is'} {reach}: {hint}"
