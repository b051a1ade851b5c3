"""--split-file: a CSV file with path, label and split of each image."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np

from kerascnn.cli.escaping import expanded
from kerascnn.config import Data
from kerascnn.data import labels
from kerascnn.data.grouping import keys_of
from kerascnn.data.listing import FINGERPRINT, Former, Listing
from kerascnn.data.shares import BOTH, numbers
from kerascnn.data.splits import CALIBRATION, OUT, SPLIT_NAMES, TEST, TRAIN, VAL
from kerascnn.data.walking import composed
from kerascnn.errors import UserError

COLUMNS = ("path", "label", "split")
_NAMES = {**SPLIT_NAMES, CALIBRATION: CALIBRATION}
Row = TypeVar("Row")


class SplitRow(NamedTuple):
    """The label and split of one image."""

    label: str
    split: str


def read(file: str, several: bool = False) -> dict[str, SplitRow]:
    """Reads path -> (label, split) from a CSV with the columns path, label, split, such as a run's split.csv.

    Paths and labels are in composed Unicode, like ids. With `several` labels per image an image may have none.

    Raises:
        UserError: The file is missing or empty, lacks a column, names a path twice, or has a split other than train, val,
            calibration and test.
    """
    lines = table(file, "--split-file", COLUMNS)
    rows: dict[str, SplitRow] = {}
    for number, line in enumerate(lines, 1):
        path, label, split = (line[name] for name in COLUMNS)
        path, label = composed(path.removeprefix("./")), composed(label)
        if split.strip().lower() not in _NAMES:
            raise UserError(
                f"--split-file {file}: row {number}: expected train, val, calibration or test, got {split!r}"
            )
        if not path or path in rows or not (label or several):
            raise UserError(
                f"--split-file {file}: row {number}: expected a path and a label, each path once; got {path!r}, {label!r}"
            )
        rows[path] = SplitRow(label, _NAMES[split.strip().lower()])
    if not rows:
        raise UserError(f"--split-file {file} has no rows")
    return rows


def table(file: str, flag: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Returns the rows of a CSV file that a flag names; a cell that a row lacks is empty.

    Raises:
        UserError: The file cannot be read, or lacks one of `columns`.
    """
    try:
        with expanded(file).open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, restkey="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"{flag} {file}: expected the columns {','.join(columns)}; missing: {', '.join(missing)}"
                )
            return [{key: value if isinstance(value, str) else "" for key, value in row.items()} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{flag} {file}: cannot be read as CSV in UTF-8: {error}") from None


def matched(rows: dict[str, Row], ids: Collection[str], told: str, where: str) -> dict[str, Row]:
    """Returns the rows by id: a path as it is, or with the slashes of Windows replaced.

    Args:
        rows: Path -> row.
        ids: All images.
        told: The flag with its file, for messages.
        where: The data set.

    Raises:
        UserError: Some paths have no image, or two have the same.
    """
    known, found = set(ids), {}
    unknown = []
    for path, row in rows.items():
        turned = path.replace("\\", "/").removeprefix("./")
        name = path if path in known else turned
        if name not in known:
            unknown.append(path)
        elif name in found:
            raise UserError(f"{told}: {path!r} occurs twice, with both kinds of slashes")
        else:
            found[name] = row
    if unknown:
        example = next(iter(ids), "none")
        raise UserError(
            f"{told} names {len(unknown)} images that {where} lacks, first {unknown[0]!r}; "
            f"a path here looks like {example!r}"
        )
    return found


def placed(
    new: Sequence[str],
    rows: dict[str, SplitRow],
    section: Data,
    notes: list[str],
    groups: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns a split for each unlisted image, by a hash of its own path, so that later images do not move earlier ones.

    An image goes to the split of its group (--group-by, or the source's), if there is one. Only splits of the file are used.

    Args:
        new: Ids that the file does not list.
        rows: The rows of the file by id.
        section: Shares, seed and groups, and whether unlisted images are used.
        notes: Extended by one line if there are unlisted images.
        groups: Groups of the source by id, or None.

    Returns:
        Ids and splits; none with `--unlisted out`.
    """
    if not new:
        return {}
    if section.unlisted == "out":
        notes.append(f"not used: {len(new)} images that the split file does not list (--unlisted out)")
        return {}
    present = {row.split for row in rows.values()}
    names = [name for name in (TEST, VAL) if name in present]
    shares = [BOTH if name == TEST or section.val_fraction is None else section.val_fraction for name in names]
    ends = np.cumsum(shares)
    keys, _ = keys_of([*rows, *new], section.group_by)
    if section.group_by is None and groups:
        keys = [groups.get(name) or name for name in keys]
    lies: dict[str, Counter[str]] = {}
    for key, row in zip(keys, rows.values(), strict=False):
        lies.setdefault(key, Counter())[row.split] += 1
    own = keys[len(rows) :]
    at = numbers(own, section.split_seed)
    drawn = [*names, TRAIN]
    places = {
        name: lies[key].most_common(1)[0][0] if key in lies else drawn[int(np.searchsorted(ends, number, side="right"))]
        for name, key, number in zip(new, own, at, strict=True)
    }
    counts = Counter(places.values())
    shown = ", ".join(f"{counts[name]} {name}" for name in (TRAIN, VAL, TEST) if counts[name])
    notes.append(f"{len(new)} images that the split file does not list: {shown}, each by a hash of its own path")
    return places


def applied(listing: Listing, section: Data) -> Listing:
    """Returns a listing with labels of its own, in the splits of `section.split_file` if that is given.

    Raises:
        UserError: The file names an image that does not exist, or has a different label for one.
    """
    if section.split_file is None:
        return listing
    file, source = section.split_file, listing.source
    rows = matched(read(file, source.several), source.ids, f"--split-file {file}", section.dataset)
    for name, label in zip(source.ids, labels.names(source.labels, source.class_names), strict=True):
        if name in rows and rows[name].label != composed(label):
            raise UserError(f"--split-file {file}: {name} is {label!r}, the file says {rows[name].label!r}")
    notes = [*listing.notes, f"{len(rows)} of {len(source.ids)} images are in the splits of {file}"]
    unnamed = zip(source.ids, listing.given.tolist(), strict=True)
    groups = None if listing.groups is None else dict(zip(source.ids, listing.groups.tolist(), strict=True))
    new = placed([name for name, given in unnamed if name not in rows and given != OUT], rows, section, notes, groups)
    named = [rows[name].split if name in rows else OUT for name in source.ids]
    given = [new.get(name, split) for name, split in zip(source.ids, named, strict=True)]
    former = listing.former and Former(_hashed(listing.former.fingerprint, named), listing.former.changed)
    return replace(
        listing,
        given=np.array(given),
        fingerprint=FINGERPRINT + _hashed(listing.fingerprint, given),
        notes=tuple(notes),
        former=former,
    )


def _hashed(fingerprint: str, given: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([fingerprint, *given]).encode()).hexdigest()
