"""What is kept in memory: decoded images where nothing random comes before the resize, else the encoded files."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import stream
from kerascnn.data.sources import Encoded, Table, resident, table
from kerascnn.data.splits import TEST, Split


@dataclass(frozen=True)
class Decoded:
    """A split's images by their places in it: `fetch` turns int64 [batch] into uint8 [batch, size, size, 3]."""

    fetch: Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Undecoded:
    """A split's images by their places in it: `read` turns int64 [] into an encoded image, string []."""

    source: Encoded
    read: Callable[[tf.Tensor], tf.Tensor]


Store = Decoded | Undecoded


class Cache:
    """Keeps train and val in memory, within a budget in bytes (auto: a quarter of what is free; off: none).

    Test is read once and never kept.
    """

    def __init__(self, mode: str = "auto"):
        self.left = {"auto": free_memory() / 4, "memory": math.inf, "off": 0.0}[mode]
        self._stores: dict[tuple[str, bytes, bool], Store] = {}

    def store(self, split: Split, *, whole: bool, phases: Phases = SILENT) -> Store:
        """How to reach the split's images; `whole` where each is wanted as scoring sees it, without a random crop."""
        # A part of a split has the split's name, and other images at the same places.
        key = split.name, hashlib.sha256(split.indices.tobytes()).digest(), whole
        if key not in self._stores:
            source, indices = split.source, tf.constant(split.indices)
            if isinstance(source, Table):
                self._stores[key] = Decoded(lambda places: source.fetch(tf.gather(indices, places)))
            elif isinstance(source, Encoded):
                self._stores[key] = self._kept(source, split, whole, phases)
            else:
                raise TypeError(f"expected a Table or Encoded, got {type(source).__name__}")
        return self._stores[key]

    def _kept(self, source: Encoded, split: Split, whole: bool, phases: Phases) -> Store:
        indices, count = tf.constant(split.indices), len(split)
        direct = Undecoded(source, lambda place: source.read(indices[place]))
        if split.name == TEST:
            return direct
        if whole and self._take(count * source.size**2 * 3):
            images = table((count, source.size, source.size, 3))
            with phases.phase(f"decoding {split.name} into memory", count) as phase:
                source.know(split.indices, stream.decode_all(direct.read, images, source.mode, phase.advance))
            kept = resident(images)
            return Decoded(lambda places: tf.gather(kept, places))
        if self._take(source.encoded_size(split.indices)):
            with phases.phase(f"reading {split.name} into memory", count) as phase:
                buffers = stream.read_all(direct.read, count, phase)
            source.judge(split.indices[tf.strings.length(buffers).numpy() == 0])
            return Undecoded(source, lambda place: buffers[place])
        return direct

    def _take(self, size: int) -> bool:
        fits = 0 < size <= self.left
        self.left -= size if fits else 0
        return fits


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
