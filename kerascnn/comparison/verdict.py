"""A contrast in words: what was seen, then what to do. Plain numbers in, sentences out."""

from dataclasses import dataclass

from kerascnn import statistics
from kerascnn.statistics import Difference
from kerascnn.statistics.paired import MIN_SEEDS

# Costs that differ by less are called alike: timings hold no more.
ALIKE = 1.05


@dataclass(frozen=True)
class Side:
    """One arch as a verdict sees it.

    Args:
        name: What it is called.
        latency: Milliseconds at batch 1; None where it was not measured.
        macs: Multiply-adds.
    """

    name: str
    latency: float | None
    macs: int


@dataclass(frozen=True)
class Verdict:
    """Two sentences and what they come to.

    Args:
        seen: The difference with its interval.
        decision: What to take, or what it would take to tell.
        power: What these seeds and images could have seen.
        take: The arch to take; None where nothing decides.
    """

    seen: str
    decision: str
    power: str
    take: str | None


@dataclass(frozen=True)
class Unit:
    """How a metric's differences are said.

    Args:
        title: The metric's name.
        sign: 1 where more is better.
        points: Whether it is a share, shown in points.
        split: Whose images it is of.
    """

    title: str
    sign: int
    points: bool
    split: str

    def amount(self, value: float) -> str:
        """A difference without its sign."""
        return f"{abs(value) * 100:.1f} points" if self.points else f"{abs(value):.3f}"

    def signed(self, value: float) -> str:
        """A difference with its sign, without its unit."""
        return f"{value * 100:+.1f}" if self.points else f"{value:+.3f}"


def judge(
    first: Side, second: Side, difference: Difference, unit: Unit, margin: float, planned_seeds: int | None = None
) -> Verdict:
    """The verdict on second minus first.

    The cheaper arch is taken where it is at worst `margin` behind; the other one where it is at least `margin` ahead.
    Between the two the data decide nothing: the sentence then says what would.

    Args:
        first: One arch.
        second: The other one.
        difference: Second minus first, in the metric's own unit.
        unit: How to say it.
        margin: What does not matter, in the metric's own unit.
        planned_seeds: How many seeds the comparison is to have; None for those it has.
    """
    seen = _seen(first, second, difference, unit, planned_seeds)
    cheap, other, share = _cheaper(first, second, ahead=second if unit.sign * difference.value > 0 else first)
    gain = unit.sign * (1 if cheap is second else -1)
    # How far the cheaper one is ahead: at worst and at best.
    worst, best = sorted((gain * difference.low, gain * difference.high))
    value = gain * difference.value
    if worst > -margin:
        decision, take = _take_cheap(cheap, other, share, worst, best, margin, unit), cheap.name
    elif best < -margin:
        decision = f"Take {other.name}: it is at least {unit.amount(best)} better, though {cheap.name} is {share}."
        take = other.name
    else:
        decision, take = _undecided(cheap, other, share, value, difference, margin, unit, best), None
    if take and difference.over == "images":
        decision += f" That is said of these runs: {MIN_SEEDS} seeds or more would say it of the archs."
    return Verdict(seen, decision, _power(difference, unit), take)


def _seen(first: Side, second: Side, difference: Difference, unit: Unit, planned: int | None) -> str:
    seeds = f"{difference.seeds} of {planned}" if planned and planned > difference.seeds else f"{difference.seeds}"
    plural = "s" if (planned or difference.seeds) > 1 else ""
    over = "images and seeds resampled"
    if difference.over == "images":
        over = f"images alone resampled: under {MIN_SEEDS} seeds their spread is not known"
    about = f"({difference.level * 100:.4g} %; {seeds} seed{plural}, {difference.images:,} {unit.split} images; {over})"
    score = f"{unit.split} {unit.title}"
    span = f"[{unit.signed(difference.low)}, {unit.signed(difference.high)}]"
    if difference.low <= 0 <= difference.high:
        return (
            f"{score}: no difference was seen between {first.name} and {second.name}: "
            f"{unit.signed(difference.value)} {span}{' points' if unit.points else ''} {about}."
        )
    ahead, behind = (second, first) if unit.sign * difference.value > 0 else (first, second)
    low, high = sorted((abs(difference.low), abs(difference.high)))
    bounds = f"[{unit.amount(low).removesuffix(' points')}, {unit.amount(high).removesuffix(' points')}]"
    return f"{score}: {ahead.name} is {unit.amount(difference.value)} better than {behind.name} {bounds} {about}."


def _cheaper(first: Side, second: Side, ahead: Side) -> tuple[Side, Side, str]:
    """The cheaper arch (of two as cheap the one ahead), the other one, and how much cheaper: at batch 1, else in MACs."""
    by_latency = first.latency is not None and second.latency is not None
    costs = (first.latency, second.latency) if by_latency else (first.macs, second.macs)
    a, b = float(costs[0] or 0), float(costs[1] or 0)
    cheap, other = (first, second) if a <= b else (second, first)
    ratio = max(a, b) / min(a, b) if min(a, b) else 1.0
    where = "at batch 1" if by_latency else "in MACs"
    if ratio < ALIKE:
        return ahead, second if ahead is first else first, f"as cheap {where}"
    return cheap, other, f"{ratio:.1f} x cheaper {where}"


def _take_cheap(cheap: Side, other: Side, share: str, worst: float, best: float, margin: float, unit: Unit) -> str:
    if worst > 0:
        return f"Take {cheap.name}: it is better, and {share}."
    if best < margin:
        return f"Within {unit.amount(margin)} they are equal: take {cheap.name}: {share}."
    return f"Take {cheap.name}: {share}, and at worst {unit.amount(worst)} behind {other.name}."


def _undecided(
    cheap: Side,
    other: Side,
    share: str,
    value: float,
    difference: Difference,
    margin: float,
    unit: Unit,
    best: float,
) -> str:
    """What it would take: an interval that lies on one side of the margin, if the difference stays what it is.

    `value` says how far the cheaper one is ahead; what decides is whether that is more than -margin.
    """
    ahead = f"{unit.amount(margin)} ahead of {cheap.name}, which is {share}, these runs cannot tell"
    question = f"Whether {other.name} is {ahead}"
    if best < 0:
        question = f"{other.name} is better; whether it is {ahead}"
    return f"{question}; it would take {_it_would_take(difference, max(abs(value + margin), margin / 4), unit.split)}."


def _it_would_take(difference: Difference, half: float, split: str) -> str:
    """Seeds, or images, or both, whose interval would be `half` to either side."""
    if difference.seeds < MIN_SEEDS:
        return f"{MIN_SEEDS} seeds or more"
    seeds, images = statistics.seeds_needed(difference, half), statistics.images_needed(difference, half)
    ways = [f"about {seeds} seeds on these images"] if seeds else []
    ways += [f"about {_round(images):,} {split} images with these seeds"] if images else []
    if ways:
        return ", or ".join(ways)
    both = statistics.both_needed(difference, half)
    if both is None:
        return f"far more seeds and {split} images"
    return f"about {both[0]} seeds and {_round(both[1]):,} {split} images"


def _round(count: int) -> int:
    """Two digits: more would be made up."""
    scale = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // scale) * scale


def _power(difference: Difference, unit: Unit) -> str:
    seeds = f"{difference.seeds} seed{'s' if difference.seeds > 1 else ''}"
    amount = unit.amount(statistics.detectable(difference))
    return f"{seeds} and {difference.images:,} images see a true difference of {amount} in 80 of 100 comparisons."
