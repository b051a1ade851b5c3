"""A table of images: paths or, in Parquet, the bytes of the images; labels, splits and groups in other columns."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.data import (
    existing,
    remote,
    remote_images,
    short_name,
    split_file,
    table_columns,
    table_images,
    table_reading,
    table_rows,
)
from kerascnn.data.contents import ContentTable, contents
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing, fingerprint
from kerascnn.data.record_index import ImageFacts
from kerascnn.data.room import Missing, Room
from kerascnn.data.sources import Files
from kerascnn.data.table_columns import TableColumns
from kerascnn.data.table_images import TableImages
from kerascnn.data.table_reading import TableForm
from kerascnn.data.table_rows import TableRows
from kerascnn.data.trouble import without_damaged
from kerascnn.errors import UserError


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the images of the table that `section.dataset` names.

    Raises:
        UserError: The table is missing or damaged, lacks a column, contradicts itself, or names files that are missing.
        Stopped: The disk or the network share fails.
    """
    where = section.dataset.removeprefix("table:")
    if not remote.is_remote(where):
        return _listing(existing.table(where), str(existing.table(where)), section, image_size, resize, room)
    path = remote.local(where, section.cache, room, remote.LARGEST)
    try:
        return _listing(path, where, section, image_size, resize, room)
    except Missing as error:
        raise Missing(str(error).replace(str(path), where)) from None
    except UserError as error:
        raise UserError(str(error).replace(str(path), where)) from None


def _listing(path: Path, where: str, section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the listing of the table at `path`, which is a copy of that at `where` if it is not local."""
    form = table_reading.form_of(path)
    columns = table_columns.chosen(form, section, posixpath.basename(where))
    notes = [_said(form, columns)]
    try:
        rows, class_names = _rows(path, where, form, columns, section, notes)
    except UserError as error:
        raise type(error)(f"{path}: {error}") from None
    images = (
        table_images.inside(path, columns.image, room) if columns.binary else _files(where, form, rows, section, room)
    )
    good, skipped = images.facts.valid(rows.ids)
    notes += without_damaged(room.counted(skipped), len(good), where)
    rows, facts = rows.taken(good), images.facts.taken(good)
    labels = rows.labels
    if not section.class_names:
        labels, class_names = table_rows.without_empty_classes(labels, class_names, notes)
    source = images.source(
        good, facts, ids=rows.ids, labels=labels, class_names=class_names, size=image_size, mode=resize
    )
    source.counted(room.counted(skipped), where)
    found = Listing(
        source,
        rows.given,
        fingerprint(source, rows.given, facts.hexadecimal(), rows.groups),
        short_name(section.dataset),
        tuple(notes),
        tuple(sorted(skipped)),
        groups=rows.groups,
    )
    return split_file.applied(found, section)


def _said(form: TableForm, columns: TableColumns) -> str:
    """Returns the line that says how the table was understood."""
    labels = columns.labels[0] if len(columns.labels) == 1 else f"{len(columns.labels)} columns"
    parts = [f"images: {columns.image}", f"labels: {labels}"]
    parts += [f"splits: {columns.split}"] if columns.split else []
    parts += [f"groups: {columns.group}"] if columns.group else []
    return one_line(f"{form.kind}; {', '.join(parts)}")


def _rows(
    path: Path, where: str, form: TableForm, columns: TableColumns, section: Data, notes: list[str]
) -> tuple[TableRows, Sequence[str]]:
    """Returns the rows that are used, sorted by id, and the class names."""
    table = table_reading.read(path, form, columns.needed())
    if not len(table):
        raise Missing("it has no rows below its column names")
    known = table_reading.class_names_of(path, form, columns.labels[0])
    labels, class_names = table_columns.labels_of(table, columns, section, known, form)
    given = table_columns.splits_of(table, columns.split, form)
    groups = None if columns.group is None else np.array(pc.utf8_trim_whitespace(table[columns.group]).to_pylist())
    if columns.binary:
        ids = table_images.ids(table, columns, notes)
    else:
        ids = table_rows.ids(table[columns.image], posixpath.dirname(where), section, form)
    rows = table_rows.kept(TableRows(ids, np.arange(len(ids)), labels, given, groups), section, notes)
    return table_rows.once(rows, class_names, section, form, notes), class_names


def _files(table: str, form: TableForm, rows: TableRows, section: Data, room: Room) -> TableImages:
    """Returns the files of the rows, local ones or not.

    Raises:
        Missing: Files are missing.
    """
    folder = posixpath.dirname(table)
    if remote.is_remote(table) or any(remote.is_remote(name) for name in rows.ids):
        addresses = [remote.joined(folder, name) for name in rows.ids]
        images, missing = remote_images.of(addresses, [None] * len(addresses), table, section.cache, room)
        _refuse_missing(missing, table, form, rows)
        return images
    paths = [os.path.join(folder, name) for name in rows.ids]  # noqa: PTH118 - a million Path objects are felt
    remembered = ContentTable(room.contents, table)
    facts = ImageFacts.of(len(paths))
    with room.counting("reading files", len(paths)) as advance:
        for place, content in enumerate(contents(paths, remembered, advance)):
            facts.put(place, content)
    missing = [place for place in facts.problems if not os.path.lexists(paths[place])]
    found = {place: other for place in missing if (other := _decomposed(paths[place]))}
    for place, content in zip(found, contents(list(found.values()), remembered), strict=True):
        paths[place] = found[place]
        facts.put(place, content)
    _refuse_missing([place for place in missing if place not in found], table, form, rows)

    def source(good: np.ndarray, facts: ImageFacts, **known: object) -> Files:
        return Files([os.fsencode(paths[place]) for place in good.tolist()], facts.kept, **known)

    return TableImages(facts, source)


def _refuse_missing(missing: Sequence[int], table: str, form: TableForm, rows: TableRows) -> None:
    if missing:
        first = min(missing, key=lambda place: rows.rows[place])
        count = (
            "a file that is missing, in" if len(missing) == 1 else f"{len(missing)} files that are missing, first in"
        )
        raise Missing(
            f"{table} names {count} row {form.first + int(rows.rows[first])}:"
            f" {one_line(rows.ids[first])!r}; paths count from {posixpath.dirname(table)}"
        )


def _decomposed(path: str) -> str:
    """Returns the name that a file from macOS has, if there is such a file, else nothing."""
    other = unicodedata.normalize("NFD", path)
    return other if other != path and os.path.lexists(other) else ""
