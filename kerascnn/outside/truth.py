"""The truth of a comparison with other programs: its images, their labels, its classes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.data.formats import SUFFIXES
from kerascnn.errors import UserError
from kerascnn.outside.columns import OutsideTable, interpret
from kerascnn.outside.matching import ImageNames, parts
from kerascnn.outside.reading import read


@dataclass(frozen=True)
class Truth:
    """The images that all systems are judged on.

    Args:
        ids: Path or name of each image, [m].
        labels: True class of each image, int64 [m].
        class_names: Names of the classes in the order of their numbers.
        where: Where they come from, for messages.
        groups: Number of the group of each image, [m]; None where every image stands alone.
    """

    ids: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    where: str
    groups: np.ndarray | None = None


def of_tables(tables: Sequence[OutsideTable], given: Path | None) -> Truth:
    """Returns the truth in a folder of images by class or a table, else in the first file with labels, else in folder names.

    Args:
        tables: The predictions of all systems.
        given: `--truth`: a folder or a table; None for neither.

    Raises:
        UserError: There are no labels anywhere.
    """
    if given is not None:
        ids, labels = _folder(given) if given.is_dir() else _table(given)
        return _of_texts(ids, labels, tables, str(given))
    first = next((table for table in tables if table.labels is not None), None)
    if first is not None and first.labels is not None:
        return _of_texts(first.ids, first.labels, tables, str(first.path))
    for table in tables:
        folders = [parts(str(name))[-2:-1] for name in table.ids]
        if all(folders) and len(set(folders)) > 1:
            labels = np.array([folder[0] for folder in folders], dtype=object)
            return _of_texts(table.ids, labels, tables, f"{table.path} (labels are the folders of its images)")
    raise UserError(
        f"{tables[0].path} has no true labels (a column called label), and its images lie in no folders: --truth FOLDER "
        "(of images, one folder for each class) or --truth TABLE (with columns id and label)"
    )


def _of_texts(ids: np.ndarray, labels: np.ndarray, tables: Sequence[OutsideTable], where: str) -> Truth:
    """Returns the truth of labels that are names, or numbers where the files' probabilities name the classes."""
    images = ImageNames([str(name) for name in ids], where)  # says which names occur twice
    images.rows([str(name) for name in ids], where)
    names = class_names([*labels], tables)
    places = _places([*labels], names)
    if None in places:
        bad = labels[places.index(None)]
        raise UserError(f"{where}: the label {one_line(str(bad))} is none of the classes {_listed(names)}")
    return Truth(np.array([str(name) for name in ids]), np.array(places, np.int64), names, where)


def class_names(labels: Iterable[str], tables: Sequence[OutsideTable]) -> tuple[str, ...]:
    """Returns the classes of all labels and of all predictions by name, sorted, as folders are.

    Numbers are positions among the names; where no file has a name, the numbers are the names.
    """
    found = set(labels)
    for table in tables:
        found |= set(table.names or ()) | set(() if table.top is None else table.top.ravel())
        found |= set(() if table.decided is None else table.decided)
    names = {text for text in found if number(text) is None}
    if names:
        return tuple(sorted(names))
    numbers = [int(number(text) or 0) for text in found]
    widths = [table.scores.shape[1] for table in tables if table.scores is not None and table.top is None]
    return tuple(map(str, range(max([*(place + 1 for place in numbers), *widths], default=0))))


def number(text: str) -> int | None:
    """Returns the class number in a text such as 3 or 3.0, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() and value >= 0 else None


def _places(texts: Sequence[str], names: tuple[str, ...]) -> list[int | None]:
    by_text = {text: place_of(text, names) for text in dict.fromkeys(texts)}
    return [by_text[text] for text in texts]


def place_of(text: str, names: tuple[str, ...]) -> int | None:
    """Returns the class that a text names, or whose number it is; None if it is none."""
    if text in names:
        return names.index(text)
    place = number(text)
    return place if place is not None and place < len(names) else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(one_line(name) for name in names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns path and class of every image below class folders."""
    ids, labels = [], []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(path).relative_to(folder).as_posix()
        for file in sorted(files):
            if inside != "." and not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES:
                ids.append(f"{inside}/{file}")
                labels.append(inside.split("/")[0])
    if len(set(labels)) < 2:
        raise UserError(
            f"--truth {folder}: expected two folders of images or more, one for each class, got {len(set(labels))}"
        )
    return np.array(ids, dtype=object), np.array(labels, dtype=object)


def _table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    found = read(path, "--truth")
    names = {name.strip().lower(): name for name in found.columns}
    label = next(
        (names[name] for name in ("label", "true_label", "labels", "class", "target", "truth") if name in names), None
    )
    if label is None:
        raise UserError(f"--truth {path} has no column of true labels: call it label; it has {found.listed}")
    columns = {**found.columns, "prediction": found.columns[label]}
    if label == names.get("class"):
        columns["label"] = columns.pop(label)
    table = interpret(found._replace(columns=columns))
    if table.labels is None:
        raise UserError(f"--truth {path}: expected the columns id and label; it has {found.listed}")
    return table.ids, table.labels
