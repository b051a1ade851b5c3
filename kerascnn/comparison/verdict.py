"""The verdict on a contrast as text: what was seen, then what to do. Plain numbers in, sentences out."""

from dataclasses import dataclass

from kerascnn import statistics
from kerascnn.statistics import OVER_FOLDS, Difference
from kerascnn.statistics.paired import MIN_SEEDS

# Costs that differ by less are called alike, even if the difference is certain.
ALIKE = 1.05


@dataclass(frozen=True)
class Side:
    """An arch in a verdict.

    Args:
        name: Name of the arch.
        latencies: Median milliseconds at batch 1 of each process, which all measured both archs; empty if not measured.
        macs: Multiply-adds; None if they are not known.
    """

    name: str
    latencies: tuple[float, ...]
    macs: int | None


@dataclass(frozen=True)
class Verdict:
    """A verdict as two sentences, and the arch that it recommends.

    Args:
        seen: The difference with its interval.
        decision: What to take, or how many seeds and images would decide.
        power: The difference that these seeds and images could have shown.
        take: The recommended arch, or None.
    """

    seen: str
    decision: str
    power: str
    take: str | None


@dataclass(frozen=True)
class MetricUnit:
    """The form of a metric's differences.

    Args:
        title: Name of the metric.
        sign: 1 if more is better, else -1.
        points: Whether it is a share, shown in points.
        split: Split of the images.
    """

    title: str
    sign: int
    points: bool
    split: str

    def amount(self, value: float) -> str:
        """Returns a difference without its sign."""
        return f"{abs(value) * 100:.1f} points" if self.points else f"{abs(value):.3f}"

    def signed(self, value: float) -> str:
        """Returns a difference with its sign, without its unit."""
        return f"{value * 100:+.1f}" if self.points else f"{value:+.3f}"


def judge(
    first: Side, second: Side, difference: Difference, unit: MetricUnit, margin: float, planned_seeds: int | None = None
) -> Verdict:
    """Returns the verdict on second minus first.

    The cheaper arch is recommended if it is at worst `margin` behind, the other one if it is at least `margin` ahead. Between
    the two the data do not decide, and the sentence says what would.

    Args:
        first: The first arch.
        second: The second arch.
        difference: Second minus first, in the metric's own unit.
        unit: The form of the difference.
        margin: Largest difference that does not matter, in the metric's own unit.
        planned_seeds: Planned number of seeds; None for the present one.
    """
    seen = _seen(first, second, difference, unit, planned_seeds)
    if not _costs_known(first, second):
        decision, take = _without_costs(first, second, difference, unit, margin)
        return Verdict(seen, decision, _power(difference, unit), take)
    cheap, other, share = _cheaper(first, second, ahead=second if unit.sign * difference.value > 0 else first)
    gain = unit.sign * (1 if cheap is second else -1)
    # Lead of the cheaper arch, at worst and at best.
    worst, best = sorted((gain * difference.low, gain * difference.high))
    value = gain * difference.value
    if worst > -margin:
        decision, take = _take_cheap(cheap, other, share, worst, best, margin, unit), cheap.name
    elif best < -margin:
        decision = f"Take {other.name}: it is at least {unit.amount(best)} better, though {cheap.name} is {share}."
        take = other.name
    else:
        decision, take = _undecided(cheap, other, share, value, difference, margin, unit, best), None
    if take and difference.seeds < MIN_SEEDS and difference.over != OVER_FOLDS:
        decision += f" That is said of these runs: {MIN_SEEDS} seeds or more would say it of the archs."
    return Verdict(seen, decision, _power(difference, unit), take)


def _costs_known(first: Side, second: Side) -> bool:
    """Returns whether both costs are known, of the same kind."""
    timed = MIN_SEEDS <= len(first.latencies) == len(second.latencies)
    return timed or (first.macs is not None and second.macs is not None)


def _without_costs(
    first: Side, second: Side, difference: Difference, unit: MetricUnit, margin: float
) -> tuple[str, str | None]:
    """Returns the decision by the score alone, and the recommended side."""
    ahead, behind = (second, first) if unit.sign * difference.value > 0 else (first, second)
    gain = unit.sign * (1 if ahead is second else -1)
    worst, best = sorted((gain * difference.low, gain * difference.high))
    unknown = "what they cost is not known for both"
    few = difference.seeds < MIN_SEEDS
    only = f" That is said of these files: {MIN_SEEDS} seeds or more would say it of the systems." if few else ""
    if worst > 0:
        return f"Take {ahead.name}: it is better; {unknown}.{only}", ahead.name
    if worst > -margin and best < margin:
        return f"Within {unit.amount(margin)} they are equal; {unknown}, and would decide.{only}", None
    if worst > -margin:
        return f"Take {ahead.name}: at worst {unit.amount(worst)} behind {behind.name}; {unknown}.{only}", ahead.name
    distance = max(abs(difference.value), margin / 4)
    need = _it_would_take(difference, distance, unit.split)
    return f"Which of the two is better these predictions cannot tell; it would take {need}.", None


def _seen(first: Side, second: Side, difference: Difference, unit: MetricUnit, planned: int | None) -> str:
    if difference.over == OVER_FOLDS:
        about = (
            f"({difference.level * 100:.4g} %; {_folds(difference, planned)}, each tested once; corrected resampled t)"
        )
        return _seen_about(first, second, difference, unit, about)
    seeds = f"{difference.seeds} of {planned}" if planned and planned > difference.seeds else f"{difference.seeds}"
    plural = "s" if (planned or difference.seeds) > 1 else ""
    over = f"{difference.over} resampled"
    if difference.seeds < MIN_SEEDS:
        over = f"{difference.over} alone resampled: under {MIN_SEEDS} seeds their spread is not known"
    images = f"{difference.images:,} {unit.split} images"
    if difference.groups:
        images += f" in {difference.groups:,} groups"
    about = f"({difference.level * 100:.4g} %; {seeds} seed{plural}, {images}; {over})"
    return _seen_about(first, second, difference, unit, about)


def _folds(difference: Difference, planned: int | None = None) -> str:
    of = f" of {planned}" if planned and planned > difference.seeds else ""
    return f"{difference.seeds}{of} folds, {difference.images:,} images"


def _seen_about(first: Side, second: Side, difference: Difference, unit: MetricUnit, about: str) -> str:
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
    """Returns the cheaper arch (of two with equal costs the one ahead), the other one, and the difference at batch 1 or in
    MACs.

    The layout of memory and threads in a process affects its latency: only several processes tell, and two latencies are
    alike if the interval of their ratio contains 1.
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


def _take_cheap(
    cheap: Side, other: Side, share: str, worst: float, best: float, margin: float, unit: MetricUnit
) -> str:
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
    unit: MetricUnit,
    best: float,
) -> str:
    """Returns what would decide: an interval on one side of the margin, if the difference stays the same.

    `value` is the lead of the cheaper arch, which must be compared with -margin.
    """
    ahead = f"{unit.amount(margin)} ahead of {cheap.name}, which is {share}, these runs cannot tell"
    question = f"Whether {other.name} is {ahead}"
    if best < 0:
        question = f"{other.name} is better; whether it is {ahead}"
    distance = max(abs(value + margin), margin / 4)
    return f"{question}; it would take {_it_would_take(difference, distance, unit.split)}."


def _it_would_take(difference: Difference, distance: float, split: str) -> str:
    """Returns seeds, images, or both, that show `distance`, if it is true, in 80 of 100 comparisons."""
    if difference.over == OVER_FOLDS:
        return "more images (more folds of the same ones say little more)"
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
    """Rounds to two digits, which is the precision of the estimate."""
    scale = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // scale) * scale


def _power(difference: Difference, unit: MetricUnit) -> str:
    seeds = f"{difference.seeds} seed{'s' if difference.seeds > 1 else ''}"
    amount = unit.amount(statistics.detectable(difference))
    if difference.over == OVER_FOLDS:
        return f"{_folds(difference)}: these see a true difference of {amount} in 80 of 100 comparisons."
    return f"{seeds} and {difference.images:,} images see a true difference of {amount} in 80 of 100 comparisons."
