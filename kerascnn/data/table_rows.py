"""The rows of a table: what each image is called, which rows are used, and rows that repeat an image."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.config.addresses import has_secrets, is_remote
from kerascnn.data.table_reading import TableForm
from kerascnn.data.walking import composed
from kerascnn.errors import UserError


@dataclass
class TableRows:
    """The rows of a table that are used, by id.

    Attributes:
        ids: Name of each image.
        rows: Index of its row, int64 [n].
        labels: As in Source.
        given: Given split, str [n].
        groups: Group, str [n], or None.
    """

    ids: list[str]
    rows: np.ndarray
    labels: np.ndarray
    given: np.ndarray
    groups: np.ndarray | None

    def taken(self, places: np.ndarray) -> TableRows:
        """Returns some of the rows."""
        ids = [self.ids[place] for place in places.tolist()]
        groups = None if self.groups is None else self.groups[places]
        return TableRows(ids, self.rows[places], self.labels[places], self.given[places], groups)

    def text(self, place: int, class_names: Sequence[str]) -> str:
        """Returns the label and split of a row, for a message."""
        label = self.labels[place]
        names = (
            [class_names[at] for at in np.flatnonzero(label).tolist()]
            if self.labels.ndim == 2
            else [class_names[label]]
        )
        return " ".join(filter(None, ("|".join(names), self.given[place].item())))


def ids(column: pa.ChunkedArray, folder: str, section: Data, form: TableForm) -> list[str]:
    """Returns the path of each row: below the table's folder, with slashes, in composed Unicode; or an address.

    Raises:
        UserError: A path is empty, or lies outside of that folder without --allow-outside; an address has credentials.
    """
    above = f"{folder.rstrip('/')}/"
    found, outside = column.to_pylist(), []
    for place, text in enumerate(found):
        if not text.strip():
            raise UserError(f"row {form.first + place} names no image")
        if "://" in text:
            text = _of_address(text.removeprefix(above), form.first + place)
            outside += [place] if is_remote(text) else []
        elif "\\" in text or "./" in text or "//" in text or text.startswith(("/", ".")) or text[1:2] == ":":
            turned = posixpath.normpath(text.replace("\\", "/"))
            text = turned.removeprefix(above) if turned.startswith("/") else turned
            if text.startswith(("/", "../")) or text[1:3] == ":/":
                outside.append(place)
        found[place] = text if text.isascii() else composed(text)
    if outside and not section.allow_outside:
        raise UserError(
            f"{len(outside)} paths lie outside of the table's folder {folder}, first row {form.first + outside[0]}:"
            f" {one_line(found[outside[0]])!r}: --allow-outside reads them all the same"
        )
    return found


def _of_address(text: str, row: int) -> str:
    if has_secrets(text):
        raise UserError(
            f"row {row}: an address with credentials: remove them, and give them as the store's own tools take them"
        )
    return text


def kept(rows: TableRows, section: Data, notes: list[str]) -> TableRows:
    """Returns the rows whose images are in no folder of --leave-out, by the rule of folders."""
    patterns = {composed(pattern.strip("/")) for pattern in section.leave_out}
    if not patterns:
        return rows
    used: set[str] = set()
    folders = [posixpath.dirname(name) for name in rows.ids]
    out = {folder for folder in set(folders) if is_left_out(folder, patterns, used)}
    notes += [f"--leave-out {pattern}: no path has such a folder" for pattern in sorted(patterns - used)]
    used_rows = np.flatnonzero([folder not in out for folder in folders])
    if len(used_rows) < len(folders):
        notes.append(f"not used: {len(folders) - len(used_rows)} rows of folders left out on request")
    return rows.taken(used_rows)


def is_left_out(folder: str, patterns: set[str], used: set[str]) -> bool:
    """Returns whether a folder, or one above it, matches a pattern, by the rule of `Walk`; notes the pattern in `used`."""
    parts = folder.split("/") if folder else []
    found = {
        pattern
        for end in range(1, len(parts) + 1)
        for pattern in patterns
        if fnmatch.fnmatchcase("/".join(parts[:end]) if "/" in pattern else parts[end - 1], pattern)
    }
    used |= found
    return bool(found)


def once(rows: TableRows, class_names: Sequence[str], section: Data, form: TableForm, notes: list[str]) -> TableRows:
    """Returns each image once, by id. Rows that repeat an image say the same, or add labels (--label-separator).

    Raises:
        UserError: Two rows contradict each other.
    """
    order = np.asarray(pc.array_sort_indices(pa.array(rows.ids, pa.large_string()))).astype(np.int64)
    ids = rows.ids
    again = [i for i in range(1, len(order)) if ids[order[i]] == ids[order[i - 1]]]
    first = int(order[0]) if len(order) else 0
    joined, labels = 0, rows.labels.copy() if again and rows.labels.ndim == 2 else rows.labels
    last = -1
    for i in again:
        first = first if last == i - 1 else int(order[i - 1])
        last, other = i, int(order[i])
        same = np.array_equal(labels[first], labels[other]) and rows.given[first] == rows.given[other]
        if rows.groups is not None and rows.groups[first] != rows.groups[other]:
            same = False
        if not same and section.label_separator is not None and rows.given[first] == rows.given[other]:
            labels[first] |= labels[other]
            joined += 1
        elif not same:
            hint = "" if rows.labels.ndim == 2 else "; where images have several labels, give --label-separator"
            raise UserError(
                f"rows {form.first + int(rows.rows[first])} and {form.first + int(rows.rows[other])} contradict"
                f" each other about {one_line(ids[first])!r}: {rows.text(first, class_names)!r} and"
                f" {rows.text(other, class_names)!r}{hint}"
            )
    if again:
        notes.append(f"{len(again)} rows repeat an image: {f'{joined} add labels' if joined else 'each counts once'}")
    return replace(rows, labels=labels).taken(np.delete(order, again) if again else order)


def without_empty_classes(
    labels: np.ndarray, class_names: Sequence[str], notes: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the labels and names without the classes that no row has: all their rows were left out or damaged."""
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=len(class_names))
    filled = np.flatnonzero(counts)
    if len(filled) == len(class_names):
        return labels, tuple(class_names)
    notes.append(f"classes without images: {', '.join(class_names[at] for at in np.flatnonzero(counts == 0)[:10])}")
    names = tuple(class_names[at] for at in filled.tolist())
    return (labels[:, filled] if labels.ndim == 2 else (np.cumsum(counts > 0) - 1)[labels].astype(np.int32)), names
