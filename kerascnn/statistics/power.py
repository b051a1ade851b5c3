"""What a comparison could have seen, and what it would take to see more."""

import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from kerascnn.statistics import paired
from kerascnn.statistics.paired import Difference
from kerascnn.statistics.seeds import MIN_SEEDS

POWER = 0.8
MOST_SEEDS = 100  # of --seeds
# Points at which a power is averaged over what the spread among seeds may be.
POINTS = 64


class Parts(NamedTuple):
    """The variance of one image's difference at one seed, by where it comes from.

    Args:
        images: What an image gives at every seed.
        seeds: What a seed gives on every image.
        left: Of seed and image together.
    """

    images: float
    seeds: float
    left: float


def detectable(difference: Difference, power: float = POWER) -> float:
    """The smallest true difference that these seeds and images would have shown with probability `power`.

    It depends on the spread alone, never on the difference that was found.
    """
    quantiles = stats.t.ppf([(1 + difference.level) / 2, power], difference.freedom)
    return float(quantiles.sum() * difference.error)


def power_of(
    difference: Difference, distance: float, *, seeds: int | None = None, images: int | None = None, sure: bool = False
) -> float:
    """How often a new comparison would show that a true difference lies `distance` from what it is held against.

    A few seeds say little of the spread among seeds: the power is averaged over what that spread may be (its inverse
    chi-squared distribution), since a plug-in of the spread that was seen promises too much.

    Args:
        difference: What was found; its variance by images and seeds is the plan's.
        distance: Of the true difference from 0 or from a margin, as 0.02.
        seeds: Number of seeds of the new comparison; those that were, by default.
        images: Number of images (groups where images are grouped) of the new comparison; those that were, by default.
        sure: Whether the spread that was seen is taken for the true one.
    """
    seeds, images = seeds or difference.seeds, images or difference.units
    if difference.seeds < MIN_SEEDS:  # nothing is known of seeds: more images alone can be reckoned with
        error, freedom = (difference.images_part * difference.units / images) ** 0.5, images - 1.0
        return _shown(distance, error, freedom, difference.level)
    scales = np.ones(1) if sure else _scales(difference.seeds - 1)
    seen = parts(difference)
    # The seeds' part holds what is left too: scaled together, then what is left, which many images tell well, is taken off.
    both = seen.seeds + seen.left / difference.units
    found = []
    for scale in scales:
        own = max(both * float(scale) - seen.left / difference.units, 0.0)
        found.append(_planned_power(Parts(seen.images, own, seen.left), distance, seeds, images, difference.level))
    return float(np.mean(found))


def parts(difference: Difference) -> Parts:
    """The variances that were seen, of one image and one seed."""
    s, m = difference.seeds, difference.units
    return Parts(
        max(difference.images_part - difference.left_part, 0.0) * m,
        max(difference.seeds_part - difference.left_part, 0.0) * s,
        difference.left_part * s * m,
    )


def seeds_needed(difference: Difference, distance: float, power: float = POWER, most: int = MOST_SEEDS) -> int | None:
    """The smallest number of seeds, on these images, that show `distance` with probability `power`; None above `most`."""
    first = max(difference.seeds, MIN_SEEDS)
    return _first(range(first, most + 1), lambda seeds: power_of(difference, distance, seeds=seeds) >= power)


def images_needed(difference: Difference, distance: float, power: float = POWER, most: int = 1_000_000) -> int | None:
    """The number of images, with these seeds, that show `distance` with probability `power`; None above `most`.

    Where images are grouped it counts images too, as many to a group as now.
    """
    each = difference.images / difference.units
    counts: list[int] = []
    count = float(difference.units)
    while count * each <= most:
        counts.append(round(count))
        count *= 1.1
    found = _first(counts, lambda images: power_of(difference, distance, images=images) >= power)
    return None if found is None else round(found * each)


def both_needed(
    difference: Difference, distance: float, power: float = POWER, most: int = MOST_SEEDS
) -> tuple[int, int] | None:
    """The fewest seeds for which ten times as many images, or fewer, show `distance` with probability `power`."""
    first = max(difference.seeds, MIN_SEEDS)
    enough = _first(
        range(first, most + 1),
        lambda seeds: power_of(difference, distance, seeds=seeds, images=10 * difference.units) >= power,
    )
    if enough is None:
        return None
    for times in (2, 3, 5, 10):
        if power_of(difference, distance, seeds=enough, images=times * difference.units) >= power:
            return enough, times * difference.images
    return None


def _planned_power(variances: Parts, distance: float, seeds: int, images: int, level: float) -> float:
    both = variances.left / (seeds * images)
    of = (variances.images / images + both, variances.seeds / seeds + both, both)
    if seeds < MIN_SEEDS:
        return _shown(distance, of[0] ** 0.5, images - 1.0, level)
    variance, freedom = paired.combined(*of, images, seeds)
    return _shown(distance, variance**0.5, freedom, level)


def _shown(distance: float, error: float, freedom: float, level: float) -> float:
    """The probability that an interval leaves `distance` on one side (noncentral t)."""
    if error == 0:
        return float(distance > 0)
    return 1.0 - float(special.nctdtr(freedom, distance / error, special.stdtrit(freedom, (1 + level) / 2)))


@lru_cache(maxsize=64)
def _scales(freedom: int) -> np.ndarray:
    """What the seeds' true variance may be over the one that was seen: freedom / chi-squared, at equally likely points."""
    at = (np.arange(POINTS) + 0.5) / POINTS
    return np.asarray(freedom / stats.chi2.ppf(at, freedom))


def _first(counts: Sequence[int], enough: Callable[[int], bool]) -> int | None:
    """The first of ascending counts that is enough, by bisection: power grows with each of them."""
    place = bisect.bisect_left(counts, True, key=enough)
    return counts[place] if place < len(counts) else None
