"""The columns of a table: which holds the images, the labels, the splits and the groups; labels and splits from text."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.config.section import nearest
from kerascnn.data.splits import SPLIT_NAMES
from kerascnn.data.table_reading import TableForm, is_image
from kerascnn.errors import UserError

# Names by which a column is found, in lower case with _ for spaces and dashes.
IMAGE = frozenset(
    (
        *("image", "images", "img", "path", "paths", "file", "files", "filename", "filepath"),
        *("image_path", "img_path", "file_name", "file_path"),
    )
)
LABEL = frozenset(
    ("label", "labels", "class", "classes", "class_name", "category", "categories", "target", "targets", "tag", "tags")
)
SPLIT = frozenset(("split", "splits", "set", "subset", "partition"))
GROUP = frozenset(("group", "groups", "group_id", "patient", "patient_id"))
NAME = IMAGE | {"name", "id", "image_id", "key"}
SHOWN = 10
TRUE, FALSE = ("1", "true", "1.0", "yes"), ("0", "false", "0.0", "no")


class TableColumns(NamedTuple):
    """Names of the columns.

    Attributes:
        image: Paths, or the bytes of images.
        labels: One column, or one for each class.
        split, group: None if there is none.
        binary: Whether `image` holds bytes.
        name: The names of images whose bytes are in `image`, or None.
    """

    image: str
    labels: tuple[str, ...]
    split: str | None
    group: str | None
    binary: bool
    name: str | None

    def needed(self) -> list[str]:
        """Returns the names of all columns, each once."""
        return list(dict.fromkeys(filter(None, (self.image, *self.labels, self.split, self.group, self.name))))


class TableLabels(NamedTuple):
    """Labels as in `Source`, and the names of the classes."""

    labels: np.ndarray
    class_names: tuple[str, ...]


def chosen(form: TableForm, section: Data, where: str) -> TableColumns:
    """Returns the columns that the section names, else those with a usual name.

    Raises:
        UserError: A column is missing, or several may be meant.
    """
    binary = [name for name in form.names if form.types and is_image(form.types[name])]
    labels = tuple(name for told in section.label_column for name in _told(form, told, "--label-column", where))
    split = _one(form, section.split_column, SPLIT, "--split-column", where)
    group = None if section.group_by else _one(form, section.group_column, GROUP, "--group-column", where)
    taken = {*labels, split, group}
    image = _image(form, section.image_column, binary, where, taken)
    if not labels:
        label = _one(form, None, LABEL, "--label-column", where, {image, split, group})
        rest = [name for name in form.names if name not in (image, split, group)]
        # A table of two columns needs no names for them once one of them is known.
        label = label or (rest[0] if image and len(rest) == 1 else None)
        labels = (label,) if label else ()
    if image is None or not labels:
        lacking = "images" if image is None else "labels"
        flag = "--image-column" if image is None else "--label-column"
        raise UserError(f"{where} has no column with a usual name for {lacking}: name it with {flag}. {_listed(form)}")
    names = [name for name in form.names if name.lower() in NAME and name not in (image, *labels, split, group)]
    return TableColumns(image, labels, split, group, image in binary, names[0] if image in binary and names else None)


def _image(
    form: TableForm, told: str | None, binary: Sequence[str], where: str, taken: AbstractSet[str | None] = frozenset()
) -> str | None:
    if told is None and len(binary) == 1:
        return binary[0]
    return _one(form, told, IMAGE, "--image-column", where, taken)


def images_only(form: TableForm, told: str | None, where: str) -> TableColumns:
    """Returns the columns of the images and their names, of a table whose labels are not used.

    Raises:
        UserError: The column is missing, or several may be meant.
    """
    binary = [name for name in form.names if form.types and is_image(form.types[name])]
    image = _image(form, told, binary, where) or (form.names[0] if len(form.names) == 1 else None)
    if image is None:
        raise UserError(
            f"{where} has no column with a usual name for images: name it with --image-column. {_listed(form)}"
        )
    names = [name for name in form.names if name.lower() in NAME and name != image]
    return TableColumns(image, (), None, None, image in binary, names[0] if image in binary and names else None)


def _one(
    form: TableForm, told: str | None, usual: frozenset[str], flag: str, where: str, taken: AbstractSet[str | None] = frozenset()
) -> str | None:  # fmt: skip
    if told is not None:
        return _told(form, told, flag, where)[0]
    found = [
        name for name in form.names if name.lower().replace(" ", "_").replace("-", "_") in usual and name not in taken
    ]
    if len(found) > 1:
        raise UserError(f"{where} has several columns that may be meant: {', '.join(found)}: name one with {flag}")
    return found[0] if found else None


def _told(form: TableForm, told: str, flag: str, where: str) -> list[str]:
    found = [name for name in form.names if name == told] or [n for n in form.names if fnmatch.fnmatchcase(n, told)]
    if not found:
        raise UserError(f"{flag} {told}: {where} has no such column{nearest(told, form.names)}. {_listed(form)}")
    return list(dict.fromkeys(found))


def _listed(form: TableForm) -> str:
    more = " ..." if len(form.names) > SHOWN else ""
    first = "" if form.first == 1 else " (the first row must name the columns)"
    return f"Its columns: {', '.join(repr(one_line(name)) for name in form.names[:SHOWN])}{more}{first}"


def labels_of(
    table: pa.Table, columns: TableColumns, section: Data, names: Sequence[str], form: TableForm
) -> TableLabels:
    """Returns the labels of all rows.

    Args:
        table: The columns as text.
        columns: Their names.
        section: The separator and the names of the classes, if told.
        names: Names of the classes that the table itself keeps for numbers, or none.
        form: For the numbers of rows.

    Raises:
        UserError: A label is missing, or is not among the class names.
    """
    known = section.class_names or tuple(names)
    if len(columns.labels) > 1:
        return _indicators(table, columns.labels, section, form)
    column = table[columns.labels[0]].combine_chunks()
    if pa.types.is_list(column.type):
        parents, texts = pc.list_parent_indices(column), column.flatten()
    elif section.label_separator is not None:
        parts = pc.split_pattern(column, section.label_separator)
        parents, texts = pc.list_parent_indices(parts), parts.flatten()
    else:
        texts = pc.utf8_trim_whitespace(column)
        _refuse_empty(texts, columns.labels[0], form)
        return TableLabels(*_numbered(texts, known, np.arange(len(texts)), form))
    texts = pc.utf8_trim_whitespace(texts)
    filled = pc.not_equal(texts, "")
    rows = np.asarray(parents.filter(filled))
    numbers, class_names = _numbered(texts.filter(filled), known, rows, form)
    labels = np.zeros((len(column), len(class_names)), bool)
    labels[rows, numbers] = True
    return TableLabels(labels, class_names)


def _refuse_empty(texts: pa.Array, name: str, form: TableForm) -> None:
    empty = np.flatnonzero(np.asarray(pc.equal(texts, "")))
    if len(empty):
        count = f"{len(empty)} rows have" if len(empty) > 1 else "a row has"
        raise UserError(
            f"{count} no label in column {name!r}, first row {form.first + int(empty[0])}: fill it or remove the row"
            " (where images may have any number of labels, give --label-separator)"
        )


def _numbered(
    texts: pa.Array, known: Sequence[str], rows: np.ndarray, form: TableForm
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the class of each label, int32, and the class names: those that are known, else in order of appearance."""
    encoded = texts.dictionary_encode()
    found, numbers = encoded.dictionary.to_pylist(), np.asarray(encoded.indices).astype(np.int32)
    if not known:
        return numbers, tuple(found)
    places = {name: place for place, name in enumerate(known)}
    if not set(found) & set(places):  # numbers of the classes
        places |= {str(place): place for place in range(len(known))}
    strange = [place for place, name in enumerate(found) if name not in places]
    if strange:
        row = form.first + int(rows[np.flatnonzero(numbers == strange[0])[0]])
        raise UserError(
            f"row {row}: {found[strange[0]]!r} is not among the class names{nearest(found[strange[0]], known)};"
            f" they are {', '.join(known[:SHOWN])}{' ...' if len(known) > SHOWN else ''}"
        )
    return np.array([places[name] for name in found], np.int32)[numbers], tuple(known)


def _indicators(table: pa.Table, names: tuple[str, ...], section: Data, form: TableForm) -> TableLabels:
    """Returns the labels of one column per class, each 0 or 1."""
    labels = np.empty((len(table), len(names)), bool)
    for place, name in enumerate(names):
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(table[name].combine_chunks()))
        yes = np.asarray(pc.is_in(texts, pa.array(TRUE)))
        strange = np.flatnonzero(~yes & ~np.asarray(pc.is_in(texts, pa.array(FALSE))))
        if len(strange):
            at = int(strange[0])
            raise UserError(
                f"row {form.first + at}: column {name!r}: expected 0 or 1 in each column of several labels,"
                f" got {texts[at].as_py()!r}"
            )
        labels[:, place] = yes
    if section.class_names and len(section.class_names) != len(names):
        raise UserError(f"--class-names has {len(section.class_names)} names for {len(names)} label columns")
    return TableLabels(labels, section.class_names or names)


def splits_of(table: pa.Table, name: str | None, form: TableForm) -> np.ndarray:
    """Returns the given split of each row, str [n]; "" without a column, or where it is empty.

    Raises:
        UserError: A value is not the name of a split, or only some rows have one.
    """
    if name is None:
        return np.full(len(table), "", "U5")
    encoded = pc.utf8_lower(pc.utf8_trim_whitespace(table[name].combine_chunks())).dictionary_encode()
    found, numbers = encoded.dictionary.to_pylist(), np.asarray(encoded.indices)
    for place, value in enumerate(found):
        if value not in SPLIT_NAMES and (value or len(found) > 1):
            row = form.first + int(np.flatnonzero(numbers == place)[0])
            expected = "train, val or test (in every row, or in none)"
            raise UserError(f"row {row}: column {name!r}: expected {expected}, got {value!r}")
    return np.array([SPLIT_NAMES.get(value, "") for value in found], "U5")[numbers]
