"""The result of every loader: the images of a data set, before they are split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerascnn.data.sources import Source

# Prefix of a fingerprint of the images' bytes, with splits cut by rank within each class. The fingerprints of earlier
# versions have no prefix (`Former`).
FINGERPRINT = "2-"


class Former(NamedTuple):
    """The fingerprint of the same images in earlier versions.

    Attributes:
        fingerprint: That of such runs: folders by names and sizes, tfds: by name, version and counts.
        changed: Time of the last change of the images, in seconds since 1970; 0 if they cannot change.
    """

    fingerprint: str
    changed: float


@dataclass(frozen=True, eq=False)
class Listing:
    """The result of a loader.

    Attributes:
        source: All images, in a fixed order.
        given: Given split of each image, str [n]: train, val, test, "" if there is none, or OUT for an image that is not
            used.
        fingerprint: `FINGERPRINT` and sha256 of the content.
        name: Short name for the names of runs.
        notes, skipped: As in Splits.
        former: The fingerprint of the same images in earlier versions, or None.
    """

    source: Source
    given: np.ndarray
    fingerprint: str
    name: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    former: Former | None = None
