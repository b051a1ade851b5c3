"""A data set with its own splits, to score a network that was trained on another one: nothing is cut or kept for training."""

from __future__ import annotations

import numpy as np

from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing
from kerascnn.data.splits import OUT, TEST, TRAIN, VAL, Split, Splits
from kerascnn.errors import UserError


def as_given(listing: Listing, image_size: int, resize: Mode) -> Splits:
    """Returns the given splits of `listing`. Without splits all images are test; a val without a test becomes test.

    Raises:
        UserError: There is no image.
    """
    source, given, notes = listing.source, listing.given, list(listing.notes)
    present = set(np.unique(given).tolist()) - {OUT}
    if not present:
        raise UserError(f"{listing.name} has no images with a label")
    if len(present) == 1:
        given = np.where(given == OUT, OUT, TEST)
        notes.append("no splits are given: every image is test")
    elif TEST not in present:
        given = np.where(given == VAL, TEST, given)
        notes.append("the given val is used as test")
    splits = {
        name: Split(name, source, np.flatnonzero(given == name), source.labels[given == name])
        for name in (TRAIN, VAL, TEST)
    }
    return Splits.of(listing, splits, image_size, resize, notes)
