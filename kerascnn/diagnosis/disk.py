"""Whether a place can be written to, how fast its disk is, and whether its clock agrees with this machine's."""

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SIZE = 64 * 2**20  # bytes that are written and read
PART = 2**20


@dataclass(frozen=True)
class Disk:
    """A place that commands write to.

    Attributes:
        what: What is kept there.
        error: Why it cannot be written to; the other figures are then 0.
        free: Bytes that this user may still write.
        written: Bytes/s written, with their sync to the disk.
        read: Bytes/s read after the cache was told to forget them; where it does not, the speed of the cache.
        skew: Seconds that the clock of the file system is ahead of this machine's.
    """

    what: str
    error: str = ""
    free: int = 0
    written: float = 0.0
    read: float = 0.0
    skew: float = 0.0


def measure(places: Mapping[str, Path]) -> tuple[Disk, ...]:
    """Returns a measurement of each place.

    Args:
        places: What is kept there -> its folder, which may not exist yet: the nearest folder above it counts.
    """
    return tuple(_measured(what, _existing(folder)) for what, folder in places.items())


def _existing(folder: Path) -> Path:
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())


def _measured(what: str, folder: Path) -> Disk:
    try:
        spare = os.statvfs(folder)
        free = spare.f_bavail * spare.f_frsize
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-", buffering=0) as file:
            skew = os.fstat(file.fileno()).st_mtime - time.time()
            if free < 4 * SIZE:
                return Disk(what, free=free, skew=skew)
            part = os.urandom(PART)  # a file system that compresses shall not be faster
            written = _seconds(lambda: _write(file.fileno(), part))
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, SIZE, os.POSIX_FADV_DONTNEED)
            read = _seconds(lambda: _read(file.fileno()))
        return Disk(what, "", free, SIZE / written, SIZE / read, skew)
    except OSError as error:
        return Disk(what, error.strerror or type(error).__name__)


def _seconds(function) -> float:
    start = time.perf_counter()
    function()
    return max(time.perf_counter() - start, 1e-9)


def _write(file: int, part: bytes) -> None:
    for _ in range(SIZE // PART):
        os.write(file, part)
    os.fsync(file)


def _read(file: int) -> None:
    os.lseek(file, 0, os.SEEK_SET)
    while os.read(file, PART):
        pass
