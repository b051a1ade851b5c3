"""Strata of images (`evaluate --condition-on`): a column of a table, or what a regular expression matches in the path."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import existing, grouping, remote, table_columns, table_images, table_reading, table_rows
from kerascnn.data.room import Room
from kerascnn.errors import UserError

# The stratum of images that the expression does not match.
OTHERS = "others"


def of(section: Data, condition: str, ids: Sequence[str], room: Room) -> list[str]:
    """Returns the stratum of each image.

    Args:
        section: The images.
        condition: A column of their table, else a regular expression on ids, whose match (or groups) is the stratum.
        ids: Names of images.
        room: Resources for a table that is not local.

    Raises:
        UserError: It matches nothing, is not a regular expression, or is what --group-by or --group-column splits by.
    """
    _refuse_groups(condition, section.group_by, section.group_column)
    column = _column(section, condition, room)
    if column is not None:
        return [column.get(name) or OTHERS for name in ids]
    keys, lonely = _matched(condition, ids)
    if lonely == len(ids):
        raise UserError(f"--condition-on {condition!r} is no column of a table and matches no path; one is {ids[0]!r}")
    return keys


def _refuse_groups(condition: str, *groupings: str | None) -> None:
    if condition in groupings:
        raise UserError(
            f"--condition-on {condition}: the images of one of these groups are all in one split, so no threshold of a group"
            " serves another split"
        )


def _matched(pattern: str, ids: Sequence[str]) -> tuple[list[str], int]:
    try:
        keys, lonely = grouping.keys_of(ids, pattern)
    except UserError as error:
        raise UserError(str(error).replace("--group-by", "--condition-on")) from None
    return [OTHERS if key == name else key for key, name in zip(keys, ids, strict=True)], lonely


def _column(section: Data, name: str, room: Room) -> dict[str, str] | None:
    """Returns the values of a table's column by id, or None if there is no such table or column."""
    if data.parse(section.dataset)[0] != "table":
        return None
    where = section.dataset.removeprefix("table:")
    far = remote.is_remote(where)
    path = remote.local(where, section.cache, room, remote.LARGEST) if far else existing.table(where)
    form = table_reading.form_of(path)
    if name not in form.names:
        return None
    columns = table_columns.chosen(form, section, posixpath.basename(where))
    _refuse_groups(name, columns.group)
    read = table_reading.read(path, form, [*dict.fromkeys((*columns.needed(), name))])
    folder = posixpath.dirname(where if far else str(path))
    ids = (
        table_images.ids(read, columns, [])
        if columns.binary
        else table_rows.ids(read[columns.image], folder, section, form)
    )
    return dict(zip(ids, map(_text, read[name].to_pylist()), strict=True))


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
