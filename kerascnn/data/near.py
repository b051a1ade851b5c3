"""Near-copies among perceptual hashes: all pairs within a few bits, confirmed on thumbnails, in bounded memory. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

# Chosen by planted copies and by looking at pairs of four data sets (experiments/results/auditing/audit.md): hashes that
# differ in more bits are not compared, and thumbnails of photos that correlate less are not copies.
BITS, LEAST = 10, 0.95
# Centered products on one background are alike without being copies: of this many random pairs, those of different hashes,
# the quantile says how alike different images of the data set get.
SAMPLE, QUANTILE = 100_000, 0.999
FEW = 10  # pairs above the quantile, at least: in a small data set a single pair is not chance
# Two images without contrast correlate by their noise.
FLAT = 2.0
ROWS, COLUMNS = 128, 8192  # hashes that are compared at once: 8 MB of numbers per thread


class NearPairs(NamedTuple):
    """Pairs of images that look the same.

    Attributes:
        first, second: Indices of the images, int32 [m]; first < second.
        mirrored: Whether the second one is mirrored, bool [m].
        alike: Correlation of their thumbnails, float32 [m].
    """

    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray
    alike: np.ndarray

    @classmethod
    def none(cls) -> NearPairs:
        """Returns no pairs."""
        return cls(*(np.zeros(0, kind) for kind in (np.int32, np.int32, bool, np.float32)))


def near_pairs(
    hashes: np.ndarray,
    mirrored: np.ndarray,
    thumbnails: np.ndarray,
    advance: Callable[[int], None] = lambda count: None,
    *,
    least: float = LEAST,
) -> NearPairs:
    """Returns all pairs of n images that look the same, also mirrored ones.

    Args:
        hashes: Perceptual hashes, uint64 [n].
        mirrored: Those of the mirrored images, uint64 [n].
        thumbnails: Gray, uint8 [n, side, side].
        advance: Called with the number of images that are done since the last call.
        least: Least correlation of two thumbnails of copies: see `least_alike`.
    """
    count = len(hashes)
    usable = np.flatnonzero(~_flat(thumbnails))

    def compared(start: int) -> tuple[int, list[NearPairs]]:
        rows = usable[start : start + ROWS]
        found = []
        for first in range(start, len(usable), COLUMNS):
            columns = usable[first : first + COLUMNS]
            for flipped in (False, True):
                i, j = _close(hashes[rows], (mirrored if flipped else hashes)[columns])
                later = columns[j] > rows[i]
                found.append(_confirmed(rows[i[later]], columns[j[later]], flipped, thumbnails, least))
        return len(rows), found

    parts: list[NearPairs] = []
    for done, found in _in_threads(compared, range(0, len(usable), ROWS)):
        parts += found
        advance(done)
    advance(count - len(usable))
    return _once(parts)


def _in_threads(compared: Callable[[int], tuple[int, list[NearPairs]]], starts: range) -> Iterator[tuple]:
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(compared, starts)
    finally:
        pool.shutdown(cancel_futures=True)


def least_alike(hashes: np.ndarray, thumbnails: np.ndarray) -> float:
    """Returns the least correlation of two thumbnails of copies in a data set.

    Copies must be much more alike than different images get by chance: with c their correlation in one of a thousand pairs,
    1 - (1 - c)^2, but at least LEAST, as for all photos seen so far.
    """
    count = len(hashes)
    if count < 3:
        return LEAST
    pairs = count * (count - 1) // 2
    i, j = np.triu_indices(count, 1) if pairs < SAMPLE else np.random.default_rng(0).integers(0, count, (2, SAMPLE))
    different = np.bitwise_count(hashes[i] ^ hashes[j]) > BITS
    flat = _flat(thumbnails)
    chosen = different & ~flat[i] & ~flat[j]
    if not chosen.any():
        return LEAST
    alike = _correlations(thumbnails, i[chosen], j[chosen])
    quantile = max(0.0, min(QUANTILE, 1.0 - FEW / pairs))
    return max(LEAST, 1.0 - (1.0 - float(np.quantile(alike, quantile))) ** 2)


def _close(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of all pairs of hashes that differ in at most BITS bits."""
    different = np.bitwise_count(one[:, None] ^ other[None, :])
    places = np.flatnonzero(different <= BITS)
    return np.divmod(places, len(other))


def _confirmed(i: np.ndarray, j: np.ndarray, flipped: bool, thumbnails: np.ndarray, least: float) -> NearPairs:
    """Returns the pairs whose thumbnails correlate: hashes of simple pictures are often alike."""
    alike = _correlations(thumbnails, i, j, flipped)
    kept = alike >= least
    columns = i[kept].astype(np.int32), j[kept].astype(np.int32)
    return NearPairs(*columns, np.full(int(kept.sum()), flipped), alike[kept])


def _correlations(thumbnails: np.ndarray, i: np.ndarray, j: np.ndarray, flipped: bool = False) -> np.ndarray:
    """Returns the correlation of each pair of thumbnails, float32 [m]; a few thousand pairs are in memory."""
    found = np.zeros(len(i), np.float32)
    for start in range(0, len(i), COLUMNS):
        part = slice(start, start + COLUMNS)
        one, other = _standardized(thumbnails[i[part]]), _standardized(_turned(thumbnails[j[part]], flipped))
        found[part] = np.einsum("np,np->n", one, other)
    return found


def _flat(thumbnails: np.ndarray) -> np.ndarray:
    """Returns which thumbnails have no contrast, bool [n]."""
    parts = [
        thumbnails[start : start + COLUMNS].std(axis=(1, 2), dtype=np.float32) <= FLAT
        for start in range(0, len(thumbnails), COLUMNS)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def _turned(thumbnails: np.ndarray, flipped: bool) -> np.ndarray:
    return thumbnails[:, :, ::-1] if flipped else thumbnails


def _standardized(thumbnails: np.ndarray) -> np.ndarray:
    """Returns rows of mean 0 and length 1, float32 [n, pixels]."""
    rows = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _once(parts: list[NearPairs]) -> NearPairs:
    """Returns all pairs, each one time: symmetric pictures match both ways, of which the closer one stays."""
    if not parts:
        return NearPairs.none()
    whole = NearPairs(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    order = np.lexsort((-whole.alike, whole.second, whole.first))
    whole = NearPairs(*(column[order] for column in whole))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(whole.first) != 0) | (np.diff(whole.second) != 0)
    return NearPairs(*(column[new] for column in whole))
