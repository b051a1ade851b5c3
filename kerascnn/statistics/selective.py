"""Selective prediction: the risk of the most certain predictions against their share of the images."""

from typing import NamedTuple

import numpy as np

from kerascnn.statistics.intervals import Interval, resampled

ROUNDS = 1000


class RiskCoverage(NamedTuple):
    """The curve of answers to the most certain images only.

    Attributes:
        coverage: Share of the images that are answered, rising, [points].
        risk: Share of wrong predictions among them, [points].
        certainty: The lowest certainty that is answered, [points].
    """

    coverage: np.ndarray
    risk: np.ndarray
    certainty: np.ndarray


def curve(certainty: np.ndarray, right: np.ndarray) -> RiskCoverage:
    """Returns the risk for each number of answered images; equally certain ones are answered together.

    Args:
        certainty: Of each prediction, [n].
        right: Whether each is right, bool [n].
    """
    order = np.argsort(-certainty, kind="stable")
    falling, wrong = certainty[order], np.cumsum(~right[order])
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return RiskCoverage((last + 1) / len(falling), wrong[last] / (last + 1), falling[last])


def keys(certainty: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns what `areas` sorts images by, int32 [n]: the most certain first, equally certain ones together."""
    ranks = np.unique(-certainty, return_inverse=True)[1].reshape(-1)
    return (2 * ranks + ~right).astype(np.int32)


def areas(drawn: np.ndarray) -> np.ndarray:
    """Returns the area under the risk-coverage curve (Geifman and El-Yaniv, 2017) of each row: the mean of its risks, [rounds].

    Among equally certain images the errors are spread evenly, since their order is arbitrary.

    Args:
        drawn: Keys of images, [rounds, n], from `keys`.
    """
    ordered = np.sort(drawn, axis=1)
    ranks, n = ordered >> 1, ordered.shape[1]
    places = np.arange(n + 1)
    wrong = np.concatenate([np.zeros((len(ordered), 1)), np.cumsum(ordered & 1, axis=1)], axis=1)
    starts = np.concatenate([np.ones((len(ordered), 1), bool), np.diff(ranks, axis=1) != 0], axis=1)
    first = np.maximum.accumulate(np.where(starts, places[:-1], 0), axis=1)
    ends = np.concatenate([starts[:, 1:], np.ones((len(ordered), 1), bool)], axis=1)
    last = np.minimum.accumulate(np.where(ends, places[1:], n)[:, ::-1], axis=1)[:, ::-1]
    low, high = np.take_along_axis(wrong, first, 1), np.take_along_axis(wrong, last, 1)
    even = low + (high - low) * (places[1:] - first) / (last - first)
    return (even / places[1:]).mean(axis=1)


def area(certainty: np.ndarray, right: np.ndarray, groups: np.ndarray | None = None, seed: int = 0) -> Interval:
    """Returns the area under the curve with its 95 % interval: percentiles of a bootstrap over images, or over groups."""
    known = keys(certainty, right)
    value = float(areas(known[None])[0])
    drawn = np.concatenate([areas(known[index]) for index in resampled(len(known), ROUNDS, seed, groups)])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value, min(float(low), value), max(float(high), value), len(right))


def certainty_for(certainty: np.ndarray, right: np.ndarray, accuracy: float) -> float | None:
    """Returns the lowest certainty above which `accuracy` of the predictions are right, or None if there is none.

    Choose it on images that are not reported: val or calibration.
    """
    found = curve(certainty, right)
    enough = np.flatnonzero(1 - found.risk >= accuracy - 1e-12)
    return float(found.certainty[enough[-1]]) if len(enough) else None
