"""Groups that the names of images suggest, such as patient_03 in patient_03_a.jpg, and the --group-by that keeps them together.

No TensorFlow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from kerascnn.data.grouping import keys_of

# What names call things of which there are several images.
WORDS = (
    "patient", "subject", "person", "user", "participant", "case", "study", "exam", "slide", "biopsy", "animal", "plant",
    "video", "clip", "movie", "scene", "seq", "sequence", "session", "burst", "camera", "cam", "site", "location", "station",
    "plot", "field", "vehicle", "car", "product", "item", "object", "instance", "donor", "sample", "specimen", "tile",
)  # fmt: skip
LONELY = 0.5  # largest share of images that are alone in their group
LARGEST = 0.25  # largest share of all images in one group: a larger one is a class or a source
MOST = 3  # suggestions


class NameGroups(NamedTuple):
    """Groups that a regular expression on the ids finds.

    Attributes:
        pattern: The value of --group-by.
        groups: Number of groups with two images or more.
        images: Number of images in them.
        largest: Images of the largest group.
        straddling: Number of groups with images in more than one split.
        example: Three ids of a group.
    """

    pattern: str
    groups: int
    images: int
    largest: int
    straddling: int
    example: tuple[str, ...]


def suggested(ids: Sequence[str], splits: Mapping[str, str], labels: Mapping[str, str]) -> list[NameGroups]:
    """Returns groups that the names of images suggest, the most likely first.

    Args:
        ids: Names of images.
        splits: Id -> split.
        labels: Id -> label: groups that are nothing but the classes are no suggestion.
    """
    found: list[NameGroups] = []
    seen: set[tuple[tuple[str, ...], ...]] = set()
    for pattern in _patterns(ids, set(labels.values())):
        one, members = _groups(ids, pattern, splits, labels)
        if one is None or members in seen:
            continue
        seen.add(members)
        found.append(one)
    return found[:MOST]


def _patterns(ids: Sequence[str], classes: set[str]) -> list[str]:
    """Returns candidates: a known word with its number, a folder below the class, a name without its last part."""
    text = "\n".join(ids).lower()
    words = [word for word in WORDS if re.search(rf"(?<![a-z]){word}[-_ ]?\d", text)]
    named = [rf"(?i)(?<![a-z]){word}[-_ ]?\d+" for word in words]
    below = sum(PurePosixPath(name).parent.name not in classes for name in ids if "/" in name)
    folders = [r"[^/]+/[^/]+(?=/[^/]+$)"] if below > LONELY * len(ids) else []
    return [
        *named,
        *folders,
        r"[^/]+(?=[-_. ][^-_. /]+\.\w+$)",
        r"[^/]*?(?=[-_. ]?\d+\.\w+$)",
        r"[^/]*?\d+(?=[a-zA-Z]\.\w+$)",
    ]


def _groups(
    ids: Sequence[str], pattern: str, splits: Mapping[str, str], labels: Mapping[str, str]
) -> tuple[NameGroups | None, tuple[tuple[str, ...], ...]]:
    keys, _ = keys_of(ids, pattern)
    members: dict[str, list[str]] = {}
    for name, key in zip(ids, keys, strict=True):
        members.setdefault(key, []).append(name)
    several = {key: names for key, names in members.items() if len(names) > 1 and key}
    images = sum(map(len, several.values()))
    classes = len(set(labels.values()))
    largest = max(map(len, several.values()), default=0)
    if images < (1 - LONELY) * len(ids) or largest > max(2, LARGEST * len(ids)) or len(several) <= 2 * classes:
        return None, ()
    straddling = sum(len({splits[name] for name in names if name in splits}) > 1 for names in several.values())
    first = sorted(several.values(), key=lambda names: (-Counter(map(len, several.values()))[len(names)], names))[0]
    found = NameGroups(pattern, len(several), images, largest, straddling, tuple(first[:3]))
    return found, tuple(sorted(tuple(names) for names in several.values()))
