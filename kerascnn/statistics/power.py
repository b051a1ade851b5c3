"""What a comparison could have seen, and what it would take to see more."""

from collections.abc import Iterable
from dataclasses import replace

from scipy import stats

from kerascnn.statistics import paired
from kerascnn.statistics.paired import Difference

POWER = 0.8


def detectable(difference: Difference, power: float = POWER) -> float:
    """The smallest true difference that these seeds and images would have shown with probability `power`.

    It depends on the spread alone, never on the difference that was found.
    """
    quantiles = stats.t.ppf([(1 + difference.level) / 2, power], difference.freedom)
    return float(quantiles.sum() * difference.error)


def half_width(difference: Difference, *, seeds: int | None = None, images: int | None = None) -> float:
    """Half the interval's width that other counts of seeds and images would be expected to give."""
    planned = _planned(difference, seeds or difference.seeds, images or difference.images)
    return float(stats.t.ppf((1 + planned.level) / 2, planned.freedom) * planned.error)


def seeds_needed(difference: Difference, half: float, most: int = 30) -> int | None:
    """The smallest number of seeds, on these images, whose interval is `half` to either side; None above `most`."""
    first = max(difference.seeds, paired.MIN_SEEDS)
    return _first(range(first, most + 1), lambda seeds: half_width(difference, seeds=seeds) <= half)


def images_needed(difference: Difference, half: float, most: int = 1_000_000) -> int | None:
    """The number of images, with these seeds, whose interval is `half` to either side; None above `most`."""
    counts: list[int] = []
    count = float(difference.images)
    while count <= most:
        counts.append(round(count))
        count *= 1.1
    return _first(counts, lambda images: half_width(difference, images=images) <= half)


def both_needed(difference: Difference, half: float, most: int = 30) -> tuple[int, int] | None:
    """The fewest seeds for which ten times as many images, or fewer, give an interval of `half` to either side."""
    for seeds in range(max(difference.seeds, paired.MIN_SEEDS), most + 1):
        for times in (2, 3, 5, 10):
            images = times * difference.images
            if half_width(difference, seeds=seeds, images=images) <= half:
                return seeds, images
    return None


def _first(counts: Iterable[int], enough) -> int | None:
    return next((count for count in counts if enough(count)), None)


def _planned(difference: Difference, seeds: int, images: int) -> Difference:
    """The spread that `seeds` and `images` would give, by the shares of the variance that were seen."""
    s, m = difference.seeds, difference.images
    left = difference.left_part * s * m
    of_images = max(difference.images_part - difference.left_part, 0.0) * m
    of_seeds = max(difference.seeds_part - difference.left_part, 0.0) * s
    if s < paired.MIN_SEEDS:  # nothing is known of seeds: more images alone can be reckoned with
        error = (difference.images_part * m / images) ** 0.5
        return replace(difference, error=error, freedom=images - 1.0, images=images)
    both = left / (seeds * images)
    parts = (of_images / images + both, of_seeds / seeds + both, both)
    variance, freedom = paired._combined(*parts, images, seeds)
    return replace(difference, error=variance**0.5, freedom=freedom, images=images, seeds=seeds)
