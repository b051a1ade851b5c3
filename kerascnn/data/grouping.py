"""Groups of images (--group-by): the images of a group stay in one split, and intervals resample them together."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from kerascnn.errors import UserError


def keys_of(ids: Sequence[str], pattern: str | None) -> tuple[list[str], int]:
    """Returns the group of each image, and the number of images without a match, which are groups of their own.

    Args:
        ids: Names of images.
        pattern: A regular expression: the part of an id that it matches (its groups, if it has some) is the group. With None
            each image is a group of its own.

    Raises:
        UserError: The pattern is not a regular expression.
    """
    if pattern is None:
        return list(ids), len(ids)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--group-by {pattern!r} is not a regular expression: {error}") from None
    matches = [compiled.search(name) for name in ids]
    keys = [
        name if match is None else "\n".join(part or "" for part in match.groups()) or match.group()
        for name, match in zip(ids, matches, strict=True)
    ]
    return keys, sum(match is None for match in matches)


def groups_of(ids: Sequence[str] | np.ndarray, pattern: str | None) -> np.ndarray | None:
    """Returns the number of each image's group, int [n], for `statistics`, or None if there are no groups.

    Args:
        ids: Names of images as `predictions/<split>.npz` keeps them.
        pattern: The run's `data.group_by`.
    """
    if pattern is None:
        return None
    keys, _ = keys_of([str(name) for name in ids], pattern)
    numbers = np.unique(keys, return_inverse=True)[1]
    return None if len(numbers) == 0 or numbers.max() + 1 == len(numbers) else numbers.astype(np.int64)
