"""The files of predictions in parts, CSV or Parquet: written row by row, checked and joined. No TensorFlow."""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from kerascnn.errors import UserError
from kerascnn.prediction import rows
from kerascnn.prediction.predict_flags import Predict
from kerascnn.prediction.rows import ImagePrediction
from kerascnn.runs import files

PROBLEM = "problem"  # the last column: why an image could not be used
ROWS = 4096  # of a row group

Add = Callable[[str, ImagePrediction | None, str], None]  # name, prediction or None, problem


class PartColumns(NamedTuple):
    """The columns of a part.

    Attributes:
        names: Their names.
        several: Whether images have several labels.
        top: Number of classes that are named for an image with one.
        sets, known: Whether there are prediction sets, and whether unknown images are told.
    """

    names: tuple[str, ...]
    several: bool
    top: int
    sets: bool
    known: bool

    @classmethod
    def of(cls, asked: Predict, classes: int, several: bool) -> PartColumns:
        """Returns the columns that flags ask for.

        Args:
            asked: The flags.
            classes: Number of classes.
            several: Whether images have several labels.
        """
        names = (*rows.columns(asked, classes, several), PROBLEM)
        return cls(names, several, min(asked.top, classes), asked.sets, asked.reject_unknown)


@contextlib.contextmanager
def writing_csv(path: Path, columns: PartColumns) -> Iterator[Add]:
    """Yields the function that adds a row to a new CSV file; an image that could not be used has only name and problem."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(rows.csv_line(columns.names) + "\n")

        def add(name: str, prediction: ImagePrediction | None, problem: str) -> None:
            blank = [""] * (len(columns.names) - 2)
            cells = [name, *blank] if prediction is None else rows.cells(prediction)
            file.write(rows.csv_line([*cells, problem]) + "\n")

        yield add


@contextlib.contextmanager
def writing_parquet(path: Path, columns: PartColumns) -> Iterator[Add]:
    """As `writing_csv`, with types: text, float32, lists of them, bool; bytes of a name that are not UTF-8 become \\x.. ."""
    schema = _schema(columns)
    waiting: list[list[Any]] = []
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def put() -> None:
            found = list(zip(*waiting, strict=True))
            arrays = [pa.array(values, kind) for values, kind in zip(found, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            waiting.clear()

        def add(name: str, prediction: ImagePrediction | None, problem: str) -> None:
            text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            blank = [None] * (len(columns.names) - 2)
            waiting.append([text, *(blank if prediction is None else _values(prediction)), problem or None])
            if len(waiting) == ROWS:
                put()

        yield add
        if waiting:
            put()


def _schema(columns: PartColumns) -> pa.Schema:
    of_top = [pa.string(), pa.float32()] * columns.top
    kinds = [pa.list_(pa.string()), pa.list_(pa.float32())] if columns.several else of_top
    kinds += [pa.list_(pa.string())] if columns.sets else []
    kinds += [pa.bool_()] if columns.known else []
    return pa.schema(list(zip(columns.names, [pa.string(), *kinds, pa.string()], strict=True)))


def _values(prediction: ImagePrediction) -> list[Any]:
    found: list[Any] = [value for pair in prediction.top for value in pair]
    if prediction.labels is not None:
        found = [[name for name, _ in prediction.labels], [value for _, value in prediction.labels]]
    found += [] if prediction.classes is None else [list(prediction.classes)]
    return found if prediction.known is None else [*found, prediction.known]


class JoinedParts(NamedTuple):
    """What was joined: numbers of rows, and of those of images that could not be used."""

    rows: int
    bad: int


def join_csv(parts: Sequence[tuple[Path, int]], path: Path) -> JoinedParts:
    """Joins CSV files under one header; one buffer is in memory.

    Args:
        parts: The files with the number of rows that each must have.
        path: The new file, which appears once it is whole.

    Raises:
        UserError: A part is damaged.
    """
    count, bad, header = 0, 0, b""
    with files.beside(path) as aside, files.naming(path):
        with aside.open("wb") as out:
            for part, expected in parts:
                found = _counted_csv(part, expected)
                with part.open("rb") as file:
                    first = file.readline()
                    if not header:
                        header = first
                        out.write(first)
                    if first != header:
                        raise UserError(f"{part} is damaged: its columns are not those of the others")
                    shutil.copyfileobj(file, out, 1 << 20)
                count, bad = count + found.rows, bad + found.bad
        files.sync(aside)
    return JoinedParts(count, bad)


def _counted_csv(part: Path, expected: int) -> JoinedParts:
    with part.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        count = bad = 0
        for row in reader:
            if len(row) != len(header):
                break
            count += 1
            bad += bool(row[-1])
        else:
            if count == expected and header[-1:] == [PROBLEM]:
                return JoinedParts(count, bad)
    raise _damaged(part, f"expected {expected:,} rows, found {count:,}")


def join_parquet(parts: Sequence[tuple[Path, int]], path: Path) -> JoinedParts:
    """As `join_csv`; one row group is in memory."""
    count, bad = 0, 0
    with files.beside(path) as aside, files.naming(path):
        writer: pq.ParquetWriter | None = None
        try:
            for part, expected in parts:
                try:
                    with pq.ParquetFile(part) as file:
                        if file.metadata.num_rows != expected:
                            raise _damaged(part, f"expected {expected:,} rows, found {file.metadata.num_rows:,}")
                        writer = writer or pq.ParquetWriter(aside, file.schema_arrow, compression="zstd")
                        for group in range(file.num_row_groups):
                            table = file.read_row_group(group)
                            writer.write_table(table)
                            count, bad = count + len(table), bad + len(table) - table[PROBLEM].null_count
                except (pa.ArrowException, KeyError, ValueError) as error:
                    raise _damaged(part, " ".join(str(error).split())[:200]) from None
        finally:
            if writer is not None:
                writer.close()
        files.sync(aside)
    return JoinedParts(count, bad)


def _damaged(part: Path, why: str) -> UserError:
    return UserError(f"{part} is damaged: {why}. Remove it: the command that made it makes it again")


class PartFormat(NamedTuple):
    """A format of parts: how one is written, and how several are joined."""

    writing: Callable[[Path, PartColumns], contextlib.AbstractContextManager[Add]]
    join: Callable[[Sequence[tuple[Path, int]], Path], JoinedParts]


# A format is one row, and a choice of --format.
FORMATS = {"csv": PartFormat(writing_csv, join_csv), "parquet": PartFormat(writing_parquet, join_parquet)}
