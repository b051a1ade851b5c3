"""Stratified cuts of images with several labels, by the rank of a hash. No TensorFlow.

Iterative stratification (Sechidis et al., 2011, "On the stratification of multi-label data") takes the label with the fewest
images left, and gives each split as many of these as it still lacks. Which images those are is up to it: here they are the
ones with the lowest numbers, as in the cut of images with one label. An image's split thus depends mostly on its own number,
and images with one label each are cut as they are without this.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerascnn.data.splits import NAMES_TYPE, TRAIN


def assign(
    unit_of: np.ndarray, at: np.ndarray, labels: np.ndarray, names: Sequence[str], ends: np.ndarray
) -> np.ndarray:
    """Returns a split for each unit (an image, or a group of them), str [units].

    Args:
        unit_of: Unit of each image, int [n].
        at: Number of each unit, [units]; the lowest are cut first.
        labels: bool [n, classes].
        names: The splits that are cut, in their order; the rest is train.
        ends: Share of the images up to the end of each, ascending.
    """
    units, order = len(at), np.argsort(at, kind="stable")
    # Images without a label are one more class.
    whole = np.column_stack([labels, ~labels.any(axis=1)])
    if units == len(whole):  # no groups: a table of bool, an eighth of the memory
        votes = np.empty_like(whole)
        votes[unit_of] = whole
    else:
        votes = np.zeros((units, whole.shape[1]), np.int64)
        np.add.at(votes, unit_of, whole)
    wanted = np.diff(ends, prepend=0)[:, None] * votes.sum(axis=0)  # [splits, classes]
    given, remaining = np.zeros_like(wanted), votes.sum(axis=0)
    left = np.ones(units, bool)
    result = np.full(units, TRAIN, NAMES_TYPE)
    in_train = np.zeros(votes.shape[1], bool)
    while left.any():
        label = int(np.where(remaining > 0, remaining, remaining.max() + 1).argmin())
        members = order[left[order] & (votes[order, label] > 0)]
        images = np.r_[0, np.cumsum(votes[members, label])]  # in the first k units
        lacking = np.cumsum(np.maximum(wanted[:, label] - given[:, label], 0))
        nearest = np.abs(images[:, None] - lacking).argmin(axis=0).tolist()
        fresh = not in_train[label] and not given[:, label].any()
        cuts = bounds(nearest, len(members)) if fresh else nearest
        if not in_train[label] and cuts and cuts[-1] == len(members):
            cuts = [min(cut, len(members) - 1) for cut in cuts]  # train gets one
        for i, (name, low, high) in enumerate(zip(names, [0, *cuts], cuts, strict=False)):
            result[members[low:high]] = name
            given[i] += votes[members[low:high]].sum(axis=0)
        in_train |= (votes[members[cuts[-1] if cuts else 0 :]] > 0).any(axis=0)
        remaining = remaining - votes[members].sum(axis=0)
        left[members] = False
    return result


def bounds(nearest: list[int], count: int) -> list[int]:
    """Returns the ends of the cuts among `count` sorted members, such that train and each cut have one if possible.

    >>> bounds([0, 0], 3), bounds([2, 2], 2), bounds([15, 30], 100)
    ([1, 2], [1, 1], [15, 30])
    """
    moved: list[int] = []
    for place, bound in enumerate(nearest):
        low = moved[-1] if moved else 0
        most = max(low, count - 1 - max(0, len(nearest) - 1 - place))
        moved.append(min(max(bound, low + 1), max(most, min(low + 1, count - 1))))
    return moved


def lowest(train: np.ndarray, at: np.ndarray, labels: np.ndarray, fraction: float, notes: list[str]) -> np.ndarray:
    """Returns the share of train with the lowest numbers, and of each label without an image there its lowest one.

    Smaller shares are subsets.
    """
    order = np.argsort(at, kind="stable")
    kept = order[: max(1, round(fraction * len(order)))]
    lacking = np.flatnonzero(labels.any(axis=0) & ~labels[kept].any(axis=0))
    more = [order[labels[order, label]][0] for label in lacking]
    return chosen(train, np.unique(np.r_[kept, more].astype(int)), fraction, notes)


def chosen(train: np.ndarray, kept: np.ndarray, fraction: float, notes: list[str]) -> np.ndarray:
    """Returns the images of train at these positions, and notes their number."""
    found = train[np.sort(kept)]
    notes.append(f"train: {len(found)} of {len(train)} images (--fraction {fraction:g})")
    return found
