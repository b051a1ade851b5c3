"""What is kept in memory: decoded images where nothing random comes before the resize, else the encoded files."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerascnn.data.sources import Table
from kerascnn.data.splits import Split


@dataclass(frozen=True)
class Store:
    """A split's images by their place in the split: whole batches at once (`fetch`) or one encoded image (`read`).

    Attributes:
        fetch: int64 [batch] -> uint8 [batch, size, size, 3], or None.
        read: int64 [] -> string [], or None.
        valid: bool [n], False where an image is known to be damaged.
    """

    fetch: Callable[[tf.Tensor], tf.Tensor]
    read: Callable[[tf.Tensor], tf.Tensor] | None
    valid: np.ndarray


class Cache:
    """Keeps splits in memory, within a budget in bytes (auto: a quarter of what is free; memory: all; off: nothing)."""

    def __init__(self, mode: str = "auto"):
        self.left = {"auto": free_memory() / 4, "memory": float("inf"), "off": 0.0}[mode]

    def store(self, split: Split, *, whole: bool) -> Store:
        """How to reach the split's images; `whole` where each is wanted as scoring sees it, without a random crop."""
        source, indices = split.source, tf.constant(split.indices)
        if isinstance(source, Table):
            return Store(lambda places: source.fetch(tf.gather(indices, places)), None, np.ones(len(split), bool))
        raise TypeError(f"expected a Table, got {type(source).__name__}")


def free_memory() -> int:
    """Bytes that this process may still take, by the system and by the container's limit."""
    free = [_available()]
    for group in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            try:
                # The page cache counts as used, yet its inactive part is given back on demand.
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                spare = int(stat.get("total_inactive_file", stat.get("inactive_file", 0)))
                free.append(int((group / limit).read_text()) - int((group / used).read_text()) + spare)
            except (OSError, ValueError):  # no such file, or "max"
                continue
    return max(0, min(free))


def _available() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    # macOS does not say what is free: half of what there is.
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
