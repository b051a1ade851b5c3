"""Reading parts of shards at random: from the file, or from memory for a shard that is compressed as a whole. No TensorFlow."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.devices.free_memory import free_memory
from kerascnn.errors import UserError

# Programs that unpack a file once, and readers, by the first bytes.
_PACKED: dict[bytes, tuple[str, Callable[..., BinaryIO] | None]] = {
    b"\x1f\x8b\x08": ("gzip -dk", gzip.open),  # type: ignore[dict-item]
    b"BZh": ("bzip2 -dk", bz2.open),  # type: ignore[dict-item]
    b"\xfd7zXZ\0": ("xz -dk", lzma.open),  # type: ignore[dict-item]
    b"\x28\xb5\x2f\xfd": ("zstd -dk", None),
}
_CHUNK = 16 << 20
MOST_OPEN = 256  # descriptors that are kept: a process may have 1024


class MemoryBudget:
    """A quarter of the free memory, for shards that are unpacked; several threads draw from it."""

    def __init__(self) -> None:
        self.whole = self.left = free_memory() // 4
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Takes `size` bytes, unless fewer are left."""
        with self._lock:
            fits = size <= self.left
            self.left -= size if fits else 0
            return fits


class Shard:
    """One file that holds many images. Its parts are read at random, by several threads.

    Args:
        path: The file.
        budget: Memory for its content if it is compressed as a whole.
        plain: Whether its first bytes are those of a file that is not compressed, whatever they resemble.

    Raises:
        UserError: It is compressed and does not fit into the budget.
    """

    def __init__(self, path: Path, budget: MemoryBudget, plain: Callable[[bytes], bool] = lambda header: False) -> None:
        self.path = path
        self.status = path.stat()
        with path.open("rb") as file:
            header = file.read(16)
        packed = [row for magic, row in _PACKED.items() if header.startswith(magic) and not plain(header)]
        self.content = _unpacked(path, *packed[0], budget) if packed else None
        self.size = self.status.st_size if self.content is None else len(self.content)
        self._descriptor: int | None = None
        self._lock = threading.Lock()

    def open(self) -> BinaryIO:
        """Returns the file, unpacked, for one reader."""
        return self.path.open("rb") if self.content is None else io.BytesIO(self.content)

    def read(self, offset: int, size: int) -> bytes:
        """Returns a part of the file, shorter where the file ends.

        Raises:
            OSError: The file cannot be read.
            UserError: It changed since it was listed.
        """
        if self.content is not None:
            return self.content[offset : offset + size]
        descriptor, kept = self._opened()
        try:
            if _same(os.fstat(descriptor)) != _same(self.status):
                raise UserError(f"{self.path} changed while it was in use: start the same command again")
            return os.pread(descriptor, size, offset)
        finally:
            if not kept:
                os.close(descriptor)

    def _opened(self) -> tuple[int, bool]:
        """Returns a descriptor, and whether it stays open."""
        if self._descriptor is not None:
            return self._descriptor, True
        with self._lock:
            if self._descriptor is None and _places.acquire(blocking=False):
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        if self._descriptor is not None:
            return self._descriptor, True
        return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC), False

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)  # type: ignore[arg-type]
            _places.release()


class ShardPlace(NamedTuple):
    """Where an image lies in a shard.

    Attributes:
        name: Its name.
        offset, size: Place and number of its bytes.
    """

    name: str
    offset: int
    size: int


_places = threading.Semaphore(MOST_OPEN)


def _same(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _unpacked(path: Path, program: str, reader: Callable[..., BinaryIO] | None, budget: MemoryBudget) -> bytes:
    advice = f"unpack it once: {program} {path.name}, and name the file that this makes"
    if reader is None:
        raise UserError(f"{path} is compressed as a whole, in a way that is not read: {advice}")
    parts: list[bytes] = []
    try:
        with reader(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                if not budget.take(len(chunk)):
                    raise UserError(
                        f"{path} is compressed as a whole, and its content does not fit into a quarter of the free memory"
                        f" ({budget.whole / 1e9:.1f} GB for all shards): {advice}"
                    )
                parts.append(chunk)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or truncated: {one_line(str(error))}") from None
    return b"".join(parts)


class ShardBytes:
    """The bytes of images in shards, by index: the `get` of `sources.Records`.

    Args:
        shards: The files.
        at: Index of each image's shard, int [n].
        offsets, sizes: Place and number of its bytes, int [n].
    """

    def __init__(self, shards: Sequence[Shard], at: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> None:
        self.shards, self.at, self.offsets, self.sizes = shards, at, offsets, sizes

    def get(self, index: int) -> bytes:
        """Returns the bytes of an image.

        Raises:
            OSError: They cannot be read.
            UserError: The shard changed.
        """
        shard, size = self.shards[int(self.at[index])], int(self.sizes[index])
        content = shard.read(int(self.offsets[index]), size)
        if len(content) < size:
            raise OSError(f"{shard.path} ends too early")
        return content
