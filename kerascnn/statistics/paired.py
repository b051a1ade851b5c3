"""Paired comparison of two archs on the same images with the same seeds: the difference, its spread, and further tests.

Let D[s, i] be the difference at seed s and image i. It has four parts: the mean difference, an effect of image i on one
family in every run, an effect of seed s on one arch for every image, and the rest (of seed and image together). The variance
of its mean over S seeds and m images is images / m + seeds / S + left / (S m).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.intervals import Interval, resampled, t_interval
from kerascnn.statistics.seeds import MIN_SEEDS

# A few seeds can agree by chance, and the spread would nearly vanish: the variance is at least this share of the
# images' own. Chosen by simulation (`kerascnn.statistics.simulate`): at 0.5 three seeds held the truth in 92 % of
# comparisons where images favor a family; at 1 the interval holds it in 94 to 98 % of most populations.
FLOOR = 1.0


@dataclass(frozen=True)
class Difference:
    """The difference, second minus first, with the interval for a verdict.

    Args:
        value: The mean difference over seeds.
        low: Lower end of the interval.
        high: Upper end.
        level: Confidence level of the interval.
        images: Number of images.
        seeds: Number of seeds.
        over: What was resampled: "images and seeds", or "images" if there are too few seeds.
        error: Standard error of `value`.
        freedom: Degrees of freedom of the t quantile.
        images_part: Share of the variance from images: images / m + left / (S m).
        seeds_part: Share of the variance from seeds: seeds / S + left / (S m); 0 for one seed.
        left_part: left / (S m), which is part of both others; 0 for one seed.
        groups: Number of groups that were resampled as wholes, or None if images are independent.
        most: Largest possible difference, 1 for shares; the interval ends there.
    """

    value: float
    low: float
    high: float
    level: float
    images: int
    seeds: int
    over: str
    error: float
    freedom: float
    images_part: float
    seeds_part: float
    left_part: float
    groups: int | None = None
    most: float = math.inf

    @property
    def units(self) -> int:
        """Number of independent draws of images: of groups if images are grouped."""
        return self.groups or self.images

    def at(self, level: float) -> "Difference":
        """Returns the same difference with an interval of another level."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error
        low, high = max(self.value - half, -self.most), min(self.value + half, self.most)
        return replace(self, low=low, high=high, level=level)


def two_way(
    differences: Callable[[np.ndarray], np.ndarray],
    *,
    images: int,
    seeds: int,
    most: float = math.inf,
    groups: np.ndarray | None = None,
    rounds: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Returns the interval of a paired difference, with images and seeds resampled.

    Images are resampled, the same for every seed and both archs. Resampling the seeds as well adds the variance among their
    differences, which needs no draws. This two-way bootstrap (Owen, 2007, "The pigeonhole bootstrap") counts the rest three
    times; the two surplus counts are subtracted, as estimated from the spread among seeds within the resamplings. The
    quantile is Student's with the degrees of freedom of Satterthwaite (1946): those of the seeds if the spread comes from
    seeds, the normal distribution's if it comes from images. The variance is never less than that of the images. With fewer
    than three seeds only images are resampled.

    Args:
        differences: Function of image indices [rounds, images] that returns the difference at each seed, [rounds, seeds].
        images: Number of images.
        seeds: Number of seeds.
        most: The most that a difference can be: 1 for shares of images. Where there is such a bound, any image might change
            sides, also if all images agree: the images' part of the variance is at least that of one such image in a share,
            1 / images**2 (for groups: that of as many images as a group has, each on its own).
        groups: Group of each image, int [images], or None if images are independent. Whole groups are resampled, since the
            images of one patient or scene are right or wrong together.
        rounds: Number of resamplings.
        seed: Seed of the draws.
        level: Confidence level of the interval.

    Raises:
        ValueError: Fewer than two images or groups, no seed, or `differences` of another shape.
    """
    counts = None if groups is None else np.unique(groups, return_counts=True)[1]
    units = images if counts is None else len(counts)
    if counts is not None and units < 2:
        raise ValueError(f"expected at least two groups of images, got {units}")
    if images < 2 or seeds < 1:
        raise ValueError(f"expected at least two images and one seed, got {images} and {seeds}")
    observed = differences(np.arange(images)[None])
    if observed.shape != (1, seeds):
        raise ValueError(f"expected differences of shape (1, {seeds}), got {observed.shape}")
    value = float(observed.mean())
    parts = _parts(observed, _drawn(differences, images, rounds, seed, groups), images, units, most)
    variance, freedom = (parts[0], units - 1.0) if seeds < MIN_SEEDS else combined(*parts, units, seeds)
    over = ("images" if groups is None else "groups of images") + (" and seeds" if seeds >= MIN_SEEDS else "")
    return Difference(
        value=value,
        low=value,
        high=value,
        level=level,
        images=images,
        seeds=seeds,
        over=over,
        error=variance**0.5,
        freedom=freedom,
        images_part=parts[0],
        seeds_part=parts[1],
        left_part=parts[2],
        groups=None if counts is None else units,
        most=most,
    ).at(level)


def _parts(observed: np.ndarray, drawn: np.ndarray, images: int, units: int, most: float) -> tuple[float, float, float]:
    """Returns the parts of the variance that are due to the images, the seeds, and both together, as in `Difference`.

    Args:
        observed: The difference at each seed, [1, seeds].
        drawn: The same of each resampling of the images, [rounds, seeds].
        images: Number of images.
        units: Number of images, or of groups.
        most: As in `two_way`.
    """
    # The variance of a bootstrap is (m - 1) / m of the unbiased one.
    images_part = float(drawn.mean(axis=1).var(ddof=1)) * units / (units - 1)
    if math.isfinite(most):
        images_part = max(images_part, 1 / (images * units))
    seeds = observed.shape[1]
    if seeds < 2:
        return images_part, 0.0, 0.0
    seeds_part = float(observed.var(ddof=1)) / seeds
    return images_part, seeds_part, max(float(drawn.var(axis=1, ddof=1).mean()) / seeds - seeds_part, 0.0)


def combined(images_part: float, seeds_part: float, left_part: float, images: int, seeds: int) -> tuple[float, float]:
    """Returns the variance of the mean difference and its degrees of freedom.

    Args:
        images_part: As in `Difference`.
        seeds_part: As in `Difference`.
        left_part: As in `Difference`.
        images: Number of images, or of groups.
        seeds: Number of seeds.
    """
    variance = max(images_part + seeds_part - left_part, FLOOR * images_part)
    freedoms = (images - 1, seeds - 1, (images - 1) * (seeds - 1))
    parts = (images_part, seeds_part, left_part)
    uncertain = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return variance, max(variance**2 / uncertain, 1.0) if uncertain else images - 1.0


def _drawn(
    differences: Callable[[np.ndarray], np.ndarray], images: int, rounds: int, seed: int, groups: np.ndarray | None
) -> np.ndarray:
    """Yields the differences [rounds, seeds] of `rounds` draws of images, or of whole groups."""
    return np.concatenate([differences(index) for index in resampled(images, rounds, seed, groups)])


def p_value(difference: Difference) -> float:
    """Returns the probability that equal archs show such a large difference: the two-sided test that fits the interval."""
    if difference.error == 0:
        return 1.0 if difference.value == 0 else 0.0
    return float(2 * stats.t.sf(abs(difference.value) / difference.error, difference.freedom))


def sign_test(differences: np.ndarray) -> float:
    """Returns the p value of the exact two-sided test that as many images gain as lose.

    It is valid for a few images, whose variance is unknown.

    Args:
        differences: Difference of each image over all seeds, float [m]; images without a difference do not count.
    """
    gained, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


def compare_seeds(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Returns second - first with Student's interval over seeds: the result of other seeds on the same images."""
    return t_interval(np.subtract(second, first).tolist())


def ratio_interval(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Interval:
    """Returns the ratio second / first of paired positive numbers, such as latencies in several processes; n counts pairs.

    The interval is Student's for the mean logarithm: a ratio and its inverse have inverse intervals.

    Raises:
        ValueError: Fewer than two pairs, or numbers that are not positive.
    """
    pairs = np.asarray([first, second], float)
    if not (pairs > 0).all():
        raise ValueError(f"expected positive numbers, got {pairs.tolist()}")
    logs = t_interval((np.log(pairs[1]) - np.log(pairs[0])).tolist(), level)
    value, low, high = np.exp(logs[:3]).tolist()
    return Interval(value, low, high, logs.n)


class McNemar(NamedTuple):
    """McNemar's test of a pair of runs on the same images.

    Args:
        only_first: Images that only the first got right.
        only_second: Images that only the second got right.
        p: The p value of the exact two-sided test that both counts are equally likely.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first: np.ndarray, second: np.ndarray) -> McNemar:
    """Returns McNemar's exact test (1947): whether these two runs, not their archs, differ on the images' population.

    Args:
        first: Whether the first run got each image right, bool [m].
        second: Whether the second run got each image right, bool [m].

    Raises:
        ValueError: Arrays of different shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"expected the same images, got shapes {first.shape} and {second.shape}")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    disagree = only_first + only_second
    p = float(stats.binomtest(only_first, disagree).pvalue) if disagree else 1.0
    return McNemar(only_first, only_second, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values corrected for their number (Holm, 1979): all those below 0.05 hold together with 95 %."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    steps = (len(p) - np.arange(len(p))) * p[order]
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(p) else steps
    return corrected.tolist()
