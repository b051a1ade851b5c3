"""The result of every loader: the images of a data set, before they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerascnn.data.sources import Source

# Prefix of a fingerprint of the images' bytes, with splits cut by rank within each class. The fingerprints of earlier
# versions have no prefix (`Former`).
FINGERPRINT = "2-"
# Separates the names of an image's labels in its line of the fingerprint: no table or folder has it in a name.
_UNIT = "\x1f"


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
        groups: Group of each image, str [n], "" for an image that stands alone; None if the source knows no groups.
    """

    source: Source
    given: np.ndarray
    fingerprint: str
    name: str
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    former: Former | None = None
    groups: np.ndarray | None = None


def hashed(given: Iterable[str], labels: Iterable[str], ids: Iterable[str], marks: Iterable[str]) -> str:
    """Returns sha256 of the given split, label, id and mark of all images, in any order."""
    found = hashlib.sha256()
    lines = zip(given, labels, ids, marks, strict=True)
    for place, line in enumerate(sorted("\0".join(line) for line in lines)):
        found.update(f"\n{line}".encode() if place else line.encode())
    return found.hexdigest()


def fingerprint(source: Source, given: np.ndarray, digests: Sequence[str], groups: np.ndarray | None = None) -> str:
    """Returns the fingerprint of images: the same for the same names, labels and bytes, whatever they are stored in.

    Args:
        source: The images, by name and label.
        given: Given split of each image, str [n].
        digests: Digest of the encoded bytes of each image (`contents.digest`), or of its pixels, in hexadecimal.
        groups: As in `Listing`; they change the cut, so that they count.
    """
    names = source.class_names
    if source.several:
        labels = [_UNIT.join(names[label] for label in np.flatnonzero(row)) for row in source.labels]
    else:
        labels = [names[label] for label in source.labels.tolist()]
    if groups is not None:
        digests = [f"{digest}\0{group}" for digest, group in zip(digests, groups.tolist(), strict=True)]
    found = hashed(given.tolist(), labels, source.ids, digests)
    # Outputs are in the order of the classes. It counts where it does not follow from the labels, as it does in a folder.
    used = np.unique(np.nonzero(source.labels)[1]) if source.several else np.unique(source.labels)
    if list(names) != sorted({names[label] for label in used.tolist()}):
        found = hashlib.sha256("\n".join((found, *names)).encode()).hexdigest()
    return FINGERPRINT + found
