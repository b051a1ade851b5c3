"""Files of predictions as columns: CSV, TSV, Parquet, JSON as pandas writes it, JSON lines, npz, a folder of text files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerascnn.cli.escaping import one_line
from kerascnn.data import table_reading
from kerascnn.errors import UserError

# A line of the text files that ultralytics writes for each image with save_txt: "0.98 ants".
_TEXT_LINE = re.compile(r"(\d(?:\.\d+)?) (\S.*)")
_EXPECTED = "CSV, TSV, JSON, JSON lines, Parquet or npz, or a folder of the text files that ultralytics writes"


class PredictionColumns(NamedTuple):
    """The columns of a file of predictions.

    Attributes:
        path: The file.
        columns: By name: text [n], or lists of text [n].
        first: Number of the first row in messages: 2 below a header, else 1.
    """

    path: Path
    columns: dict[str, pa.Array]
    first: int = 1

    @property
    def listed(self) -> str:
        """The names of the columns for a message."""
        names = [one_line(name) for name in self.columns]
        return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def read(path: Path, flag: str = "--predictions") -> PredictionColumns:
    """Returns all columns of a file of predictions.

    Raises:
        UserError: There is no such file, it is empty or damaged, or its form is not known.
    """
    if path.is_dir():
        return _text_files(path)
    if not path.is_file():
        raise UserError(f"{flag} {one_line(str(path))}: there is no such file")
    if path.suffix == ".npz":
        return PredictionColumns(path, _npz(path))
    head = path.read_bytes()[: table_reading.HEAD].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head[:1] in (b"[", b"{"):
        return PredictionColumns(path, _json(path))
    if not head:
        raise UserError(f"{path} is empty: expected predictions ({_EXPECTED})")
    form = table_reading.form_of(path)
    table = table_reading.read(path, form, form.names)
    columns = {name: _unpacked(table[name].combine_chunks()) for name in table.column_names}
    return PredictionColumns(path, columns, form.first)


def _unpacked(column: pa.Array) -> pa.Array:
    """Returns lists where the cells of text are lists, as in "[0.1 0.9]", which pandas writes into CSV."""
    if pa.types.is_list(column.type) or not len(column) or not pc.all(pc.starts_with(column, "[")).as_py():
        return column
    cells = [cell.strip("[] \n").replace(",", " ").split() for cell in column.to_pylist()]
    return pa.array([[word.strip("'\"") for word in cell] for cell in cells], pa.list_(pa.string()))


def _json(path: Path) -> dict[str, pa.Array]:
    """Returns the columns of one JSON document, or of JSON lines."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise UserError(f"{path} is neither JSON nor JSON lines: {error}") from None
    rows = _rows(found)
    if not rows:
        raise UserError(
            f"{path}: expected a list of objects, one object for each image by its name, or columns and data, as pandas "
            "writes them"
        )
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, pa.Array] = {}
    for name in names:
        columns |= _json_column(path, name, [row.get(name) for row in rows])
    return columns


def _rows(found: Any) -> list[Mapping[str, Any]]:
    """Returns one object per image of what pandas' `to_json` writes with any `orient`, or none."""
    if isinstance(found, dict) and isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):
        rows = [dict(zip(found["columns"], row, strict=False)) for row in found["data"] if isinstance(row, list)]
        index = found.get("index", ())
        return [{"id": name, **row} for name, row in zip(index, rows, strict=False)] if index else list(rows)
    if isinstance(found, dict) and found and all(isinstance(row, dict) for row in found.values()):
        return [{"filename": name, **row} for name, row in found.items()]
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    return [found] if isinstance(found, dict) else []


def _json_column(path: Path, name: str, values: list[Any]) -> dict[str, pa.Array]:
    """Returns a column; of lists of objects, such as [{"label": ..., "score": ...}], one column for each of their keys."""
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return {name: pa.array([_text(value) for value in values], pa.string())}
    if len(lists) < len(values):
        row = next(i for i, value in enumerate(values) if not isinstance(value, list))
        raise UserError(f"{path}: row {row + 1}: {one_line(name)} is not a list, as in other rows")
    inside = lists[0][0] if lists[0] else None
    if not isinstance(inside, dict):
        return {name: pa.array([[_text(one) for one in value] for value in lists], pa.list_(pa.string()))}
    return {
        key: pa.array(
            [[_text(one.get(key)) for one in value if isinstance(one, dict)] for value in lists], pa.list_(pa.string())
        )
        for key in inside
    }


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _npz(path: Path) -> dict[str, pa.Array]:
    """Returns the arrays of one row per image, and the probabilities [n, classes] by class where `class_names` names them."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as npz: {one_line(str(error))}") from None
    names = [str(name) for name in arrays.pop("class_names", ())]
    columns: dict[str, pa.Array] = {}
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = pa.array(_texts(array), pa.string())
        elif array.ndim == 2 and len(names) == array.shape[1]:
            columns |= {each: pa.array(_texts(array[:, i]), pa.string()) for i, each in enumerate(names)}
        elif array.ndim == 2:
            columns[name] = pa.array([_texts(row) for row in array], pa.list_(pa.string()))
    return columns


def _texts(values: Iterable[Any]) -> list[str]:
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def _text_files(folder: Path) -> PredictionColumns:
    """Returns the columns of a folder of text files, one for each image, whose lines are a probability and a class."""
    files = sorted(folder.glob("*.txt"))
    if not files and (folder / "labels").is_dir():
        files = sorted((folder / "labels").glob("*.txt"))
    if not files:
        raise UserError(f"--predictions {one_line(str(folder))}: a folder without .txt files: expected {_EXPECTED}")
    scores, classes = [], []
    for file in files:
        lines = [line for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        found = [_TEXT_LINE.fullmatch(line.strip()) for line in lines]
        if not found or None in found:
            raise UserError(
                f"{file}: expected lines of a probability and a class, such as 0.98 ants, as ultralytics has"
            )
        scores.append([match[1] for match in found if match])
        classes.append([match[2] for match in found if match])
    kind = pa.list_(pa.string())
    ids = pa.array([file.stem for file in files], pa.string())
    return PredictionColumns(folder, {"image": ids, "class": pa.array(classes, kind), "score": pa.array(scores, kind)})
