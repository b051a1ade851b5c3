"""A folder that keeps files that were read from elsewhere, by the digest of their content, within a bound. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from pathlib import Path

from kerascnn.runs.files import make_output, write_file


class DiskCache:
    """Files by the digest of their content, in a folder that stays within a number of bytes; the oldest ones go first.

    Several processes may share the folder.

    Args:
        folder: The folder; it is created.
        most: Bytes; by default half of what was free on the disk, and what the folder holds.
    """

    def __init__(self, folder: Path, most: int | None = None) -> None:
        if not folder.exists():
            make_output(folder)
        self.folder, self._lock = folder, threading.Lock()
        self._held = sum(entry.stat().st_size for entry in self._files())
        disk = os.statvfs(folder)
        self.most = self._held + disk.f_bavail * disk.f_frsize // 2 if most is None else most

    def _files(self) -> list[os.DirEntry[str]]:
        with os.scandir(self.folder) as entries:
            return [entry for entry in entries if re.fullmatch(r"[0-9a-f]{32}", entry.name)]

    def find(self, digest: bytes) -> bytes | None:
        """Returns the content with this digest, if it is here."""
        path = self.folder / digest.hex()
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content

    def add(self, digest: bytes, content: bytes) -> None:
        """Keeps a content; a disk that is full costs only time."""
        with self._lock:
            if self._held + len(content) > self.most:
                self._clear(self.most - len(content))
            if self._held + len(content) > self.most:
                return
            self._held += len(content)
        with contextlib.suppress(OSError):
            write_file(self.folder / digest.hex(), content)

    def _clear(self, most: int) -> None:
        """Removes the files that were used last longest ago, until nine tenths of `most` are left."""
        found = []
        for entry in self._files():
            with contextlib.suppress(OSError):
                found.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
        self._held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if self._held <= 0.9 * most:
                return
            with contextlib.suppress(OSError):
                Path(path).unlink()
                self._held -= size
