"""What image files hold: whether each can be an image, and a digest of its bytes, read once and remembered. No TensorFlow."""

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

from kerascnn.data.transcode import probe, transcode
from kerascnn.data.trouble import SYSTEM, gone
from kerascnn.errors import Stopped
from kerascnn.runs.files import CONTENTS_FOLDER, write_file

DIGEST = 16  # bytes
THREADS, GROUP = 8, 64  # files of one task: fewer would cost more in hand-over than in reading
# A file that changed so shortly before it was read may change again within the same tick of the file system's clock: FAT
# counts in steps of two seconds.
SETTLED_NS = 2_000_000_000
KEEP_SECONDS = 30.0  # between two times that the table is kept while files are read
_CHUNK = 1 << 20


class Content(NamedTuple):
    """What is known of one file.

    Attributes:
        digest: blake2b of its bytes.
        size: Bytes of the file.
        kept: Bytes in memory where it is kept encoded.
        problem: Why it cannot be used; None where nothing speaks against it.
        changed: When it changed last, nanoseconds since 1970.
    """

    digest: bytes
    size: int
    kept: int
    problem: str | None
    changed: int


class Table:
    """Contents by path, remembered between starts.

    A row counts for a file of the same path, size, times and inode. The file lies beside the runs, never among the images; one
    that is missing, damaged or cannot be written costs time and nothing else.

    Args:
        folder: Where the table is kept; None keeps nothing.
        root: The data set's folder.
    """

    def __init__(self, folder: Path | None, root: str | os.PathLike[str]) -> None:
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:12]
        self.file = None if folder is None else folder / CONTENTS_FOLDER / f"{name}.npz"
        self._rows: dict[bytes, tuple[tuple[int, ...], bytes]] = self._read()
        self._seen: dict[bytes, tuple[tuple[int, ...], bytes]] = {}
        self._new = 0
        self._kept = time.monotonic()

    def find(self, path: str, status: os.stat_result) -> Content | None:
        """What was learned of the file earlier, where it is the same still."""
        key, digest = self._rows.get(os.fsencode(path), ((), b""))
        if key[:4] != _key(status):
            return None
        return Content(digest, status.st_size, key[4], None, _changed(status))

    def add(self, path: str, status: os.stat_result, content: Content, read_at: int) -> None:
        """Remember a file that can be used, known already (`read_at` is 0) or read now, if it had not just changed then."""
        if content.problem is None and (not read_at or content.changed + SETTLED_NS < read_at):
            self._seen[os.fsencode(path)] = (*_key(status), content.kept), content.digest
            self._new += bool(read_at)
        if time.monotonic() > self._kept + KEEP_SECONDS:
            self.keep({**self._rows, **self._seen})

    def finish(self) -> None:
        """Keep the rows of the files that are there."""
        if self._new or len(self._seen) < len(self._rows):
            self.keep(self._seen)

    def keep(self, rows: dict[bytes, tuple[tuple[int, ...], bytes]]) -> None:
        """Write `rows`, as a whole or not at all."""
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
    """Let `other`, a folder of further runs on the same images, know what `runs_dir` knows."""
    for table in (runs_dir / CONTENTS_FOLDER).glob("*.npz"):
        with contextlib.suppress(OSError):
            write_file(other / CONTENTS_FOLDER / table.name, table.read_bytes())


def contents(
    paths: Sequence[str], table: Table, advance: Callable[[int], None] = lambda count: None
) -> Iterator[Content]:
    """What each file holds, in order; files that the table knows are not opened.

    Args:
        paths: Files, and folders that stand for what is missing in them.
        table: What is known already, and where what is learned goes.
        advance: Called with numbers of files as they are done.

    Raises:
        Stopped: The disk or the share fails: what could not be read may be back at the next start.
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
    finally:  # whoever stops early does not wait for files that nobody wants
        pool.shutdown(cancel_futures=True)
    table.finish()


def _content(path: str, table: Table) -> tuple[Content, os.stat_result | None, int]:
    """A file's content; its status, and when it was read, 0 where the table knew it."""
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
        return Content(b"", 0, 0, reason, 0), None, 0


def _learned(path: str, status: os.stat_result) -> Content:
    if stat.S_ISDIR(status.st_mode):
        return Content(b"", 0, 0, "a folder without images, or a link to one above it", 0)
    found = probe(path)
    if found.problem:
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123 - a disk that fails raises what the header's reader made words of
                file.read(_CHUNK)
        return Content(b"", 0, 0, found.problem, 0)
    kept = status.st_size
    # A GIF, BMP or WebP may be cut off unnoticed, and is kept as PNG: a third of what each epoch costs, once.
    if not found.native:
        try:
            kept = len(transcode(Path(path).read_bytes()))
        except ValueError as error:
            return Content(b"", 0, 0, str(error), 0)
    return Content(digest(path), status.st_size, kept, None, _changed(status))


def digest(path: str) -> bytes:
    """blake2b of a file's bytes, in little memory; hashing lets other threads run."""
    found = hashlib.blake2b(digest_size=DIGEST)
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


def _key(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino & (2**63 - 1)


def _changed(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
