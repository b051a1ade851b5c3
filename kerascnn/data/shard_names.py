"""The files of a pattern of shards, such as `photos/train-{000..031}.tar` or `photos/*.tfrecord`. No TensorFlow."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kerascnn.cli.escaping import expanded, one_line, resolved
from kerascnn.data.room import Missing
from kerascnn.data.sorted_names import counted
from kerascnn.data.splits import SPLIT_NAMES
from kerascnn.errors import UserError
from kerascnn.runs.files import nearest_path

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
MOST = 1_000_000  # files of one pattern


def matched(form: str, pattern: str) -> list[Path]:
    """Returns the files of a pattern, 2 before 10, each once.

    Args:
        form: Form of the data set, for messages.
        pattern: A path with `*`, `?`, `[...]`, `**`, and with braces: `{000..031}` counts, `{train,val}` lists.

    Raises:
        UserError: The pattern has no files, or one that it names is missing.
    """
    found: dict[str, Path] = {}
    for name in spread(pattern):
        path = expanded(name)
        if glob.has_magic(name) and not os.path.lexists(path):
            files = [Path(file) for file in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - it may be absolute
            if not files:
                raise Missing(f"no file matches {one_line(form)}:{one_line(name)}, looked for from {Path.cwd()}")
        elif path.exists():
            files = [path]
        else:
            raise Missing(f"{form}:{one_line(pattern)}: there is no {resolved(path)}{nearest_path(path)}")
        found |= {os.path.realpath(file): resolved(file) for file in files if not file.is_dir()}
    if not found:
        raise Missing(
            f"{form}:{one_line(pattern)} names a folder, not shards: give a pattern, such as {pattern.rstrip('/')}/*"
        )
    return sorted(found.values(), key=lambda path: counted(str(path)))


def exist(pattern: str) -> bool:
    """Returns whether all files of a pattern are there."""
    try:
        return bool(matched("wds", pattern))
    except UserError:
        return False


def spread(pattern: str) -> list[str]:
    """Returns the patterns, or addresses, that braces stand for.

    >>> spread("a-{08..10}{x,y}.tar")[:3]
    ['a-08x.tar', 'a-08y.tar', 'a-09x.tar']
    """
    names = [pattern]
    while any(_BRACES.search(name) for name in names):
        names = [one for name in names for one in _first_brace(name)]
        if len(names) > MOST:
            raise UserError(f"{one_line(pattern)} stands for more than {MOST:,} files")
    return names


def _first_brace(name: str) -> Iterator[str]:
    brace = _BRACES.search(name)
    if brace is None:
        yield name
        return
    ends = _RANGE.fullmatch(brace[1])
    if ends:
        first, last, digits = int(ends[1]), int(ends[2]), len(ends[1])
        if abs(last - first) > MOST:
            raise UserError(f"{one_line(name)} stands for more than {MOST:,} files")
        parts: Sequence[str] = [f"{number:0{digits}d}" for number in range(first, last + 1)]
    else:
        parts = brace[1].split(",")
    for part in parts:
        yield name[: brace.start()] + part + name[brace.end() :]


def split_of(path: Path) -> str:
    """Returns the split that a shard's name tells: `train-00001-of-00010.tfrecord`, `val/0003.tar`; "" if it tells none."""
    words = [word for word in re.split(r"[^a-z]+", path.name.lower()) if word in SPLIT_NAMES]
    return SPLIT_NAMES[words[0]] if words else SPLIT_NAMES.get(path.parent.name.lower(), "")


def stem(path: Path) -> str:
    """Returns a shard's name without its suffixes."""
    return path.name.partition(".")[0] or path.name
