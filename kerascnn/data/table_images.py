"""Images whose bytes lie in a column of a Parquet file: read where they lie, or one row group at a time."""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kerascnn.data.contents import GROUP, THREADS, learned
from kerascnn.data.record_index import ImageFacts, RecordIndex
from kerascnn.data.room import Room
from kerascnn.data.sources import Encoded, Records
from kerascnn.data.table_columns import TableColumns
from kerascnn.devices.free_memory import free_memory
from kerascnn.errors import UserError

BATCH = 256  # rows that are held while a file is read through
HELD = 256 << 20  # bytes of row groups that are held for random access, beyond the one in use
LARGEST = 1 << 30  # bytes of a row group that is read as a whole for one image


class TableImages(NamedTuple):
    """The images of a table: the facts about each row's, and a function of places and their facts that gives the source."""

    facts: ImageFacts
    source: Callable[..., Encoded]


def ids(table: pa.Table, columns: TableColumns, notes: list[str]) -> list[str]:
    """Returns the name of each row's image: its path in the struct, or in a column of names, else the number of its row."""
    for name in (columns.image, columns.name):
        if name is None or name not in table.column_names:
            continue
        found = table[name].to_pylist()
        if all(found) and len(set(found)) == len(found):
            return found
        notes.append(f"column {name!r} does not name each image once: images are named by the numbers of their rows")
    digits = len(str(len(table)))
    return [f"row/{place:0{digits}d}" for place in range(len(table))]


def inside(path: Path, column: str, room: Room) -> TableImages:
    """Returns the images of a Parquet file's column.

    Raises:
        UserError: Row groups are compressed and too large to be read as a whole for each image.
    """
    field = _field(path, column)
    index = RecordIndex(room.contents, path, field)
    facts = index.load()
    if facts is None:
        facts = _learned(path, field, room)
        index.keep(facts)
    if (facts.offsets[facts.sizes > 0] < 0).any():
        _check_groups(path, field)

    def source(rows: np.ndarray, facts: ImageFacts, **known: object) -> Records:
        reader = ParquetReader(path, field, rows, facts.offsets, facts.sizes)
        return Records(reader.get, facts.kept, **known)

    return TableImages(facts, source)


def _field(path: Path, column: str) -> str:
    """Returns the dotted name of the column's bytes."""
    schema = pq.read_schema(path)
    return f"{column}.bytes" if pa.types.is_struct(schema.field(column).type) else column


def _place(file: pq.ParquetFile, field: str) -> int:
    """Returns the number of the column in the file's metadata."""
    group = file.metadata.row_group(0)
    return next(at for at in range(group.num_columns) if group.column(at).path_in_schema == field)


def _check_groups(path: Path, field: str) -> None:
    file = pq.ParquetFile(path)
    at, groups = _place(file, field), range(file.num_row_groups)
    largest = max(file.metadata.row_group(group).column(at).total_uncompressed_size for group in groups)
    if largest > min(LARGEST, free_memory() // 4):
        raise UserError(
            f"{path}: a row group has {largest / 1e9:.1f} GB of images, and is compressed, so that it must be read as a whole"
            " for each image: write the table again with pyarrow.parquet.write_table(table, path, compression='none')"
        )


def _learned(path: Path, field: str, room: Room) -> ImageFacts:
    """Returns the facts about all images, read once, in order, in little memory."""
    with pq.ParquetFile(path, memory_map=True) as file, path.open("rb") as opened:
        count, at = file.metadata.num_rows, 0
        facts = ImageFacts.of(count)
        with (
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
            ThreadPoolExecutor(THREADS) as pool,
            room.counting("reading images", count) as advance,
        ):
            for group in range(file.num_row_groups):
                places = _Places(content, file, group, _place(file, field))
                for values in _batches(file, group, field):
                    parts = [values[i : i + GROUP] for i in range(0, len(values), GROUP)]
                    for part, found in zip(
                        parts, pool.map(lambda some: [learned(v) for v in some], parts), strict=True
                    ):
                        for value, fact in zip(part, found, strict=True):
                            facts.put(at, fact, places.of(value))
                            at += 1
                        advance(len(part))
    return facts


def _batches(file: pq.ParquetFile, group: int, field: str) -> Iterator[list[bytes]]:
    """Yields the values of a row group; a missing value is empty."""
    for batch in file.iter_batches(BATCH, row_groups=[group], columns=[field], use_threads=False):
        yield [value or b"" for value in _values(batch.column(0)).to_pylist()]


def _values(column: pa.Array) -> pa.Array:
    return column.field("bytes") if pa.types.is_struct(column.type) else column


class _Places:
    """Finds where the values of a column lie in an uncompressed row group, where they follow each other."""

    def __init__(self, content: mmap.mmap, file: pq.ParquetFile, group: int, column: int) -> None:
        chunk = file.metadata.row_group(group).column(column)
        starts = [chunk.data_page_offset, *([chunk.dictionary_page_offset] if chunk.has_dictionary_page else [])]
        self.content, self.start = content, min(starts)
        self.end = self.start + chunk.total_compressed_size if chunk.compression == "UNCOMPRESSED" else self.start
        self.next = self.start

    def of(self, value: bytes) -> int:
        """Returns the place of a value after the last one, or of an earlier equal one, or -1."""
        if self.end == self.start or not value:
            return -1
        at = self.content.find(value, self.next, self.end)
        if at < 0:  # equal values are stored once
            return self.content.find(value, self.start, self.end)
        self.next = at + len(value)
        return at


class ParquetReader:
    """Reads single images of a Parquet file, for several threads, in memory that does not grow with the file.

    Args:
        path: The file.
        field: Dotted name of the column.
        rows: Row of each image, int64 [n].
        offsets: Place of each image's bytes in the file, int64 [n], or -1.
        sizes: Number of its bytes, int64 [n].
    """

    def __init__(self, path: Path, field: str, rows: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> None:
        self.path, self.field, self.rows, self.offsets, self.sizes = path, field, rows, offsets, sizes
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._groups: OrderedDict[int, pa.Array] = OrderedDict()
        metadata = pq.read_metadata(path)
        counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = np.cumsum(counts)

    def get(self, index: int) -> bytes:
        """Returns the bytes of an image.

        Raises:
            OSError: The file cannot be read.
        """
        offset, size = int(self.offsets[index]), int(self.sizes[index])
        if offset >= 0:
            content = os.pread(self._opened(), size, offset)
            if len(content) < size:
                raise OSError(f"{self.path} ends before the image of row {self.rows[index]}")
            return content
        row = int(self.rows[index])
        group = int(np.searchsorted(self._ends, row, side="right"))
        first = int(self._ends[group - 1]) if group else 0
        return self._group(group)[row - first].as_py()

    def _opened(self) -> int:
        with self._lock:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            return self._descriptor

    def _group(self, group: int) -> pa.Array:
        """Returns the values of a row group; the last ones that fit into HELD are kept."""
        with self._lock:  # threads that need the same group wait for it
            if group not in self._groups:
                try:
                    with pq.ParquetFile(self.path) as file:
                        table = file.read_row_group(group, columns=[self.field], use_threads=False)
                except pa.ArrowException as error:
                    raise OSError(f"{self.path}: {error}") from None
                self._groups[group] = _values(table.column(0).combine_chunks())
            self._groups.move_to_end(group)
            while len(self._groups) > 1 and sum(values.nbytes for values in self._groups.values()) > HELD:
                self._groups.popitem(last=False)
            return self._groups[group]

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
