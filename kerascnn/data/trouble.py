"""Files that cannot be read, which is a problem of the system, and files whose content is damaged, a problem of the data."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from kerascnn.cli.escaping import one_line
from kerascnn.errors import PASSING, UserError

# Errors of a disk, a network share or its connection, not of a file: it may be available at the next start.
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
SHARE, MOST = 0.01, 100  # largest share of damaged files of a data set
SHOWN = 5


def allowed(count: int) -> float:
    """Returns how many of `count` files of a data set may be damaged."""
    return min(MOST, SHARE * count)


def gone(files: Sequence[tuple[str, str]]) -> str:
    """Returns the message about files that cannot be read but are needed: (path, reason) of each."""
    head = "an image" if len(files) == 1 else f"{len(files)} images"
    return f"{head} cannot be read:{_listed(files)}\nonce the files are back, the same command continues"


def damaged(files: Sequence[tuple[str, str]], bad: int | str, count: int, where: str) -> str:
    """Returns the message about too many damaged files.

    Args:
        files: (path, reason) of the files to name.
        bad: Number of damaged files, as far as known.
        count: Number of all files.
        where: The data set, or a split of it.
    """
    return (
        f"{bad} of {count} files in {where} cannot be decoded"
        f" (at most 1 % and {MOST} are skipped): repair or remove them. The first:{_listed(files)}"
    )


def without_damaged(skipped: Sequence[tuple[str, str]], valid: int, where: str) -> list[str]:
    """Returns the note about damaged files that are left out, if there are some.

    Raises:
        UserError: Too many are damaged.
    """
    count = len(skipped) + valid
    if len(skipped) > allowed(count):
        raise UserError(damaged(skipped, len(skipped), count, where))
    return [f"{len(skipped)} files cannot be decoded and are skipped (listed in skipped.csv)"] if skipped else []


def _listed(files: Sequence[tuple[str, str]]) -> str:
    return "".join(f"\n  {name!r}: {one_line(reason)}" for name, reason in files[:SHOWN])
