"""Resources of a loader, and its error if there is no data set. No TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kerascnn.errors import UserError


class Missing(UserError):
    """The data set is missing or empty; it may be available later."""


@contextlib.contextmanager
def _silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


@dataclass(frozen=True)
class Room:
    """Resources of a loader.

    Attributes:
        contents: Folder that remembers digests of files, which is that of the runs; None remembers nothing.
        counting: Context manager of (what, total) that shows the progress of the listing.
        strict: Whether a data set with too many damaged files is refused; an audit lists them.
        excluded: Ids that --exclude names.
    """

    contents: Path | None = None
    counting: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = _silent
    strict: bool = True
    excluded: frozenset[str] = frozenset()

    def counted(self, skipped: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Returns (id, reason) of the damaged files that count against the limit of a data set."""
        return [(name, reason) for name, reason in skipped if name not in self.excluded] if self.strict else []
