"""Writing files so that nothing on disk is ever lost or half-written: aside, sync, rename."""

import contextlib
import difflib
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_ASIDE = ".aside"
_NAME_BYTES = 200


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content` as a whole; after a crash it is as it was or as it should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    with naming(path):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
    sync(path.parent)


def _aside(path: Path) -> Path:
    return path.with_name(f".{_stem(path.name)}.{os.getpid()}{_ASIDE}")


def _stem(name: str) -> str:
    """`name`, shortened where what is put around it would exceed a file name's 255 bytes."""
    raw = os.fsencode(name)
    if len(raw) <= _NAME_BYTES:
        return name
    return f"{os.fsdecode(raw[:_NAME_BYTES]).rstrip()}-{hashlib.sha256(raw).hexdigest()[:8]}"


def remove(folder: Path) -> None:
    """Remove a directory as a whole: put aside first, so that a kill leaves all of it or nothing of that name."""
    clear_leftovers(folder)
    folder.rename(_aside(folder))
    clear_leftovers(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed `remove` left of `folder` aside."""
    for left in folder.parent.glob(f".{glob.escape(_stem(folder.name))}.*{_ASIDE}"):
        shutil.rmtree(left, ignore_errors=True)


def names_in(path: Path) -> set[str]:
    """Names in a directory, none where there is none; what a kill left aside does not count."""
    if not path.is_dir():
        return set()
    return {entry.name for entry in path.iterdir() if not (entry.name[0] == "." and entry.suffix == _ASIDE)}


def sync(path: Path) -> None:
    """Make a file's content, or a rename in a directory, last through a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors inside that name no file, such as those of a failed write, name `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def nearest_path(path: Path) -> str:
    """' - perhaps you meant ...': an existing path that differs from `path` in one name; nothing where none is near."""
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
