"""Writes files such that nothing on disk is ever lost or half-written: write aside, sync, rename."""

import contextlib
import difflib
import glob
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from kerascnn.errors import UserError

_ASIDE = ".aside"
# Names of files that are written aside: `.NAME.WRITER.aside`, or `.aside-WRITER-NAME` if the suffix matters. The writer is
# the lease of a folder some levels above, `LEVELS-GENERATION-TOKEN`, or a process that holds none.
_LEFT = re.compile(r"\.aside-.+|\..+\.aside")
_LEASED = re.compile(r"(?:^\.aside-|\.)(\d+)-(\d+)-[0-9a-f]{16}(?:-|\.aside$)")
_WRITER = re.compile(r"\.(\d+)\.aside$|^\.aside-(\d+)-")
_OLD = 3600.0  # seconds after which a file aside is abandoned, whatever process now has the number of its writer
_NAME_BYTES = 200
# A file that marks output folders of this program: nothing below them is ever listed as data.
OUTPUT_MARK = ".kerascnn"
LEASE_FOLDER = ".lease"  # in a folder that belongs to one process at a time: see `runs.lease`
CONTENTS_FOLDER = ".contents"  # in a folder of runs: known contents of images
_MARKED = b"Written by kerascnn: this folder holds its output, which is skipped when images are listed.\n"


class Guard(Protocol):
    """A lease, as writers of files see it.

    Attributes:
        tag: Its generation and its token, which are part of the names of files that are written aside under it.
    """

    tag: str

    def check(self) -> None:
        """Raises Stopped if this process no longer owns the folder."""


_guards: dict[str, Guard] = {}  # folder -> the lease of this process: whatever is renamed below it is checked first


@contextlib.contextmanager
def guarded(folder: Path, guard: Guard) -> Iterator[None]:
    """Has `guard` checked before each rename in `folder` and below."""
    place = os.path.realpath(folder)
    _guards[place] = guard
    try:
        yield
    finally:
        if _guards.get(place) is guard:
            del _guards[place]


def _guarding(path: Path) -> list[tuple[int, Guard]]:
    """Returns the leases of the folders above `path`, and of `path` itself, innermost first, with levels above its folder."""
    if not _guards:
        return []
    real = Path(os.path.realpath(path.parent), path.name)
    above = ((level, _guards.get(str(folder))) for level, folder in enumerate((real, *real.parents), -1))
    return [(level, guard) for level, guard in above if guard is not None]


def check(path: Path) -> None:
    """Raises Stopped if `path` is in a folder that this process held, and holds no longer."""
    for _, guard in _guarding(path):
        guard.check()


def replace(aside: Path, path: Path) -> None:
    """Renames what `aside_of(path)` names to `path`, if the folder still belongs to this process.

    Raises:
        Stopped: It does not. Whoever took it over has removed `aside`, so that this cannot happen between check and rename.
    """
    check(path)
    try:
        aside.replace(path)
    except FileNotFoundError:
        check(path)
        raise


def write_file(path: Path, content: bytes) -> None:
    """Replaces `path` atomically by `content`; after a crash it has its old or its new content."""
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    with naming(path):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
    sync(path.parent)


def copy_file(source: Path, path: Path) -> None:
    """Copies a file to `path` with its times; after a kill the whole file is there or nothing."""
    with beside(path) as aside:
        shutil.copyfile(source, aside)
        with contextlib.suppress(OSError):  # a file system without times
            shutil.copystat(source, aside)
        sync(aside)


def link_file(source: Path, path: Path) -> None:
    """Makes `path` a symbolic link to an absolute path."""
    with beside(path) as aside:
        aside.symlink_to(source)


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` that is renamed to it at the end; who writes there syncs it. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = aside_of(path)
    try:
        aside.unlink(missing_ok=True)
        yield aside
        replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def make_output(folder: Path) -> None:
    """Creates a folder for output of this program; a new one is marked, so that it is never taken for data."""
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        write_file(folder / OUTPUT_MARK, _MARKED)


def aside_of(path: Path, keep_suffix: bool = False) -> Path:
    """Returns the hidden name beside `path` under which its content is written before `replace`."""
    guards = _guarding(path.parent / "file")
    writer = f"{guards[0][0]}-{guards[0][1].tag}" if guards else str(os.getpid())
    return path.with_name(f".aside-{writer}-{path.name}" if keep_suffix else f".{_stem(path.name)}.{writer}{_ASIDE}")


def _stem(name: str) -> str:
    """Returns `name`, shortened if its prefix and suffix would exceed the 255 bytes of a file name."""
    raw = os.fsencode(name)
    if len(raw) <= _NAME_BYTES:
        return name
    return f"{os.fsdecode(raw[:_NAME_BYTES]).rstrip()}-{hashlib.sha256(raw).hexdigest()[:8]}"


def remove(folder: Path) -> None:
    """Removes a directory atomically: it is renamed first, so that a kill leaves all of it or nothing of that name."""
    clear_leftovers(folder)
    check(folder)
    folder.rename(aside_of(folder))
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Removes what a killed `remove` left of `folder`."""
    for left in folder.parent.glob(f".{glob.escape(_stem(folder.name))}.*{_ASIDE}"):
        shutil.rmtree(left, ignore_errors=True)


def clear_dead(folder: Path, generation: int = 0) -> None:
    """Removes what dead processes left aside in `folder` and below.

    Args:
        folder: The folder.
        generation: Of the lease of this process: what was written under an earlier one is removed, also of living processes;
            0 without a lease.
    """
    for left in leftovers(folder, generation):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                left.unlink()


def leftovers(folder: Path, generation: float = math.inf) -> list[Path]:
    """Returns what was left aside in `folder` and below: by dead processes, and under its leases before `generation`."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        aside = [name for name in (*folders, *names) if _LEFT.fullmatch(name)]
        folders[:] = [name for name in folders if name not in aside]
        levels = len(Path(place).relative_to(folder).parts)
        for path in (Path(place, name) for name in aside):
            leased = _LEASED.search(path.name)
            # Under the lease of a folder between: whoever holds that one removes it.
            earlier = leased is not None and int(leased[1]) == levels and int(leased[2]) < generation
            if earlier if leased else _nobodys(path):
                found.append(path)
    return sorted(found)


def _nobodys(path: Path) -> bool:
    """Returns whether no process is writing a file aside: its writer has ended, or is this one, which holds the folder."""
    named = _WRITER.search(path.name)
    writer = int(named[1] or named[2]) if named else os.getpid()
    if writer == os.getpid():
        return True
    try:
        os.kill(writer, 0)
    except ProcessLookupError:
        return True
    except OSError:  # a process of another user
        pass
    try:
        return time.time() - path.lstat().st_mtime > _OLD
    except OSError:
        return False


class Record(dict[str, Any]):
    """A JSON object that was read from a file: the error about a missing key names the file.

    Args:
        content: The object.
        path: The file.
    """

    def __init__(self, content: dict[str, Any], path: Path) -> None:
        super().__init__(content)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self._path} is damaged or of another version: it has no {key!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        return Record, (dict(self), self._path)


def read_json(path: Path) -> Record:
    """Returns the JSON object in a file that this program wrote.

    Raises:
        UserError: The file does not contain a JSON object.
        OSError: It cannot be read.
    """

    def kept(content: dict[str, Any]) -> Record:
        return Record(content, path)

    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_hook=kept)
    except ValueError as error:
        raise UserError(f"{path} is damaged: expected JSON: {error}") from None
    except RecursionError:
        raise UserError(f"{path} is damaged: expected JSON: nested too deeply") from None
    if not isinstance(found, Record):
        raise UserError(f"{path} is damaged: expected a JSON object, found {json.dumps(found)[:60]}")
    return found


def names_in(path: Path) -> set[str]:
    """Returns the names in a directory, none if it does not exist, without its lease and what a kill left aside."""
    if not path.is_dir():
        return set()
    return {entry.name for entry in path.iterdir() if not _LEFT.fullmatch(entry.name)} - {LEASE_FOLDER}


def sync(path: Path) -> None:
    """Makes a file's content, or a rename in a directory, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Adds `path` to errors that name no file, such as those of a failed write."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def nearest_path(path: Path) -> str:
    """Returns ' - perhaps you meant ...' with an existing path that differs from `path` in one name, or an empty text."""
    parts = path.parts
    for i in range(len(parts)):
        part = Path(*parts[: i + 1])
        if os.path.lexists(part):
            continue
        beside = part.parent
        with contextlib.suppress(OSError):
            names = [entry.name for entry in beside.iterdir()] if beside.is_dir() else []
            for name in difflib.get_close_matches(part.name, names, n=3, cutoff=0.6):
                meant = Path(beside, name, *parts[i + 1 :])
                if meant.exists():
                    return f" - perhaps you meant {str(meant)!r}"
        return ""
    return ""
