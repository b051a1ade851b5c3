"""What is odd about single images: a row for each kind of finding. No TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from kerascnn.data.formats import FORMATS
from kerascnn.data.looks import Looks

_TRUNCATED = re.compile(r"truncat|too early|no end mark", re.IGNORECASE)
ENLARGED = 4.0  # times: an image that is enlarged more has no detail
ENORMOUS = 40_000_000  # pixels: each takes half a second to decode
# Thresholds of looks.FACTS, chosen on photos (experiments/results/auditing/audit.md).
BLANK = 3.0
DARK = 48.0
BLURRED, LEAST_SIDE = 0.1, 64  # below this side sharpness says nothing


class Finding(NamedTuple):
    """Something odd about an image: its place in the source, the kind (a key of KINDS), and the details."""

    place: int
    kind: str
    detail: str


@dataclass(frozen=True)
class FindingKind:
    """A kind of finding.

    Args:
        title: Title in tables.
        about: What it means, one sentence.
        found: (facts, suffix of each id, image size of the network) -> which images, bool [n].
        detail: A row of facts -> the details.
        damaged: Whether the images cannot be used, so that exclude.csv names them.
    """

    title: str
    about: str
    found: Callable[[np.ndarray, np.ndarray, int], np.ndarray] | None = None
    detail: Callable[[Any], str] = lambda row: ""
    damaged: bool = False


def _misnamed(facts: np.ndarray, suffixes: np.ndarray, size: int) -> np.ndarray:
    formats = {suffix: kind for kind, row in FORMATS.items() for suffix in row.suffixes}
    named = np.array([formats.get(suffix, "") for suffix in suffixes])
    return (named != "") & (facts["format"] != "") & (named != facts["format"])


def _shorter(facts: np.ndarray) -> np.ndarray:
    return np.minimum(facts["height"], facts["width"])


def _size(row: Any) -> str:
    return f"{row['width']} x {row['height']} pixels"


KINDS = {
    "undecodable": FindingKind("cannot be decoded", "The file is damaged or not an image.", damaged=True),
    "truncated": FindingKind("truncated", "The file ends too early.", damaged=True),
    "blank": FindingKind(
        "blank",
        "One color, or nearly.",
        lambda facts, suffixes, size: facts["spread"] < BLANK,
        lambda row: f"spread of the brightness {row['spread']:.1f} of 255",
        damaged=True,
    ),
    "dark": FindingKind(
        "dark",
        "Even its bright parts are dark.",
        lambda facts, suffixes, size: (facts["bright"] < DARK) & (facts["spread"] >= BLANK),
        lambda row: f"99 % of the pixels are darker than {row['bright']:.0f} of 255",
    ),
    "blurred": FindingKind(
        "blurred",
        "There are no sharp edges.",
        lambda facts, suffixes, size: (
            (facts["sharp"] < BLURRED) & (facts["spread"] >= BLANK) & (_shorter(facts) >= LEAST_SIDE)
        ),
        lambda row: f"sharpness {row['sharp']:.3f}",
    ),
    "tiny": FindingKind(
        "tiny",
        f"It is enlarged more than {ENLARGED:g} times.",
        lambda facts, suffixes, size: _shorter(facts) * ENLARGED < size,
        _size,
    ),
    "enormous": FindingKind(
        "enormous",
        f"More than {ENORMOUS // 1_000_000} megapixels: reading it takes long.",
        lambda facts, suffixes, size: facts["height"].astype(np.int64) * facts["width"] > ENORMOUS,
        _size,
    ),
    "extension": FindingKind(
        "wrong extension",
        "The name says another format; the content decides.",
        _misnamed,
        lambda row: f"{FORMATS[row['format']].name} inside",
    ),
    "mode": FindingKind(
        "unusual mode",
        "Neither RGB nor gray with 8 bits; it is converted.",
        lambda facts, suffixes, size: (facts["format"] != "") & ~np.isin(facts["mode"], ("RGB", "L")),
        lambda row: f"mode {row['mode']}",
    ),
    "orientation": FindingKind(
        "turned by EXIF",
        "Programs that ignore EXIF show it otherwise.",
        lambda facts, suffixes, size: facts["orientation"] > 1,
        lambda row: f"orientation {row['orientation']}",
    ),
    "animated": FindingKind(
        "animated",
        "Only its first frame is used.",
        lambda facts, suffixes, size: facts["animated"],
        lambda row: "several frames",
    ),
}


def findings(seen: Looks, ids: Sequence[str], indices: Iterable[int], image_size: int) -> list[Finding]:
    """Returns what is odd about images, by kind in the order of KINDS.

    Args:
        seen: The looks of all images of the source.
        ids: Their ids.
        indices: The images that are audited.
        image_size: Height and width of the network's input.
    """
    audited = np.array(sorted(indices), np.int64)
    found = [Finding(i, of_problem(seen.problems[i]), seen.problems[i]) for i in audited.tolist() if i in seen.problems]
    good = np.array([i for i in audited.tolist() if i not in seen.problems], np.int64)
    facts, suffixes = seen.facts[good], np.array([PurePosixPath(ids[i]).suffix.lower() for i in good.tolist()])
    for name, kind in KINDS.items():
        if kind.found is not None and len(good):
            rows = np.flatnonzero(kind.found(facts, suffixes, image_size))
            found += [Finding(int(good[row]), name, kind.detail(facts[row])) for row in rows]
    order = list(KINDS)
    return sorted(found, key=lambda one: (order.index(one.kind), one.place))


def of_problem(reason: str) -> str:
    """Returns the kind of a file that cannot be decoded."""
    return "truncated" if _TRUNCATED.search(reason) else "undecodable"
