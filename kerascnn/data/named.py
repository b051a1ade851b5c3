"""The images of a command line: files, folders, patterns, and lists on standard input. No TensorFlow."""

import codecs
import glob
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from kerascnn.data.formats import NAMES, SUFFIXES
from kerascnn.data.sorted_names import counted, is_folder
from kerascnn.data.walking import Walk

STDIN = "-"
_CHUNK = 65536
Report = Callable[[str, str], None]


def files(
    words: Iterable[str],
    report: Report,
    *,
    note: Report = lambda path, why: None,
    stdin: BinaryIO | None = None,
    leave_out: Iterable[str | os.PathLike[str]] = (),
) -> Iterator[str]:
    """Yields paths in the order of the words, sorted naturally (2 before 10) within a folder or a pattern.

    Args:
        words: Each a file (with any name), a folder (all images below it by their suffix, as in `fit`; links to folders are
            followed), a pattern (`*`, `?`, `[...]`, `**` for any depth) that is not the name of a file, or `-` for a list on
            standard input.
        report: Called with a word and the problem if a folder or a pattern has no images, and with each folder that cannot be
            opened.
        note: Called with each folder that is skipped because it is not data, and the reason.
        stdin: Stream for `-`, read as it comes: one path per line, or NUL-separated (`find -print0`).
        leave_out: Folders that are never entered: those of the output.

    Yields:
        Paths as they were named; only reading shows whether a file exists and is an image.
    """
    away = tuple(os.path.realpath(folder) for folder in leave_out)
    for word in words:
        if word == STDIN and stdin is not None:
            for line in listed(stdin):
                yield from _expanded(line, report, note, away)
        else:
            yield from _expanded(word, report, note, away)


def _expanded(word: str, report: Report, note: Report, away: tuple[str, ...]) -> Iterator[str]:
    walk = Walk(places=away)
    if is_folder(word):
        found: Iterator[str] = (name for name in walk.files(word) if Path(name).suffix.lower() in SUFFIXES)
        missing = f"no images below this folder ({NAMES}, by suffix)"
    elif glob.has_magic(word) and not os.path.lexists(word):
        found = _matching(word, walk, report)
        missing = "no file matches this pattern"
    else:
        yield word
        return
    empty = True
    for name in found:
        empty = False
        yield name
    for folder, why in walk.passed.items():
        note(folder, why)
    for folder, why in walk.closed:
        report(folder, f"this folder cannot be opened: {why}")
    if empty and not walk.closed:
        report(word, missing)


def _matching(pattern: str, walk: Walk, report: Report) -> Iterator[str]:
    """Yields the files of a pattern; a folder that is reached again through a link is skipped."""
    start, rest = _literal(pattern)
    found = _globbed(start, rest)
    if not found and "[" in rest:  # brackets that are part of the names
        rest = rest.replace("[", "[[]")
        found = _globbed(start, rest)
    for folder in _closed(start, rest):
        report(folder, "this folder cannot be opened: Permission denied")
    seen: set[tuple[str, str]] = set()
    for name in found:
        folder, file = os.path.split(name)
        place = os.path.realpath(folder), file
        if place not in seen and not is_folder(name) and not walk.inside_passed(folder, start):
            yield name
        seen.add(place)


def _literal(pattern: str) -> tuple[str, str]:
    """Returns the leading folders of a pattern that exist with that literal name, brackets included, and the rest."""
    parts = pattern.split("/")
    for end in range(len(parts) - 1, 0, -1):
        start = "/".join(parts[:end])
        if start and is_folder(start):
            return start, "/".join(parts[end:])
    return ("/", pattern.lstrip("/")) if pattern.startswith("/") else ("", pattern)


def _globbed(start: str, rest: str) -> list[str]:
    whole = os.path.join(glob.escape(start), rest)  # noqa: PTH118 - Path would drop the ./ that was typed
    return sorted(glob.glob(whole, recursive=True), key=counted)  # noqa: PTH207 - Path.glob refuses absolute ones


def _closed(start: str, rest: str) -> list[str]:
    """Yields the folders on a pattern's way that cannot be opened: glob skips them silently."""
    parts = rest.split("/")
    found = [start] if start else []
    for end in range(1, len(parts)):
        found += [name for name in _globbed(start, "/".join(parts[:end])) if is_folder(name)]
    return [name for name in dict.fromkeys(found) if not os.access(name, os.R_OK | os.X_OK)]


def listed(file: BinaryIO) -> Iterator[str]:
    """Yields paths as they come in, with bytes that are not UTF-8 kept. A name may contain a line break, but no NUL."""
    rest, separator, first = b"", b"\n", True
    while chunk := _some(file):
        if first:
            chunk, first = chunk.removeprefix(codecs.BOM_UTF8), False
        if b"\0" in chunk:
            separator = b"\0"
        *whole, rest = (rest + chunk).split(separator)
        for line in whole:
            yield from _path(line, separator)
    yield from _path(rest, separator)


def _some(stdin: BinaryIO) -> bytes:
    """Returns the available input without waiting for more."""
    read = getattr(stdin, "read1", stdin.read)
    return read(_CHUNK)


def _path(line: bytes, separator: bytes) -> Iterator[str]:
    name = line.removesuffix(b"\r") if separator == b"\n" else line
    if name:
        yield os.fsdecode(name)
