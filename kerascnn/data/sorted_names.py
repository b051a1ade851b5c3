"""The names in a folder in natural order, 2 before 10, in memory that does not grow with their number. No TensorFlow."""

from __future__ import annotations

import heapq
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

IN_MEMORY = 100_000  # names that are sorted at once, about 100 MB; further ones wait in temporary files
Name = tuple[str, bool]  # a name, and whether it is that of a folder


def counted(name: str) -> list[tuple[bool, int, str]]:
    """Returns a sort key that compares digits as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (part.isascii() and part.isdigit(), int(part) if part.isascii() and part.isdigit() else 0, part)
        for part in parts
    ]


def is_folder(entry: os.DirEntry[str] | str) -> bool:
    """Returns whether a directory entry or a path is a folder or a link to one."""
    try:
        return entry.is_dir() if isinstance(entry, os.DirEntry) else Path(entry).is_dir()
    except OSError:  # a link to itself, a name that is too long, a closed folder on the way
        return False


def in_order(entries: Iterable[os.DirEntry[str]], in_memory: int = IN_MEMORY) -> Iterable[Name]:
    """Returns names in natural order; all entries are read before the first name is."""
    rest, runs = iter(entries), list[IO[bytes]]()
    while True:
        some = sorted(((entry.name, is_folder(entry)) for entry in islice(rest, in_memory)), key=_key)
        if len(some) < in_memory:
            return heapq.merge(*map(_read, runs), some, key=_key) if runs else some
        runs.append(_kept(some))


def _key(name: Name) -> list[tuple[bool, int, str]]:
    return counted(name[0])


def _kept(names: Sequence[Name]) -> IO[bytes]:
    """Returns a temporary file with these names, each with a mark for a folder before it and NUL and a line end behind it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - its reader closes it
    for name, folder in names:
        file.write(b"%d%s\0\n" % (folder, os.fsencode(name)))
    file.seek(0)
    return file


def _read(file: IO[bytes]) -> Iterator[Name]:
    with file:
        line = b""
        for part in file:
            line += part
            if line.endswith(b"\0\n"):  # a name may contain a line end, but no NUL
                yield os.fsdecode(line[1:-2]), line.startswith(b"1")
                line = b""
