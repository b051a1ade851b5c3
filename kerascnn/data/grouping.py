"""Groups of images (--group-by, --group-column): those of a group stay in one split; intervals resample them together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.errors import UserError

if TYPE_CHECKING:
    from kerascnn.data.listing import Listing
    from kerascnn.runs import Run


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


def keys(listing: Listing, pattern: str | None) -> tuple[list[str], int]:
    """Returns as `keys_of`; without a pattern by the groups that the source knows, if it knows some."""
    ids = listing.source.ids
    if pattern is not None or listing.groups is None:
        return keys_of(ids, pattern)
    groups = listing.groups.tolist()
    return [group or name for group, name in zip(groups, ids, strict=True)], groups.count("")


def groups_of(ids: Sequence[str] | np.ndarray, run: Run) -> np.ndarray | None:
    """Returns the number of each image's group, int [n], for `statistics`, or None if there are no groups.

    Args:
        ids: Names of images as `predictions/<split>.npz` keeps them.
        run: The run that was trained on them: by its `data.group_by`, or the groups in its split.csv.
    """
    names, pattern = [str(name) for name in ids], run.config().data.group_by
    if pattern is not None:
        found, _ = keys_of(names, pattern)
    else:
        known = run.split_groups()
        found = [known.get(name) or name for name in names]
    numbers = np.unique(found, return_inverse=True)[1]
    return None if len(numbers) == 0 or numbers.max() + 1 == len(numbers) else numbers.astype(np.int64)
