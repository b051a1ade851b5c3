"""A contrast in words: what was seen, then what to do. Plain numbers in, sentences out."""

from dataclasses import dataclass

from kerascnn import statistics
from kerascnn.statistics import Difference
from kerascnn.statistics.paired import MIN_SEEDS

# Costs that differ by less are called alike, however sure: nobody chooses by them.
ALIKE = 1.05


@dataclass(frozen=True)
class Side:
    """One arch as a verdict sees it.

    Args:
        name: What it is called.
        latencies: Milliseconds at batch 1, one median for each process, in all of which both archs were measured; empty
            where they were not.
        macs: Multiply-adds.
    """

    name: str
    latencies: tuple[float, ...]
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
    if take and difference.seeds < MIN_SEEDS:
        decision += f" That is said of these runs: {MIN_SEEDS} seeds or more would say it of the archs."
    return Verdict(seen, decision, _power(difference, unit), take)


def _seen(first: Side, second: Side, difference: Difference, unit: Unit, planned: int | None) -> str:
    seeds = f"{difference.seeds} of {planned}" if planned and planned > difference.seeds else f"{difference.seeds}"
    plural = "s" if (planned or difference.seeds) > 1 else ""
    over = f"{difference.over} resampled"
    if difference.seeds < MIN_SEEDS:
        over = f"{difference.over} alone resampled: under {MIN_SEEDS} seeds their spread is not known"
    images = f"{difference.images:,} {unit.split} images"
    if difference.groups:
        images += f" in {difference.groups:,} groups"
    about = f"({difference.level * 100:.4g} %; {seeds} seed{plural}, {images}; {over})"
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
    """The cheaper arch (of two as cheap the one ahead), the other one, and how much cheaper: at batch 1, else in MACs.

    One process lays out memory and threads in one way and a latency follows from that: only several processes tell, and
    two latencies are alike while the interval of their ratio holds 1.
    """
    processes = len(first.latencies)
    if processes >= MIN_SEEDS and processes == len(second.latencies):
        found = statistics.ratio_interval(first.latencies, second.latencies)
        inside, where, digits = found.low <= 1 <= found.high, "at batch 1", 2
        span = f" [{found.low:.2f}, {found.high:.2f}]"
        if found.value < 1:
            span = f" [{1 / found.high:.2f}, {1 / found.low:.2f}]"
        ratio = found.value
    else:
        ratio = second.macs / first.macs if first.macs and second.macs else 1.0
        inside, where, digits, span = False, "in MACs", 1, ""
    cheap, other = (first, second) if ratio >= 1 else (second, first)
    times = max(ratio, 1 / ratio)
    if inside or times < ALIKE:
        bounds = f" ({times:.{digits}f} x{span})" if span else ""
        return ahead, second if ahead is first else first, f"as cheap {where}{bounds}"
    return cheap, other, f"{times:.{digits}f} x{span} cheaper {where}"


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
    distance = max(abs(value + margin), margin / 4)
    return f"{question}; it would take {_it_would_take(difference, distance, unit.split)}."


def _it_would_take(difference: Difference, distance: float, split: str) -> str:
    """Seeds, or images, or both, that would show `distance`, if it is the true one, in 80 of 100 comparisons."""
    if difference.seeds < MIN_SEEDS:
        return f"{MIN_SEEDS} seeds or more"
    seeds, images = statistics.seeds_needed(difference, distance), statistics.images_needed(difference, distance)
    ways = [f"about {seeds} seeds on these images"] if seeds else []
    ways += [f"about {_round(images):,} {split} images with these seeds"] if images else []
    if not ways:
        both = statistics.both_needed(difference, distance)
        if both is None:
            return f"far more seeds and {split} images"
        ways = [f"about {both[0]} seeds and {_round(both[1]):,} {split} images"]
    now = statistics.power_of(difference, distance)
    return (
        f"{', or '.join(ways)} to tell in 80 of 100 comparisons, if the true difference is the one seen (these would in"
        f" {now * 100:.0f}); choose the number once: each further look adds to the chance of a false verdict"
    )


def _round(count: int) -> int:
    """Two digits: more would be made up."""
    scale = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // scale) * scale


def _power(difference: Difference, unit: Unit) -> str:
    seeds = f"{difference.seeds} seed{'s' if difference.seeds > 1 else ''}"
    amount = unit.amount(statistics.detectable(difference))
    return f"{seeds} and {difference.images:,} images see a true difference of {amount} in 80 of 100 comparisons."
