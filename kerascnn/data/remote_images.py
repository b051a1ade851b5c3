"""Images that are not local, one file each: what is known of them, and a reader that passes through a cache on disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.config.addresses import without_secrets
from kerascnn.data import remote
from kerascnn.data.contents import DIGEST, FileContent, digest_of, learned
from kerascnn.data.disk_cache import DiskCache
from kerascnn.data.record_index import ImageFacts
from kerascnn.data.remote import RemoteFile
from kerascnn.data.room import Room
from kerascnn.data.sources import Records
from kerascnn.data.table_images import TableImages
from kerascnn.runs.files import CONTENTS_FOLDER, write_file

THREADS, GROUP = 16, 64  # requests at a time; files per task


class Remembered(NamedTuple):
    """What is remembered of a remote file: its identity in the store, and the facts of its content."""

    identity: str
    content: FileContent


class RemoteTable:
    """Contents of remote files by address, remembered between starts, for files whose store tells when they change.

    Args:
        folder: Folder of the runs; None remembers nothing.
        root: Address of the data set.
    """

    def __init__(self, folder: Path | None, root: str) -> None:
        name = hashlib.sha256(root.encode()).hexdigest()[:12]
        self.file = None if folder is None else folder / CONTENTS_FOLDER / f"{name}-remote.npz"
        self.rows = self._read()

    def keep(self, rows: Mapping[str, Remembered]) -> None:
        """Writes the rows atomically."""
        if self.file is None or rows == self.rows:
            return
        buffer, found = io.BytesIO(), list(rows.values())
        np.savez(
            buffer,
            text="\0".join([*rows, *(row.identity for row in found)]).encode(),
            sizes=np.array([(row.content.size, row.content.kept) for row in found], np.int64).reshape(len(found), 2),
            digests=np.frombuffer(b"".join(row.content.digest for row in found), np.uint8).reshape(len(found), DIGEST),
        )
        with contextlib.suppress(OSError):
            write_file(self.file, buffer.getvalue())

    def _read(self) -> dict[str, Remembered]:
        if self.file is None:
            return {}
        try:
            with self.file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                text, sizes = bytes(arrays["text"].item()).decode().split("\0"), arrays["sizes"].tolist()
                digests = [bytes(row) for row in arrays["digests"]]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError):
            return {}
        if not len(text) == 2 * len(sizes) == 2 * len(digests):
            return {}
        facts = [FileContent(digest, size, kept, None, 0) for digest, (size, kept) in zip(digests, sizes, strict=True)]
        return {text[at]: Remembered(text[at + len(facts)], fact) for at, fact in enumerate(facts)}


class RemoteReader:
    """Reads remote images, for several threads: from the cache on disk if they are there, and never a changed content.

    Args:
        addresses: Address of each image.
        digests: Digest of each image's content when it was listed, uint8 [n, DIGEST].
        cache: The cache on disk, or None.
    """

    def __init__(self, addresses: Sequence[str], digests: np.ndarray, cache: DiskCache | None) -> None:
        self.addresses, self.digests, self.cache = addresses, digests, cache

    def get(self, index: int) -> bytes:
        """Returns the bytes of an image.

        Raises:
            OSError: It cannot be read, or is not what it was when it was listed.
        """
        digest = self.digests[index].tobytes()
        content = self.cache.find(digest) if self.cache else None
        if content is not None and digest_of(content) == digest:
            return content
        content = remote.read(self.addresses[index])
        if digest_of(content) != digest:
            raise OSError(f"{without_secrets(self.addresses[index])} has changed since it was listed")
        if self.cache:
            self.cache.add(digest, content)
        return content


def _learn(
    address: str, said: RemoteFile | None, table: RemoteTable, disk: DiskCache | None
) -> tuple[RemoteFile, FileContent | None]:
    """Returns what the store says of a file, and the facts of its content, remembered or read; None if it is missing."""
    try:
        if said is None or not said.identity:  # the pages of a web server list names alone
            said = remote.status(address)
        earlier = table.rows.get(address)
        if said.identity and earlier is not None and earlier.identity == said.identity:
            return said, earlier.content
        content = remote.read(address)
    except FileNotFoundError:
        return RemoteFile(None, ""), None
    found = learned(content)
    if disk is not None and found.problem is None:
        disk.add(found.digest, content)
    return said, found


def of(
    addresses: Sequence[str], known: Sequence[RemoteFile | None], root: str, cache: str, room: Room
) -> tuple[TableImages, list[int]]:
    """Returns the images at these addresses, and the places of the missing ones.

    A file whose identity is that of an earlier start is not read. The others are read once, and kept on disk if asked.

    Args:
        addresses: Address of each image.
        known: What a listing of the store said of each, or None.
        root: Address of the data set.
        cache: `data.cache`.
        room: For what is remembered, and progress.

    Raises:
        Stopped: The store cannot be reached.
    """
    folder = remote.cache_folder(cache)
    disk = None if folder is None else DiskCache(folder)
    table = RemoteTable(room.contents, root)
    facts, rows, missing = ImageFacts.of(len(addresses)), dict[str, Remembered](), []

    pool = ThreadPoolExecutor(THREADS)
    try:
        with remote.outage(), room.counting("reading files", len(addresses)) as advance:
            for first in range(0, len(addresses), GROUP):
                places = range(first, min(first + GROUP, len(addresses)))
                for place, (said, found) in zip(
                    places,
                    pool.map(lambda place: _learn(addresses[place], known[place], table, disk), places),
                    strict=True,
                ):
                    if found is None:
                        missing.append(place)
                        continue
                    facts.put(place, found)
                    if said.identity and found.problem is None:
                        rows[addresses[place]] = Remembered(said.identity, found)
                advance(len(places))
    finally:
        pool.shutdown(cancel_futures=True)
        table.keep({**table.rows, **rows})

    def source(good: np.ndarray, facts: ImageFacts, **rest: Any) -> Records:
        reader = RemoteReader([addresses[place] for place in good.tolist()], facts.digests, disk)
        return Records(reader.get, facts.kept, **rest)

    return TableImages(facts, source), missing
