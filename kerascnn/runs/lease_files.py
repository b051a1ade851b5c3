"""What the files of leases say: who holds a directory, read without disturbing anybody. See `runs.lease`."""

import errno
import fcntl
import json
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

from kerascnn.cli.escaping import one_line
from kerascnn.runs.files import LEASE_FOLDER

TTL = 60.0  # seconds after its last heartbeat at which a holder on another machine is dead
_RELEASED = 1e9  # an mtime before this one (2001) says that the lease was released
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class Seen(NamedTuple):
    """A lease file as it was read.

    Attributes:
        generation: Its number.
        content: Its bytes, which name the holder; no two leases are equal.
        beat: Its mtime, by the clock of the file server.
        here: Whether the kernel knows if its holder lives: it is the same kernel, and flock works.
        alive: With `here`, whether the holder lives.
    """

    generation: int
    content: bytes
    beat: float
    here: bool
    alive: bool

    @property
    def released(self) -> bool:
        """Whether its holder gave it back."""
        return self.beat < _RELEASED

    @property
    def holder(self) -> str:
        """The holder, for messages."""
        facts = facts_of(self.content)
        where = "" if self.here else f" on {one_line(str(facts.get('host', 'another machine')))}"
        return f"process {one_line(str(facts.get('process', 'unknown')))}{where}"


def live_holder(folder: Path) -> str | None:
    """Returns the holder of a directory for messages, or None; nothing is written, and nobody is kept from holding it."""
    seen = newest(folder)
    if seen is None or seen.released or not (seen.alive if seen.here else time.time() - seen.beat < TTL):
        return None
    return seen.holder


def generations(folder: Path) -> list[int]:
    """Returns the numbers of a directory's leases, ascending."""
    try:
        return sorted(int(name) for name in os.listdir(folder / LEASE_FOLDER) if name.isdecimal())  # noqa: PTH208
    except OSError as error:
        if error.errno in _GONE:
            return []
        raise


def newest(folder: Path) -> Seen | None:
    """Returns the lease of the highest generation, or None."""
    for generation in reversed(generations(folder)):
        try:
            descriptor = os.open(folder / LEASE_FOLDER / str(generation), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _GONE:
                return newest(folder)
            raise
        try:
            content, beat = os.read(descriptor, 4096), os.fstat(descriptor).st_mtime
            facts = facts_of(content)
            here = facts.get("flock") is True and facts.get("kernel") == kernel()
            return Seen(generation, content, beat, here, here and _held(descriptor))
        finally:
            os.close(descriptor)
    return None


def _held(descriptor: int) -> bool:
    """Returns whether a living process of this kernel has locked the file; probing disturbs nobody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def content_of(file: Path) -> bytes | None:
    """Returns the bytes of a lease, or None where there is none. Opening it asks the file server, not a cache."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 4096)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise


def facts_of(content: bytes) -> dict[str, object]:
    """Returns what a lease says of its holder; nothing where its writer was killed before it wrote."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def kernel() -> str:
    """Returns an identifier of the running kernel, equal in all its containers, new after each start."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # macOS
        return platform.node()
