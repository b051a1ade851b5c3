"""Intervals of a proportion or of a mean over seeds, and the draws of a bootstrap."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special, stats

# Images that are resampled at once: limits the memory of a bootstrap to some tens of megabytes for any split.
RESAMPLED_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """A number with its interval and the number of images or runs behind it; `_asdict()` is its form in metrics.json."""

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Returns a proportion with its score interval (Wilson, 1927), which holds near 0 and 1 and for small n.

    Raises:
        ValueError: no trials, or `successes` outside 0..n.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"expected 0 <= successes <= n and n >= 1, got {successes} of {n}")
    successes, n = int(successes), int(n)
    z2 = float(special.ndtri((1 + level) / 2)) ** 2
    middle = (successes + z2 / 2) / (n + z2)
    half = (z2 * (successes * (n - successes) / n + z2 / 4)) ** 0.5 / (n + z2)
    low = 0.0 if successes == 0 else middle - half
    return Interval(successes / n, low, 1.0 if successes == n else middle + half, n)


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Returns the mean of independent values (one per seed) with Student's interval; n is the number of values.

    Raises:
        ValueError: Fewer than two values, which have no spread.
    """
    data = np.asarray(values, float)
    if data.ndim != 1 or len(data) < 2:
        raise ValueError(f"a spread needs two values or more in one row, got shape {data.shape}")
    half = stats.t.ppf((1 + level) / 2, len(data) - 1) * stats.sem(data)
    return Interval(float(data.mean()), float(data.mean() - half), float(data.mean() + half), len(data))


def resampled(n: int, rounds: int, seed: int, groups: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Yields the images of each bootstrap round, with replacement: int [rounds, n], in blocks of some rounds.

    Args:
        n: Number of images.
        rounds: Number of resamplings.
        seed: Seed of the draws.
        groups: Group of each image, int [n], or None. Whole groups are drawn, as many as there are, so that rounds differ in
            length if groups differ in size; each block has rounds of one length.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        yield from _resampled_groups(groups, rounds, rng)
        return
    chunk = max(1, RESAMPLED_AT_ONCE // n)
    for start in range(0, rounds, chunk):
        yield rng.integers(0, n, (min(chunk, rounds - start), n))


def _resampled_groups(groups: np.ndarray, rounds: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    members, first = np.argsort(numbers, kind="stable"), np.append(0, np.cumsum(sizes)[:-1])
    drawn = rng.integers(0, len(sizes), (rounds, len(sizes)))
    lengths = sizes[drawn].sum(axis=1)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        chunk = max(1, RESAMPLED_AT_ONCE // int(length))
        for start in range(0, len(rows), chunk):
            chosen = drawn[rows[start : start + chunk]].ravel()
            counts = sizes[chosen]
            # Position of each image within its group, for a concatenation of groups.
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            yield members[np.repeat(first[chosen], counts) + within].reshape(-1, length)
