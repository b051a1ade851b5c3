"""Contents of image files: whether a file can be an image, and a digest of its bytes, read once and remembered. No
TensorFlow.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerascnn.data.transcode import probe, probe_content, transcode
from kerascnn.data.trouble import SYSTEM, gone
from kerascnn.errors import Stopped
from kerascnn.runs.files import CONTENTS_FOLDER, write_file

DIGEST = 16  # bytes
THREADS, GROUP = 8, 64  # files per task: the overhead of smaller tasks would exceed the reading
# A file that changed this shortly before it was read may change again within one tick of the file system's clock, which
# is two seconds on FAT.
SETTLED_NS = 2_000_000_000
KEEP_SECONDS = 30.0  # seconds between two writes of the table while files are read
_CHUNK = 1 << 20


class FileContent(NamedTuple):
    """The known facts about one file.

    Attributes:
        digest: blake2b digest of its bytes.
        size: Size of the file in bytes.
        kept: Bytes in memory if it is kept encoded.
        problem: Why it cannot be used, or None if no problem is known.
        changed: Time of the last change, in nanoseconds since 1970.
    """

    digest: bytes
    size: int
    kept: int
    problem: str | None
    changed: int


class ContentTable:
    """Contents of files by path, remembered between starts.

    A row is valid for a file with the same path, size, times and inode. The table lies beside the runs, never among the
    images. If it is missing, damaged or not writable, that costs only time.

    Args:
        folder: Folder of the table; None remembers nothing.
        root: Folder of the data set.
    """

    def __init__(self, folder: Path | None, root: str | os.PathLike[str]) -> None:
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]
        self.file = None if folder is None else folder / CONTENTS_FOLDER / f"{name}.npz"
        self._rows: dict[bytes, tuple[tuple[int, ...], bytes]] = self._read()
        self._seen: dict[bytes, tuple[tuple[int, ...], bytes]] = {}
        self._new = 0
        self._kept = time.monotonic()

    def find(self, path: str, status: os.stat_result) -> FileContent | None:
        """Returns what is known of a file, if it is unchanged."""
        key, digest = self._rows.get(os.fsencode(path), ((), b""))
        if key[:4] != status_key(status):
            return None
        return FileContent(digest, status.st_size, key[4], None, _changed(status))

    def add(self, path: str, status: os.stat_result, content: FileContent, read_at: int) -> None:
        """Remembers a valid file, known before (`read_at` is 0) or read now, unless it had changed just before."""
        if content.problem is None and (not read_at or content.changed + SETTLED_NS < read_at):
            key, row = os.fsencode(path), ((*status_key(status), content.kept), content.digest)
            known = self._rows.get(key)
            self._seen[key] = known if known == row else row  # a million rows are held once
            self._new += bool(read_at)
        if time.monotonic() > self._kept + KEEP_SECONDS:
            self.keep({**self._rows, **self._seen})

    def finish(self) -> None:
        """Writes the rows of the present files."""
        if self._new or len(self._seen) < len(self._rows):
            self.keep(self._seen)

    def keep(self, rows: dict[bytes, tuple[tuple[int, ...], bytes]]) -> None:
        """Writes `rows` atomically."""
        self._kept = time.monotonic()
        if self.file is None:
            return
        buffer = io.BytesIO()
        np.savez(
            buffer,
            paths=np.frombuffer(b"\0".join(rows), np.uint8),
            keys=np.array([key for key, _ in rows.values()], np.int64).reshape(len(rows), 5),
            digests=np.frombuffer(b"".join(digest for _, digest in rows.values()), np.uint8).reshape(len(rows), DIGEST),
        )
        with contextlib.suppress(OSError):
            write_file(self.file, buffer.getvalue())

    def _read(self) -> dict[bytes, tuple[tuple[int, ...], bytes]]:
        if self.file is None:
            return {}
        try:
            with self.file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                paths = arrays["paths"].tobytes().split(b"\0")
                keys, digests = arrays["keys"], arrays["digests"]
                if len(paths) != len(keys) or keys.shape[1:] != (5,) or digests.shape != (len(paths), DIGEST):
                    return {}
                rows = zip(map(tuple, keys.tolist()), map(bytes, digests), strict=True)
                return dict(zip(paths, rows, strict=True))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError):
            return {}


def carry(runs_dir: Path, other: Path) -> None:
    """Copies what `runs_dir` knows to `other`, another folder of runs on the same images."""
    for table in (runs_dir / CONTENTS_FOLDER).glob("*.npz"):
        with contextlib.suppress(OSError):
            write_file(other / CONTENTS_FOLDER / table.name, table.read_bytes())


def contents(
    paths: Sequence[str], table: ContentTable, advance: Callable[[int], None] = lambda count: None
) -> Iterator[FileContent]:
    """Returns the content of each file, in order; files that the table knows are not opened.

    Args:
        paths: Files, and folders in place of missing files.
        table: The table that is read and extended.
        advance: Called with the number of files that are done since the last call.

    Raises:
        Stopped: The disk or the network share fails: the files may be available at the next start.
    """
    pool = ThreadPoolExecutor(THREADS)
    try:
        groups = (paths[i : i + GROUP] for i in range(0, len(paths), GROUP))
        for group, found in pool.map(lambda group: (group, [_content(path, table) for path in group]), groups):
            for path, (content, status, read_at) in zip(group, found, strict=True):
                if status is not None:
                    table.add(path, status, content, read_at)
                yield content
            advance(len(group))
    finally:  # a caller that stops early does not wait for further files
        pool.shutdown(cancel_futures=True)
    table.finish()


def _content(path: str, table: ContentTable) -> tuple[FileContent, os.stat_result | None, int]:
    """Returns a file's content, its status, and when it was read (0 if the table knew it)."""
    try:
        status = os.stat(path)  # noqa: PTH116
        if known := table.find(path, status):
            return known, status, 0
        read_at = time.time_ns()
        return _learned(path, status), status, read_at
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in SYSTEM:
            raise Stopped(gone([(path, reason)])) from None
        return FileContent(b"", 0, 0, reason, 0), None, 0


def _learned(path: str, status: os.stat_result) -> FileContent:
    if stat.S_ISDIR(status.st_mode):
        return FileContent(b"", 0, 0, "a folder without images, or a link to one above it", 0)
    found = probe(path)
    if found.problem:
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123 - a disk that fails raises what the header's reader made words of
                file.read(_CHUNK)
        return FileContent(b"", 0, 0, found.problem, 0)
    kept = status.st_size
    if not found.native:
        try:
            kept = _kept(Path(path).read_bytes())
        except ValueError as error:
            return FileContent(b"", 0, 0, str(error), 0)
    return FileContent(digest(path), status.st_size, kept, None, _changed(status))


def learned(content: bytes) -> FileContent:
    """Returns the facts about an image that lies in another file: as those of a file with this content."""
    found, kept = probe_content(content), len(content)
    if found.problem is None and not found.native:
        try:
            kept = _kept(content)
        except ValueError as error:
            return FileContent(b"", 0, 0, str(error), 0)
    return FileContent(b"" if found.problem else digest_of(content), len(content), kept, found.problem, 0)


def _kept(content: bytes) -> int:
    """Returns the bytes of an image that TensorFlow does not decode, once it is PNG.

    Damage in formats other than JPEG and PNG shows only here: a third of the cost of an epoch, once.
    """
    return len(transcode(content))


def digest_of(content: bytes) -> bytes:
    """Returns the digest of an image's bytes, as `digest` of a file with them."""
    return hashlib.blake2b(content, digest_size=DIGEST).digest()


def digest(path: str) -> bytes:
    """Returns the blake2b digest of a file, in little memory; other threads run while it hashes."""
    found = hashlib.blake2b(digest_size=DIGEST)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


def status_key(status: os.stat_result) -> tuple[int, ...]:
    """Returns what tells whether a file is unchanged."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & (2**63 - 1)


def _changed(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
