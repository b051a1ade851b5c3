"""Whether probabilities mean what they say: plain numbers in, numbers out."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from kerascnn.statistics.intervals import Interval, resampled

BINS = 15
# Beyond these a temperature says that the split is too small, or perfectly right, to fit one.
COLDEST, HOTTEST = 0.05, 20.0
_SMALLEST = np.finfo("float32").tiny


class Bin(NamedTuple):
    """One bin of a reliability diagram: mean confidence, accuracy, number of images."""

    confidence: float
    accuracy: float
    n: int


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Images ordered by confidence, in bins of equal mass (Nixon et al., 2019): none is empty.

    Args:
        probabilities: [n, C].
        labels: True classes, [n].
        bins: At most so many; fewer where there are fewer images.
    """
    confidence, right = probabilities.max(axis=1).astype("float64"), probabilities.argmax(axis=1) == labels
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return [Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Expected calibration error over bins of equal mass, for each row of [rounds, n] (Guo et al., 2017, section 2)."""
    order = np.argsort(confidence, axis=1, kind="stable")
    sorted_confidence, sorted_right = (np.take_along_axis(a.astype("float64"), order, 1) for a in (confidence, right))
    edges = np.linspace(0, confidence.shape[1], min(bins, confidence.shape[1]) + 1).round().astype(int)[:-1]
    gaps = np.add.reduceat(sorted_confidence - sorted_right, edges, axis=1)
    return np.abs(gaps).sum(axis=1) / confidence.shape[1]


def ece_interval(probabilities: np.ndarray, labels: np.ndarray, rounds: int = 1000, seed: int = 0) -> Interval:
    """ECE with a bootstrap interval over images that is moved back by the bootstrap's own bias.

    Resampled images repeat, and a bin of repeated images looks worse calibrated than it is: the plain percentile interval
    of a well calibrated network lies above its ECE.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    n = len(labels)
    drawn = [ece(confidence[index], right[index]) for index in resampled(n, rounds, seed)]
    value = float(ece(confidence[None], right[None])[0])
    found = np.concatenate(drawn)
    low, high = np.quantile(found, [0.025, 0.975]) - (found.mean() - value)
    return Interval(value, max(0.0, float(low)), float(high), n)


def brier(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each image's squared distance between its probabilities and the truth, [n], from 0 to 2 (Brier, 1950)."""
    truth = np.zeros_like(probabilities, dtype="float64")
    truth[np.arange(len(labels)), labels] = 1
    return ((probabilities - truth) ** 2).sum(axis=1)


def cooled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [n, C] as the softmax of their logits divided by `temperature` would be; 1 changes nothing."""
    logits = np.log(np.maximum(probabilities.astype("float64"), _SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that minimises the log loss (Guo et al., 2017, section 4.2); above 1 the answers were too sure.

    Fit it on val, never on what is reported.
    """

    def loss(log_temperature: float) -> float:
        chosen = cooled(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, _SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))
