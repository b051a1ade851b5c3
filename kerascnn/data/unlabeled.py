"""Images without labels: files and folders, lists in files, tables and shards, one by one and in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from kerascnn import data
from kerascnn.cli.escaping import expanded, one_line
from kerascnn.config.addresses import is_remote
from kerascnn.data import named, shard_names, table_columns, table_reading, wds
from kerascnn.data.listed_image import ListedImage
from kerascnn.data.named import Report
from kerascnn.data.room import Missing
from kerascnn.data.shard_files import MemoryBudget, Shard, ShardPlace
from kerascnn.data.table_images import ParquetReader
from kerascnn.errors import UserError

OPEN = 8  # shards and tables that are kept open for reading
LIST = "list"
FORM_NAMES = "list:FILE, table:FILE, wds:PATTERN or tfrecord:PATTERN"


class Told(NamedTuple):
    """What tells where tables and shards hold their images: a column, and a feature of TFRecord; None for usual names."""

    column: str | None = None
    key: str | None = None


def images(
    words: Iterable[str],
    told: Told,
    report: Report,
    *,
    note: Report = lambda path, why: None,
    stdin: BinaryIO | None = None,
    leave_out: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[ListedImage]:
    """Yields the images of the words of a command line, in their order.

    Args:
        words: As of `named.files`, and list:FILE (a path per line, or NUL-separated), table:FILE or the path of a table,
            wds:PATTERN, tfrecord:PATTERN.
        told: Names of a column and of a feature.
        report, note, stdin, leave_out: As of `named.files`.

    Raises:
        UserError: A list, a table or a shard is missing or damaged, or a form of data set is not read here.
        OSError: The disk or the network share fails.
    """
    away = tuple(leave_out)
    for word in words:
        form, rest = form_of(word)
        if form:
            yield from _FORMS[form](rest, told)
        else:
            for name in named.files([rest], report, note=note, stdin=stdin, leave_out=away):
                yield ListedImage(name)


def form_of(word: str) -> tuple[str, str]:
    """Returns the form of a word, a key of `_FORMS` or "" for files and folders, and the word without it.

    Raises:
        UserError: It names a data set that is not read here.
    """
    if os.path.lexists(word) and Path(word).suffix.lower() not in data.TABLE_SUFFIXES:
        return "", word
    form, colon, rest = word.partition(":")
    if colon and (form in _FORMS or form == "folder"):
        return form.removeprefix("folder"), rest
    if is_remote(word) or (colon and form in data.FORMS):
        raise UserError(f"{one_line(word)}: expected files, folders, patterns, -, {FORM_NAMES} of this machine")
    is_table = Path(word).suffix.lower() in data.TABLE_SUFFIXES and Path(word).is_file()
    return ("table" if is_table else ""), word


def _of_list(name: str, told: Told) -> Iterator[ListedImage]:
    try:
        with expanded(name).open("rb") as file:
            yield from (ListedImage(path) for path in named.listed(file))
    except (FileNotFoundError, IsADirectoryError):
        raise Missing(f"{LIST}:{one_line(name)}: expected a file with a path per line") from None


def _of_table(name: str, told: Told) -> Iterator[ListedImage]:
    path = expanded(name)
    if not path.is_file():
        raise Missing(f"table:{one_line(name)}: there is no such file")
    form = table_reading.form_of(path)
    columns = table_columns.images_only(form, told.column, path.name)
    if columns.binary:
        yield from _of_column(path, form, columns.name)
        return
    row = form.first
    for texts in table_reading.batches(path, form, columns.image):
        for text in texts:
            if not text.strip():
                raise UserError(f"{path}: row {row} has no path in column {columns.image!r}")
            # Paths count from the table's folder, as in training.
            place = os.path.join(path.parent, text.strip())  # noqa: PTH118 - millions of Path objects are felt
            yield ListedImage(text, place)
            row += 1


def _of_column(path: Path, form: table_reading.TableForm, names: str | None) -> Iterator[ListedImage]:
    """Yields the images whose bytes are in a Parquet file, by another column's names or by their row."""
    if names is None:
        count = pq.read_metadata(path).num_rows
        yield from (ListedImage(f"{path}/{row:06d}", str(path), (row,)) for row in range(count))
        return
    row = 0
    for texts in table_reading.batches(path, form, names):
        for text in texts:
            yield ListedImage(text or f"{path}/{row:06d}", str(path), (row,))
            row += 1


def _of_tar(pattern: str, told: Told) -> Iterator[ListedImage]:
    for path in shard_names.matched("wds", pattern):
        yield from _inside(path, wds.images(Shard(path, MemoryBudget())))


def _of_records(pattern: str, told: Told) -> Iterator[ListedImage]:
    from kerascnn.data import tfrecord

    for path in shard_names.matched("tfrecord", pattern):
        yield from _inside(path, tfrecord.images(Shard(path, MemoryBudget(), tfrecord.is_plain), told.key or ""))


def _inside(path: Path, places: Iterator[ShardPlace]) -> Iterator[ListedImage]:
    for place in places:
        yield ListedImage(f"{path}/{place.name}", str(path), (place.offset, place.size))


_FORMS: dict[str, Callable[[str, Told], Iterator[ListedImage]]] = {
    LIST: _of_list,
    "table": _of_table,
    "wds": _of_tar,
    "tfrecord": _of_records,
}


class ListedBytes:
    """Reads images that lie in shards and tables; several threads call it."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._shard = lru_cache(OPEN)(self._opened_shard)
        self._table = lru_cache(OPEN)(self._opened_table)

    def of(self, image: ListedImage) -> Callable[[], bytes]:
        """Returns the function that reads an image with `at`.

        It raises OSError if the image cannot be read, and UserError if its shard has changed.
        """
        return lambda: self._read(image)

    def _read(self, image: ListedImage) -> bytes:
        if len(image.at) == 1:
            return self._table(image.file).get(image.at[0]) or b""
        offset, size = image.at
        content = self._shard(image.file).read(offset, size)
        if len(content) < size:
            raise OSError(f"{image.file} ends too early")
        return content

    def _opened_shard(self, file: str) -> Shard:
        # A tar file begins with a name, a TFRecord file with a length: either may resemble what is compressed.
        from kerascnn.data import tfrecord

        return Shard(Path(file), MemoryBudget(), tfrecord.is_plain)

    def _opened_table(self, file: str) -> ParquetReader:
        path = Path(file)
        count = pq.read_metadata(path).num_rows
        form = table_reading.form_of(path)
        columns = table_columns.images_only(form, self._told.column, path.name)
        is_struct = pa.types.is_struct(form.types[columns.image])
        nowhere = np.broadcast_to(np.int64(-1), count)
        return ParquetReader(
            path, f"{columns.image}.bytes" if is_struct else columns.image, np.arange(count), nowhere, nowhere
        )
