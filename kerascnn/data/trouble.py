"""Files that cannot be read, and files whose content is damaged: the first are the system's trouble, the second the data's."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from kerascnn.cli.escaping import one_line
from kerascnn.errors import PASSING

# Errors of a disk, a share or its connection, not of one file: what is behind them may be back at the next start.
SYSTEM = frozenset(PASSING) | {
    getattr(errno, name)
    for name in (
        "ENETDOWN",
        "ENETUNREACH",
        "ECONNRESET",
        "ECONNABORTED",
        "EREMOTEIO",
        "ENOLINK",
        "EUCLEAN",
        "ENOMEDIUM",
    )
    if hasattr(errno, name)
}
SHARE, MOST = 0.01, 100  # of a data set's files that may be damaged
SHOWN = 5


def allowed(count: int) -> float:
    """How many of `count` files of a data set may be damaged."""
    return min(MOST, SHARE * count)


def gone(files: Sequence[tuple[str, str]]) -> str:
    """What is said where files cannot be read that a training or a score needs: (path, reason) of each."""
    head = "an image" if len(files) == 1 else f"{len(files)} images"
    return f"{head} cannot be read:{_listed(files)}\nonce the files are back, the same command continues"


def damaged(files: Sequence[tuple[str, str]], bad: int | str, count: int, where: str) -> str:
    """What is said where more files are damaged than may be left out.

    Args:
        files: (path, reason) of those to name.
        bad: How many are damaged, as far as is known.
        count: All files.
        where: The data set, or a split of it.
    """
    return (
        f"{bad} of {count} files in {where} cannot be decoded"
        f" (at most 1 % and {MOST} are skipped): mend or remove them. The first:{_listed(files)}"
    )


def _listed(files: Sequence[tuple[str, str]]) -> str:
    return "".join(f"\n  {name!r}: {one_line(reason)}" for name, reason in files[:SHOWN])
