"""The images that a command line names: files, folders, patterns, and lists on standard input. No TensorFlow."""

import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp"))
STDIN = "-"
_CHUNK = 65536


def files(
    words: Iterable[str],
    report: Callable[[str, str], None],
    *,
    stdin: BinaryIO | None = None,
    leave_out: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[str]:
    """Paths, in the order of the words and, within a folder or a pattern, sorted as people count (2 before 10).

    Args:
        words: Each a file (of any name), a folder (all images below it by their suffix, hidden ones left out), a pattern
            (`*`, `?`, `[...]`, `**` for any depth) that is not itself a file's name, or `-` for a list on standard input.
        report: Called with a word and the problem where a folder or a pattern has no images.
        stdin: What `-` reads, as it comes: a path a line, or NUL-separated (`find -print0`).
        leave_out: Folders that are never looked into: where the output goes.

    Yields:
        Paths as they were named; whether a file exists and is an image shows when it is read.
    """
    away = {os.path.realpath(folder) for folder in leave_out}
    for word in words:
        if word == STDIN and stdin is not None:
            for line in _listed(stdin):
                yield from _expanded(line, report, away)
        else:
            yield from _expanded(word, report, away)


def _expanded(word: str, report: Callable[[str, str], None], away: Collection[str]) -> Iterator[str]:
    path = Path(word)
    if path.is_dir():
        found = _below(word, away)
        missing = "no images below this folder (JPEG, PNG, GIF, BMP, WebP by suffix)"
    elif glob.has_magic(word) and not os.path.lexists(word):
        found = _matching(word, away)
        missing = "no file matches this pattern"
    else:
        yield word
        return
    empty = True
    for name in found:
        empty = False
        yield name
    if empty:
        report(word, missing)


def _below(folder: str, away: Collection[str]) -> Iterator[str]:
    """Images below a folder, each folder's files before its folders; links to folders are not followed, so that no ring is."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            (name for name in folders if not name.startswith(".") and os.path.realpath(Path(place, name)) not in away),
            key=_counted,
        )
        for name in sorted(names, key=_counted):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield os.path.join(place, name)  # noqa: PTH118 - Path would drop the ./ that was typed


def _matching(pattern: str, away: Collection[str]) -> Iterator[str]:
    """Files that a pattern names; a folder that is met again through a link gives nothing twice."""
    seen = set()
    for name in sorted(glob.glob(pattern, recursive=True), key=_counted):  # noqa: PTH207 - Path.glob refuses absolute ones
        folder, file = os.path.split(name)
        place = os.path.realpath(folder), file
        if place not in seen and not Path(name).is_dir() and not any(Path(place[0]).is_relative_to(a) for a in away):
            yield name
        seen.add(place)


def _counted(name: str) -> list[tuple[bool, int, str]]:
    """Digits compare as numbers."""
    parts = re.split(r"([0-9]+)", name)
    return [
        (part.isascii() and part.isdigit(), int(part) if part.isascii() and part.isdigit() else 0, part)
        for part in parts
    ]


def _listed(stdin: BinaryIO) -> Iterator[str]:
    """Paths as they come in, bytes that are no UTF-8 as they are. A name holds no NUL, but may hold a line break."""
    rest, separator = b"", b"\n"
    while chunk := _some(stdin):
        if b"\0" in chunk:
            separator = b"\0"
        *whole, rest = (rest + chunk).split(separator)
        for line in whole:
            yield from _path(line, separator)
    yield from _path(rest, separator)


def _some(stdin: BinaryIO) -> bytes:
    """What is there, without waiting for more."""
    read = getattr(stdin, "read1", stdin.read)
    return read(_CHUNK)


def _path(line: bytes, separator: bytes) -> Iterator[str]:
    name = line.removesuffix(b"\r") if separator == b"\n" else line
    if name:
        yield os.fsdecode(name)
