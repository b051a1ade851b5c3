"""The one width solver: the width at which an arch costs what a budget allows, whatever cost means. Plain numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

from kerascnn.errors import UserError

TOLERANCE = 0.02
# From the one that machines like to the finest: a coarser one that meets the budget is taken.
WIDTH_DIVISORS = (8, 4, 2, 1)
NARROWEST, WIDEST = 1 / 64, 16.0
# Closer than this a better width is not looked for.
CLOSE = 0.002
STEPS = 14
# Guesses before widths are bisected, down to this ratio of one to the next.
GUESSES, FINEST = 3, 1.0005
# The power of the width that a cost grows with: until two costs say more, and the least and most that they may say.
POWER, LEAST_POWER, MOST_POWER = 2.0, 0.5, 3.0


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


@dataclass(frozen=True)
class _Terms:
    """How near a width must come; `at_most`: from below."""

    at_most: bool
    close: float
    widest: float
    tries: int

    @property
    def aim(self) -> float:
        """The cost that is aimed at, as a share of the limit."""
        return 1 - self.close / 2 if self.at_most else 1.0

    def distance(self, match: Match) -> float:
        """How bad it is; infinite where it may not be taken."""
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
    """The width whose cost is nearest to `limit`, with the coarsest of `divisors` that comes within `tolerance`.

    Args:
        cost_of: The cost of a network at (width, width_divisor). It grows with the width, in steps, and but for noise.
        limit: What the network is to cost.
        what: What is matched, for the message: "MACs of resnet20".
        hint: What to do where no width meets the limit, for the message.
        at_most: Whether only widths that cost no more than `limit` may be taken: then the widest of them is looked for, and
            taken however far below it costs. Without it `start` is taken where it is within `tolerance`.
        tolerance: By what share the limit may be missed.
        close: A width that misses by no more than this share ends the search.
        divisors: The width divisors to try, the preferred one first.
        start: The width to begin with.
        widest: The widest to try.
        tries: How many widths are tried for each divisor.

    Raises:
        UserError: No width meets it; names the nearest costs below and above, with their widths.
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
    """The best width of one divisor: guessed from how the cost grows, then bisected."""
    tried = [first] if first.width_divisor == width_divisor else []
    while len(tried) < terms.tries:
        width = _next(tried, first, terms)
        if width is None:
            break
        tried.append(at(width, width_divisor))
    return min(tried, key=terms.distance)


def _next(tried: list[Match], first: Match, terms: _Terms) -> float | None:
    """The width to try now; None where a better one is not to be found."""
    last, early = tried[-1] if tried else first, len(tried) <= GUESSES
    guess = last.width * (terms.aim / (last.off + 1)) ** (1 / _power(tried))
    if not tried:
        return _within(guess, terms.widest)
    below = max((match.width for match in tried if match.off <= 0), default=None)
    above = min((match.width for match in tried if match.off > 0), default=None)
    if min(map(terms.distance, tried)) <= terms.close or below == terms.widest or above == NARROWEST:
        return None
    # Costs grow in steps: a guess beside the bracket, or one that goes on missing, is bisected.
    if below is None or above is None:
        far = above / 2 if above is not None else 2 * last.width
        onward = guess < last.width if below is None else guess > last.width
        return _within(guess if onward and early else far, terms.widest)
    if above / below <= FINEST:
        return None
    return _within(guess if below < guess < above and early else sqrt(below * above), terms.widest)


def _power(tried: list[Match]) -> float:
    """With which power of the width the cost grows, as the last two say."""
    if len(tried) < 2 or tried[-1].width == tried[-2].width:
        return POWER
    grown = log((tried[-1].off + 1) / (tried[-2].off + 1)) / log(tried[-1].width / tried[-2].width)
    return min(max(grown, LEAST_POWER), MOST_POWER)


def _within(width: float, widest: float) -> float:
    """A width that `--width` takes, in few digits so that it can be typed again."""
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
