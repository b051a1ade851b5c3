"""What a loader may use while it lists a data set, and what it raises where there is none. No TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from kerascnn.errors import UserError


class Missing(UserError):
    """The data set is not there, or holds nothing: it may be back later."""


@contextlib.contextmanager
def _silent(what: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda count: None


@dataclass(frozen=True)
class Room:
    """What a loader may use while it lists.

    Attributes:
        contents: The folder where digests of files are remembered: the runs'. None remembers nothing.
        counting: Context manager of (what, total) that shows how far the listing is.
    """

    contents: Path | None = None
    counting: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = _silent
