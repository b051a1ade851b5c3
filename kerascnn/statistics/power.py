"""The power of a comparison: the differences that it could have shown, and what it takes to show smaller ones."""

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
MOST_SEEDS = 100  # largest value of --seeds
# Number of points at which a power is averaged over the possible spreads among seeds.
POINTS = 64


class VarianceParts(NamedTuple):
    """The variance of the difference of one image at one seed, by source.

    Args:
        images: Effect of an image at every seed.
        seeds: Effect of a seed on every image.
        left: Effect of seed and image together.
    """

    images: float
    seeds: float
    left: float


def detectable(difference: Difference, power: float = POWER) -> float:
    """Returns the smallest true difference that these seeds and images would have shown with probability `power`.

    It depends only on the spread, not on the observed difference.
    """
    quantiles = stats.t.ppf([(1 + difference.level) / 2, power], difference.freedom)
    return float(quantiles.sum() * difference.error)


def power_of(
    difference: Difference, distance: float, *, seeds: int | None = None, images: int | None = None, sure: bool = False
) -> float:
    """Returns the probability that a new comparison shows a true difference at `distance` from its reference.

    A few seeds say little about the spread among seeds. The power is therefore averaged over the possible spreads (their
    inverse chi-squared distribution): a plug-in of the observed spread promises too much.

    Args:
        difference: The observed difference, whose variances of images and seeds are used.
        distance: Distance of the true difference from 0 or from a margin, such as 0.02.
        seeds: Number of seeds of the new comparison; default: as observed.
        images: Number of images of the new comparison, or of groups if images are grouped; default: as observed.
        sure: Whether the observed spread is taken as the true one.
    """
    seeds, images = seeds or difference.seeds, images or difference.units
    if difference.seeds < MIN_SEEDS:  # the spread among seeds is unknown: only the number of images can vary
        error, freedom = (difference.images_part * difference.units / images) ** 0.5, images - 1.0
        return _shown(distance, error, freedom, difference.level)
    scales = np.ones(1) if sure else _scales(difference.seeds - 1)
    seen = parts(difference)
    # The seeds' part includes the rest: both are scaled together, then the rest, which many images determine well, is subtracted.
    both = seen.seeds + seen.left / difference.units
    found = []
    for scale in scales:
        own = max(both * float(scale) - seen.left / difference.units, 0.0)
        found.append(
            _planned_power(VarianceParts(seen.images, own, seen.left), distance, seeds, images, difference.level)
        )
    return float(np.mean(found))


def parts(difference: Difference) -> VarianceParts:
    """Returns the observed variances of one image and one seed."""
    s, m = difference.seeds, difference.units
    return VarianceParts(
        max(difference.images_part - difference.left_part, 0.0) * m,
        max(difference.seeds_part - difference.left_part, 0.0) * s,
        difference.left_part * s * m,
    )


def seeds_needed(difference: Difference, distance: float, power: float = POWER, most: int = MOST_SEEDS) -> int | None:
    """Returns the smallest number of seeds, on these images, that shows `distance` with probability `power`; None above
    `most`.
    """
    first = max(difference.seeds, MIN_SEEDS)
    return _first(range(first, most + 1), lambda seeds: power_of(difference, distance, seeds=seeds) >= power)


def images_needed(difference: Difference, distance: float, power: float = POWER, most: int = 1_000_000) -> int | None:
    """Returns the number of images, with these seeds, that shows `distance` with probability `power`; None above `most`.

    If images are grouped, the number of images assumes the present size of groups.
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
    """Returns the fewest seeds for which ten times as many images, or fewer, show `distance` with probability `power`."""
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


def _planned_power(variances: VarianceParts, distance: float, seeds: int, images: int, level: float) -> float:
    both = variances.left / (seeds * images)
    of = (variances.images / images + both, variances.seeds / seeds + both, both)
    if seeds < MIN_SEEDS:
        return _shown(distance, of[0] ** 0.5, images - 1.0, level)
    variance, freedom = paired.combined(*of, images, seeds)
    return _shown(distance, variance**0.5, freedom, level)


def _shown(distance: float, error: float, freedom: float, level: float) -> float:
    """Returns the probability that an interval excludes `distance` on one side (noncentral t)."""
    if error == 0:
        return float(distance > 0)
    return 1.0 - float(special.nctdtr(freedom, distance / error, special.stdtrit(freedom, (1 + level) / 2)))


@lru_cache(maxsize=64)
def _scales(freedom: int) -> np.ndarray:
    """Returns possible ratios of the true variance of seeds to the observed one: freedom / chi-squared, at equally likely
    points.
    """
    at = (np.arange(POINTS) + 0.5) / POINTS
    return np.asarray(freedom / stats.chi2.ppf(at, freedom))


def _first(counts: Sequence[int], enough: Callable[[int], bool]) -> int | None:
    """Returns the first of ascending counts that is sufficient, by bisection: power grows with the count."""
    place = bisect.bisect_left(counts, True, key=enough)
    return counts[place] if place < len(counts) else None
