"""Scores of how little an image resembles the training images, and how well they tell unknown images apart. No TensorFlow.

A higher score is less like the training images.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from scipy.stats import rankdata

from kerascnn.statistics.intervals import Interval, resampled

NEIGHBOR = 10  # the neighbor whose distance counts
ROUNDS = 500
CHUNK = 512  # images whose distances are held at once


def energy(logits: np.ndarray) -> np.ndarray:
    """Returns the free energy of logits [n, C], float64 [n] (Liu et al., 2020)."""
    return -logsumexp(logits.astype("float64"), axis=1)


def max_logit(logits: np.ndarray) -> np.ndarray:
    """Returns the negative largest logit, float64 [n] (Hendrycks et al., 2022)."""
    return -logits.astype("float64").max(axis=1)


class Known(NamedTuple):
    """Features of training images.

    Attributes:
        directions: Features of length 1, float32 [m, D]; most of what a rule keeps.
        means: Mean feature of each class with training images, [C, D].
        whitening: Features times this have, within classes, a covariance of about 1, [D, D].
    """

    directions: np.ndarray
    means: np.ndarray
    whitening: np.ndarray


def known(features: np.ndarray, labels: np.ndarray) -> Known:
    """Returns what distances to the training images need.

    Args:
        features: Of training images, [m, D].
        labels: Their classes, int [m].
    """
    exact = features.astype("float64")
    classes, of = np.unique(labels, return_inverse=True)
    means = np.stack([exact[of == c].mean(axis=0) for c in range(len(classes))])
    within = exact - means[of]
    covariance = within.T @ within / max(len(exact) - len(classes), 1)
    # Features that are always 0, and fewer images than features: shrunk towards the mean variance.
    values, vectors = np.linalg.eigh(covariance)
    level = max(float(values.mean()), 1e-12)
    share = min(1.0, exact.shape[1] / len(exact))
    shrunk = (1 - share) * np.maximum(values, 0) + share * level
    return Known(_unit(exact).astype("float32"), means, vectors / np.sqrt(np.maximum(shrunk, 1e-6 * level)))


def mahalanobis(features: np.ndarray, training: Known) -> np.ndarray:
    """Returns the squared Mahalanobis distance to the nearest class mean, float64 [n] (Lee et al., 2018)."""
    turned, means = features.astype("float64") @ training.whitening, training.means @ training.whitening
    return np.min([((turned - mean) ** 2).sum(axis=1) for mean in means], axis=0)


def neighbor(features: np.ndarray, training: Known) -> np.ndarray:
    """Returns the distance of directions to the NEIGHBOR-th nearest training image, float64 [n] (Sun et al., 2022)."""
    turned = _unit(features.astype("float64"))
    k = min(NEIGHBOR, len(training.directions)) - 1
    found = []
    for start in range(0, len(turned), CHUNK):
        squared = 2 - 2 * turned[start : start + CHUNK] @ training.directions.T
        found.append(np.sqrt(np.maximum(np.partition(squared, k, axis=1)[:, k], 0)))
    return np.concatenate(found) if found else np.empty(0)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def auroc(known_scores: np.ndarray, unknown_scores: np.ndarray) -> float:
    """Returns the probability that an unknown image has the higher score; equal ones count half."""
    n, m = len(known_scores), len(unknown_scores)
    ranks = rankdata(np.concatenate([known_scores, unknown_scores]))
    return float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))


def accepted(known_scores: np.ndarray, unknown_scores: np.ndarray, share: float = 0.95) -> float:
    """Returns the share of unknown images that are accepted where `share` of the known ones are (FPR at 95 % TPR)."""
    limit = np.quantile(known_scores, share, method="higher")
    return float((unknown_scores <= limit).mean())


class Detection(NamedTuple):
    """How well a score tells unknown images apart, with 95 % intervals.

    Attributes:
        auroc: As the function.
        accepted: As the function, at 95 %.
    """

    auroc: Interval
    accepted: Interval


def detection(known_scores: np.ndarray, unknown_scores: np.ndarray, groups: np.ndarray | None = None) -> Detection:
    """Returns the detection of unknown images: a bootstrap over known images (or their groups) and over unknown ones."""
    n, m, rounds = len(known_scores), len(unknown_scores), []
    first = (row for block in resampled(n, ROUNDS, 0, groups) for row in block)
    second = (row for block in resampled(m, ROUNDS, 1) for row in block)
    for a, b in zip(first, second, strict=True):
        drawn = known_scores[a], unknown_scores[b]
        rounds.append((auroc(*drawn), accepted(*drawn)))
    values = (auroc(known_scores, unknown_scores), accepted(known_scores, unknown_scores))
    ends = np.quantile(np.array(rounds), (0.025, 0.975), axis=0)
    found = [
        Interval(value, min(float(low), value), max(float(high), value), n + m)
        for value, low, high in zip(values, *ends, strict=True)
    ]
    return Detection(*found)
