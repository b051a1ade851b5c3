"""Calibration of probabilities: reliability bins, the expected calibration error, and temperature scaling."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from kerascnn.statistics.intervals import Interval
from kerascnn.statistics.proper_scores import SMALLEST, require_finite

BINS = 15
ROUNDS = 1000
TAIL = 0.025  # of the test that a network is calibrated
END = 0.015  # beyond either end of the interval: less than 0.025, as the true gaps' pattern is not known
_HALVINGS = 10
_MOST = 4.0  # a degree at which all accuracies are 0 or 1
_ROUNDING = 1e-12
# A temperature outside of these means that the split is too small, or has no mistakes, to fit one.
COLDEST, HOTTEST = 0.05, 20.0
_INSIDE = 1.02  # a minimum closer than this to a bound counts as the bound


class ReliabilityBin(NamedTuple):
    """A bin of a reliability diagram: mean confidence, accuracy and number of images."""

    confidence: float
    accuracy: float
    n: int


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[ReliabilityBin]:
    """Returns bins of equal mass of the images in order of confidence (Nixon et al., 2019); no bin is empty.

    Args:
        probabilities: [n, C].
        labels: True classes, int [n].
        bins: Largest number of bins; there are fewer if there are fewer images.

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    confidence, right = probabilities.max(axis=1).astype("float64"), probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return [ReliabilityBin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


class Ece(NamedTuple):
    """Expected calibration error over 15 bins of equal mass, for the population of images.

    Attributes:
        interval: The error without the part of chance, with its 95 % interval. The lower end is 0 unless a calibrated network
            would show such an error in fewer than 2.5 % of splits.
        plain: The mean gap of this split's bins without correction (Guo et al., 2017, section 2), which contains the part of
            chance.
        null: Median of `plain` for a calibrated network, whose labels are drawn from the same confidences.
        null_high: The 97.5th percentile of `plain` for a calibrated network.
        p: Share of such draws whose error is `plain` or more.
    """

    interval: Interval
    plain: float
    null: float
    null_high: float
    p: float


def ece(
    probabilities: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None = None,
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Ece:
    """Returns the calibration error of the population, with an interval from the split's bins.

    The gap of a bin contains its true gap and chance, which together exceed the true error: a calibrated network shows 2.3 %
    with 1,000 images. Splits are therefore drawn for networks with the same miscalibration to several degrees t: the true gap
    of a bin is t times the gap seen here, and its number of correct predictions is binomial. The interval holds the degrees
    for which the observed error is among the middle 97 % of the draws, and the value is the degree for which it is their
    median. For the lower end only the part of a gap beyond chance counts as true; for the upper end all bins have the same
    gap. Both choices widen the interval. With groups, the gaps of bins scatter as sums over whole groups.

    Args:
        probabilities: [n, C].
        labels: True classes, [n].
        groups: Group of each image, int [n], or None if images are independent.
        seed: Seed of the draws.
        rounds: Number of draws.

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    confidence, right = probabilities.max(axis=1).astype("float64"), probabilities.argmax(axis=1) == labels
    found = _Bins.of(confidence, right, BINS)
    parts = None if groups is None else _Parts.of(found, confidence, right, groups)
    chance = _binomial(found, rounds, seed) if parts is None else _by_group(found, parts, rounds, seed)
    null = chance.draws(found.confidence)
    p = float((null >= found.error - _ROUNDING).mean())
    gaps = found.confidence - found.accuracy
    sure = np.maximum(np.abs(gaps) - chance.scatter, 0)
    if not sure.any():
        sure = (np.abs(gaps) == np.abs(gaps).max()).astype(float)
    low = 0.0 if p >= TAIL else _degree(found, chance.draws, 1 - END, np.sign(gaps) * sure)
    value = _degree(found, chance.draws, 0.5, gaps)
    high = _degree(found, chance.draws, END, np.where(gaps < 0, -1.0, 1.0))
    interval = Interval(value, min(low, value), max(high, value), len(labels))
    return Ece(interval, found.error, float(np.median(null)), float(np.quantile(null, 1 - TAIL)), p)


class _Bins(NamedTuple):
    """The number of images, mean confidence and accuracy of each bin, and the bin of each image."""

    sizes: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    member: np.ndarray

    @classmethod
    def of(cls, confidence: np.ndarray, right: np.ndarray, bins: int) -> "_Bins":
        n = len(confidence)
        edges = np.linspace(0, n, min(bins, n) + 1).round().astype(int)
        sizes = np.diff(edges)
        member = np.empty(n, int)
        member[np.argsort(confidence, kind="stable")] = np.repeat(np.arange(len(sizes)), sizes)
        return cls(sizes, np.bincount(member, confidence) / sizes, np.bincount(member, right) / sizes, member)

    @property
    def error(self) -> float:
        return float(self.gap(self.accuracy))

    def gap(self, accuracy: np.ndarray) -> np.ndarray:
        """Returns the calibration error for accuracies [..., bins]."""
        return np.abs(self.confidence - accuracy) @ self.sizes / self.sizes.sum()


class _Chance(NamedTuple):
    """The sampling distribution of splits of a network with known accuracies.

    Attributes:
        draws: Calibration errors of `rounds` splits, for accuracies [bins] of the population.
        scatter: Standard deviation of each bin's accuracy for a calibrated network, [bins].
    """

    draws: Callable[[np.ndarray], np.ndarray]
    scatter: np.ndarray


def _binomial(bins: _Bins, rounds: int, seed: int) -> _Chance:
    shape = (rounds, len(bins.sizes))

    def draws(accuracy: np.ndarray) -> np.ndarray:
        return bins.gap(np.random.default_rng(seed).binomial(bins.sizes, accuracy, shape) / bins.sizes)

    return _Chance(draws, np.sqrt(bins.confidence * (1 - bins.confidence) / bins.sizes))


class _Parts(NamedTuple):
    """The contributions of groups to each bin.

    Attributes:
        sums: Effect of each group on each bin's accuracy, [groups, bins], scaled to the scatter of independent groups.
        alone: Variance of each bin's accuracy if all images were independent and calibrated, [bins].
    """

    sums: np.ndarray
    alone: np.ndarray

    @classmethod
    def of(cls, bins: _Bins, confidence: np.ndarray, right: np.ndarray, groups: np.ndarray) -> "_Parts":
        numbers, classes = np.unique(groups, return_inverse=True)[1], len(bins.sizes)
        count = int(numbers.max()) + 1

        def by_bin(values: np.ndarray) -> np.ndarray:
            return np.bincount(numbers * classes + bins.member, values, count * classes).reshape(count, classes)

        sums = by_bin((right - bins.accuracy[bins.member]) / bins.sizes[bins.member])
        # A bin's accuracy is fitted to its groups: their spread is scaled up by the effective number of groups of equal size.
        equal = bins.sizes**2 / (by_bin(np.ones(len(right))) ** 2).sum(axis=0)
        alone = np.bincount(bins.member, confidence * (1 - confidence), classes) / bins.sizes**2
        return cls(sums * np.sqrt(equal / np.maximum(equal - 1, 0.5)), alone)


def _by_group(bins: _Bins, parts: _Parts, rounds: int, seed: int) -> _Chance:
    """Returns Gaussian sums over groups; a bin scatters at least like its images, if they were independent."""
    rng, (count, classes) = np.random.default_rng(seed), parts.sums.shape
    variance, freedom = (parts.sums**2).sum(axis=0), max(count - classes, 1)
    scatter = rng.standard_normal((rounds, count)) @ parts.sums
    # A bin without mistakes shows no scatter: it gets that of independent images.
    scatter += rng.standard_normal(scatter.shape) * np.sqrt(np.maximum(parts.alone - variance, 0))
    scatter *= np.sqrt(freedom / rng.chisquare(freedom, (rounds, 1)))
    return _Chance(lambda accuracy: bins.gap(accuracy + scatter), np.sqrt(np.maximum(variance, parts.alone)))


def _degree(bins: _Bins, draws: Callable[[np.ndarray], np.ndarray], share: float, direction: np.ndarray) -> float:
    """Returns the calibration error in a `direction` for which `share` of the draws are at most the observed error, or 0."""
    seen, length = bins.error, np.abs(direction) @ bins.sizes / bins.sizes.sum()
    direction = direction / length if length else np.ones(len(direction))

    def accuracy(degree: float) -> np.ndarray:
        return np.clip(bins.confidence - degree * direction, 0, 1)

    def too_little(degree: float) -> bool:
        return float((draws(accuracy(degree)) <= seen + _ROUNDING).mean()) > share

    if not too_little(0.0):
        return 0.0
    low, high = 0.0, max(2 * seen, 0.01)
    while too_little(high) and high < _MOST:
        low, high = high, 2 * high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if too_little(middle) else (low, middle)
    return float(bins.gap(accuracy((low + high) / 2)))


def cooled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the probabilities [n, C] after division of their logits by `temperature`.

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    logits = np.log(np.maximum(probabilities.astype("float64"), SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


class Temperature(NamedTuple):
    """The divisor of logits. If the split cannot determine it, it is 1 and `reason` says why; otherwise `reason` is empty."""

    value: float
    reason: str = ""


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> Temperature:
    """Returns the temperature that minimizes the log loss (Guo et al., 2017, section 4.2); above 1 the network was
    overconfident.

    Fit it on val, never on the split that is reported. A split without mistakes would lead to probabilities of 1, and a
    minimum at COLDEST or HOTTEST is not a minimum: both give 1, with the reason.

    Args:
        probabilities: [n, C].
        labels: True classes, int [n].

    Raises:
        ValueError: A probability is NaN.
    """
    require_finite(probabilities)
    mistakes = int((probabilities.argmax(axis=1) != labels).sum())
    if not mistakes:
        return Temperature(1.0, f"no mistake among {len(labels):,} images")

    def loss(log_temperature: float) -> float:
        chosen = cooled(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, SMALLEST)).mean())

    found = float(np.exp(minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded").x))
    if not COLDEST * _INSIDE < found < HOTTEST / _INSIDE:
        return Temperature(
            1.0, f"a log loss that still falls at the bound, a temperature of {COLDEST if found < 1 else HOTTEST:g}"
        )
    return Temperature(found)
