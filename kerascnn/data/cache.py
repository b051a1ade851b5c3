"""The cache of a data set: decoded images if nothing random precedes the resize, else encoded files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.data import stream
from kerascnn.data.sources import Encoded, Pixels, resident, table
from kerascnn.data.splits import TEST, Split
from kerascnn.devices.free_memory import free_memory


@dataclass(frozen=True)
class Decoded:
    """The decoded images of a split: `fetch` maps indices, int64 [batch], to uint8 [batch, size, size, 3]."""

    fetch: Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Undecoded:
    """The encoded images of a split: `read` maps an index, int64 [], to an encoded image, string []."""

    source: Encoded
    read: Callable[[tf.Tensor], tf.Tensor]


Store = Decoded | Undecoded


class Cache:
    """Keeps train and val in memory, up to a budget in bytes (auto, disk:DIR: a quarter of the free memory; off: none).

    Test is read once, at the end. It is kept only if its decoded images fit, since each image is otherwise decoded twice: to
    see whether it can be, and to be scored.
    """

    def __init__(self, mode: str = "auto"):
        self.left = {"auto": free_memory() / 4, "memory": math.inf, "off": 0.0}[
            "auto" if mode.startswith("disk:") else mode
        ]
        self._stores: dict[tuple[str, bytes, bool], Store] = {}

    def store(self, split: Split, *, whole: bool, phases: Phases = SILENT) -> Store:
        """Returns access to the images of a split; with `whole` as scoring sees them, without a random crop."""
        # A part of a split has the same name, but other images at the same indices.
        key = split.name, hashlib.sha256(split.indices.tobytes()).digest(), whole
        if key not in self._stores:
            source, indices = split.source, tf.constant(split.indices)
            if isinstance(source, Pixels):
                self._stores[key] = Decoded(lambda positions: source.fetch(tf.gather(indices, positions)))
            elif isinstance(source, Encoded):
                self._stores[key] = self._kept(source, split, whole, phases)
            else:
                raise TypeError(f"expected Pixels or Encoded, got {type(source).__name__}")
        return self._stores[key]

    def _kept(self, source: Encoded, split: Split, whole: bool, phases: Phases) -> Store:
        indices, count = tf.constant(split.indices), len(split)
        direct = Undecoded(source, lambda position: source.read(indices[position]))
        if whole and self._take(count * source.size**2 * 3):
            images = table((count, source.size, source.size, 3))
            with phases.phase(f"decoding {split.name} into memory", count) as phase:
                source.know(split.indices, stream.decode_all(direct.read, images, source.mode, phase.advance))
            kept = resident(images)
            return Decoded(lambda positions: tf.gather(kept, positions))
        if split.name != TEST and self._take(source.encoded_size(split.indices)):
            with phases.phase(f"reading {split.name} into memory", count) as phase:
                buffers = stream.read_all(direct.read, count, phase)
            source.judge(split.indices[tf.strings.length(buffers).numpy() == 0])
            return Undecoded(source, lambda position: buffers[position])
        return direct

    def _take(self, size: int) -> bool:
        fits = 0 < size <= self.left
        self.left -= size if fits else 0
        return fits
