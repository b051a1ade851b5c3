"""What every loader returns: the images of a data set, before anything is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerascnn.data.sources import Source

# In front of a fingerprint: images count by their bytes, and what a data set lacks is cut by rank within each class. Without it
# a run's fingerprint says less (`Former`).
FINGERPRINT = "2-"


class Former(NamedTuple):
    """What earlier versions called these images.

    Attributes:
        fingerprint: As runs of then kept it: folders by names and sizes, tfds: by name, version and counts.
        changed: When the images changed last, seconds since 1970; 0 where they cannot change.
    """

    fingerprint: str
    changed: float


@dataclass(frozen=True, eq=False)
class Listing:
    """What a loader found.

    Attributes:
        source: All images, in a fixed order.
        given: The split that the data set itself puts each image in (train, val, test), "" where it does not
            say, or OUT for one that is not used; str [n].
        fingerprint: `FINGERPRINT` and sha256 of the content.
        name: Short, for run names.
        notes, skipped: As in Splits.
        former: What earlier versions called the same images; None where they had no name.
    """

    source: Source
    given: np.ndarray
    fingerprint: str
    name: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    former: Former | None = None
