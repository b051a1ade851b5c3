"""--split-file: a table of path, label and split that says who is where."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from kerascnn.config import Data, UserError
from kerascnn.data.listing import Listing
from kerascnn.data.splits import OUT, SPLIT_NAMES
from kerascnn.escaping import expanded

COLUMNS = ("path", "label", "split")


class Row(NamedTuple):
    """One image's label and split."""

    label: str
    split: str


def read(file: str) -> dict[str, Row]:
    """Path -> (label, split) of a CSV with the columns path, label, split; a run's own split.csv is one.

    Raises:
        UserError: It is missing or empty, lacks a column, names a path twice, or has another split than train, val, test.
    """
    try:
        with expanded(file).open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UserError(
                    f"--split-file {file}: expected the columns path,label,split, found no {', '.join(missing)}"
                )
            table = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"--split-file {file}: cannot be read as CSV in UTF-8: {error}") from None
    rows: dict[str, Row] = {}
    for number, line in enumerate(table, 1):
        path, label, split = (line[name] or "" for name in COLUMNS)
        path = path.removeprefix("./")
        if split.strip().lower() not in SPLIT_NAMES:
            raise UserError(f"--split-file {file}: row {number}: expected train, val or test, got {split!r}")
        if not path or not label or path in rows:
            raise UserError(
                f"--split-file {file}: row {number}: expected a path and a label, each path once; got {path!r}, {label!r}"
            )
        rows[path] = Row(label, SPLIT_NAMES[split.strip().lower()])
    if not rows:
        raise UserError(f"--split-file {file} has no rows")
    return rows


def require(rows: dict[str, Row], ids: Collection[str], file: str, where: str) -> None:
    """Every path of the file must exist.

    Raises:
        UserError: Some don't.
    """
    known = set(ids)
    unknown = [path for path in rows if path not in known]
    if unknown:
        example = next(iter(ids), "none")
        raise UserError(
            f"--split-file {file} names {len(unknown)} images that {where} lacks, first {unknown[0]!r}; "
            f"a path here looks like {example!r}"
        )


def applied(listing: Listing, section: Data) -> Listing:
    """A listing that has labels of its own, with the splits of `section.split_file`, where that is given.

    Raises:
        UserError: The file names an image that does not exist, or another label than it has.
    """
    if section.split_file is None:
        return listing
    file, source = section.split_file, listing.source
    rows = read(file)
    require(rows, source.ids, file, section.dataset)
    for name, label in zip(source.ids, source.labels, strict=True):
        if name in rows and rows[name].label != source.class_names[label]:
            raise UserError(
                f"--split-file {file}: {name} is {source.class_names[label]!r}, the file says {rows[name].label!r}"
            )
    given = [rows[name].split if name in rows else OUT for name in source.ids]
    return replace(
        listing,
        given=np.array(given),
        fingerprint=hashlib.sha256("\n".join([listing.fingerprint, *given]).encode()).hexdigest(),
        notes=(*listing.notes, f"{len(rows)} of {len(given)} images, in the splits of {file}"),
    )
