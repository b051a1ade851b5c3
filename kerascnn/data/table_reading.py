"""Tables: CSV, TSV, JSON lines and Parquet, told apart by their content. Reads the columns that are needed, as text."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from kerascnn.cli.escaping import one_line
from kerascnn.errors import UserError

HEAD = 1 << 16  # bytes that tell the form
BLOCK = 1 << 24  # bytes that Arrow reads at a time; no line may be longer
DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons"}
# First bytes of what people give in place of a table, and what to do.
_OTHERS = {
    b"PK\x03\x04": "an archive or an Excel workbook: unpack it, or save the sheet as CSV in UTF-8",
    b"\x1f\x8b": "compressed: unpack it first",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV in UTF-8",
    codecs.BOM_UTF16_LE: "text in UTF-16: save it as UTF-8",
    codecs.BOM_UTF16_BE: "text in UTF-16: save it as UTF-8",
}


class TableForm(NamedTuple):
    """The form of a table and the names of its columns.

    Attributes:
        kind: A value of DELIMITERS, JSON lines or Parquet.
        names: Names of the columns, in their order.
        types: Types of the columns of a Parquet file or of JSON lines; empty for text, where all are text.
        first: Number of the first row, as a spreadsheet counts: 2 below a header, else 1.
    """

    kind: str
    names: tuple[str, ...]
    types: dict[str, pa.DataType]
    first: int


def form_of(path: Path) -> TableForm:
    """Returns the form of a table, by its content.

    Raises:
        UserError: The file is empty, is not a table, or is not text in UTF-8.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not head.strip():
        raise UserError(
            f"{path} is a file: it is empty; expected a folder of images (unpack an archive) or a table ({_FORMS})"
        )
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            raise UserError(f"{path} is a file: {what}; expected a folder of images or a table ({_FORMS})")
    if head.startswith(b"PAR1"):
        schema = _reading(path, lambda: pa.parquet.ParquetFile(path).schema_arrow)
        return TableForm("Parquet", tuple(schema.names), dict(zip(schema.names, schema.types, strict=True)), 1)
    if b"\0" in head:
        raise UserError(f"{path} contains NUL characters: expected a table ({_FORMS})")
    text = _decoded(path, head).lstrip("\r\n")
    if text.lstrip().startswith("{"):
        return TableForm("JSON lines", *_json_columns(path), 1)
    if text.lstrip().startswith("[") and "{" in text[:100]:
        raise UserError(f"{path} is one JSON array: expected JSON lines, one object per line")
    line = text.splitlines()[0]
    delimiter = max(DELIMITERS, key=line.count)
    names = next(csv.reader(io.StringIO(text, newline=None), delimiter=delimiter))
    return TableForm(DELIMITERS[delimiter], tuple(name.strip() for name in names), {}, 2)


_FORMS = "CSV, TSV, JSON lines or Parquet"


def read(path: Path, form: TableForm, names: Sequence[str]) -> pa.Table:
    """Returns the named columns, each text, a list of text, or as it is if it holds images; a missing value is "".

    Raises:
        UserError: The file is damaged, a row has another number of columns, a name occurs twice, or text has NULs.
    """
    for name in names:
        if form.names.count(name) > 1:
            raise UserError(f"{path} has {form.names.count(name)} columns called {name!r}: rename all but one")
    if form.kind == "Parquet":
        # The bytes of images are read one row group at a time, later.
        kept = [name for name in names if not is_image(form.types[name])]
        inside = [f"{name}.path" for name in names if _has_path(form.types[name])]
        found = _reading(path, lambda: pa.parquet.ParquetFile(path).read(columns=[*kept, *inside]))
    elif form.kind == "JSON lines":
        found = _reading(path, lambda: _json(path, form)).select(list(names))
    else:
        found = _reading(path, lambda: _delimited(path, form, names))
    columns = {name: as_text(found[name]) for name in found.column_names}
    for name, column in columns.items():
        _refuse_nul(path, form, name, column)
    return pa.table(columns)


def batches(path: Path, form: TableForm, name: str) -> Iterator[list[str]]:
    """Yields a column's texts, some rows at a time, so that a long table is not in memory; of JSON lines all are.

    Raises:
        UserError: As `read`.
    """
    if form.names.count(name) > 1:
        raise UserError(f"{path} has {form.names.count(name)} columns called {name!r}: rename all but one")
    row = form.first
    with contextlib.ExitStack() as entered:
        if form.kind == "Parquet":
            file = _reading(path, lambda: entered.enter_context(pa.parquet.ParquetFile(path)))
            found = file.iter_batches(columns=[name])
        elif form.kind == "JSON lines":
            found = iter(_reading(path, lambda: _json(path, form)).select([name]).to_batches())
        else:
            opened = entered.enter_context(_opened(path))
            found = iter(_reading(path, lambda: pa.csv.open_csv(opened, *_csv_options(form, [name]))))
        while (batch := _reading(path, lambda: next(found, None))) is not None:
            column = as_text(pa.chunked_array([batch.column(0)]))
            _refuse_nul(path, form, name, column, row)
            row += len(column)
            yield column.to_pylist()


def is_image(kind: pa.DataType) -> bool:
    """Returns whether a column of this type holds the bytes of images: binary, or a struct with a field `bytes`."""
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and is_image(kind.field(at).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _has_path(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and kind.get_field_index("path") >= 0


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns a column as text, or as lists of text; a missing value is ""."""
    kind = column.type
    if pa.types.is_struct(kind):
        return as_text(pa.chunked_array([chunk.field("path") for chunk in column.chunks], pa.string()))
    if pa.types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return column.cast(pa.list_(pa.string()))
    return pa.compute.fill_null(column.cast(pa.string()), "")


def _refuse_nul(path: Path, form: TableForm, name: str, column: pa.ChunkedArray, first: int | None = None) -> None:
    if pa.types.is_list(column.type):
        column = column.combine_chunks().flatten()
    at = pa.compute.index(pa.compute.match_substring(column, "\0"), True).as_py()
    if at >= 0:
        raise UserError(f"{path}: row {(first or form.first) + at}: {one_line(name)!r} contains a NUL character")


def _decoded(path: Path, head: bytes) -> str:
    try:  # a character may be cut at the end
        return codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8, nor Parquet: save the table as UTF-8") from None


def _reading(path: Path, read: Any) -> Any:
    """Returns the result of `read`; errors of Arrow become one message.

    Raises:
        UserError: The table is damaged.
    """
    try:
        return read()
    except (pa.ArrowException, ValueError, KeyError) as error:
        said = one_line(str(error)).replace("invalid UTF8 data", "invalid UTF-8: save the table as UTF-8")
        raise UserError(f"{path} cannot be read as a table: {said}") from None


def _opened(path: Path) -> BinaryIO:
    """Returns the file behind its byte order mark and empty lines, if it begins with them."""
    file = path.open("rb")
    place = len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    file.seek(place)
    while file.read(1) in (b"\r", b"\n"):
        place += 1
    file.seek(place)
    return file


def _delimited(path: Path, form: TableForm, names: Sequence[str]) -> pa.Table:
    with _opened(path) as file:
        found = pa.csv.read_csv(file, *_csv_options(form, names))
    return found.rename_columns(list(names))


def _csv_options(
    form: TableForm, names: Sequence[str]
) -> tuple[pa.csv.ReadOptions, pa.csv.ParseOptions, pa.csv.ConvertOptions]:
    delimiter = next(sign for sign, kind in DELIMITERS.items() if kind == form.kind)
    # Columns by place: names may occur twice, or need trimming.
    places = [str(form.names.index(name)) for name in names]
    return (
        pa.csv.ReadOptions(
            column_names=[str(place) for place in range(len(form.names))], skip_rows_after_names=1, block_size=BLOCK
        ),
        pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa.csv.ConvertOptions(
            include_columns=places, column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
        ),
    )


def _json_columns(path: Path) -> tuple[tuple[str, ...], dict[str, pa.DataType]]:
    schema = _reading(path, lambda: _json(path, None)).schema
    return tuple(schema.names), dict(zip(schema.names, schema.types, strict=True))


def _json(path: Path, form: TableForm | None) -> pa.Table:
    """Returns all columns of JSON lines; what Arrow takes for a time is text (`form` has the types of a first reading)."""
    schema = None
    if form is not None:
        times = [name for name, kind in form.types.items() if pa.types.is_temporal(kind)]
        schema = pa.schema([(name, pa.string()) for name in times])
    with _opened(path) as file:
        return pa.json.read_json(
            file, pa.json.ReadOptions(block_size=BLOCK), pa.json.ParseOptions(explicit_schema=schema)
        )


def class_names_of(path: Path, form: TableForm, name: str) -> tuple[str, ...]:
    """Returns the class names that Hugging Face's `datasets` keeps with a Parquet column of numbers, or none."""
    if form.kind != "Parquet" or not (pa.types.is_integer(form.types[name]) or pa.types.is_list(form.types[name])):
        return ()
    kept = (pa.parquet.read_schema(path).metadata or {}).get(b"huggingface")
    try:
        feature = json.loads(kept)["info"]["features"][name] if kept else {}
    except (ValueError, KeyError, TypeError):
        return ()
    if isinstance(feature, list):
        feature = feature[0] if feature else {}
    feature = feature.get("feature", feature)
    return tuple(feature["names"]) if isinstance(feature, dict) and "names" in feature else ()
