"""What every loader returns: the images of a data set, before anything is cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerascnn.data.sources import Source


@dataclass(frozen=True, eq=False)
class Listing:
    """What a loader found.

    Attributes:
        source: All images, in a fixed order.
        given: The split that the data set itself puts each image in (train, val, test), "" where it does not
            say, or OUT for one that is not used; str [n].
        fingerprint: sha256 of the content.
        name: Short, for run names.
        notes, skipped: As in Splits.
    """

    source: Source
    given: np.ndarray
    fingerprint: str
    name: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
