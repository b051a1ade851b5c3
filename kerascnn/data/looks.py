"""The look of each image of a source: a digest of its pixels, perceptual hashes, a thumbnail, and facts about its file.

Each image is read and decoded once, by Pillow, in threads. What is kept is about 1.2 kB per image. No TensorFlow.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from kerascnn.cli.extras import require
from kerascnn.data.formats import HEADER, sniff
from kerascnn.data.transcode import decoded, upright_rgb
from kerascnn.data.trouble import SYSTEM, gone
from kerascnn.errors import Stopped

if TYPE_CHECKING:
    from kerascnn.data.sources import Source

SIDE = 32  # pixels of a thumbnail, which is what imagehash reduces an image to
SHARP = 256  # pixels of the shorter side at which sharpness is measured; smaller images as they are
GROUP = 16  # images per task of a thread
_ORIENTATION = 0x0112
FACTS = np.dtype(
    [
        ("format", "U8"),
        ("mode", "U6"),
        ("height", np.int32),
        ("width", np.int32),
        ("orientation", np.uint8),
        ("animated", bool),
        ("bright", np.float32),
        ("spread", np.float32),
        ("sharp", np.float32),
    ]
)


class Look(NamedTuple):
    """The look of one image.

    Attributes:
        problem: Why it cannot be decoded, or None; the rest is then empty.
        digest: sha256 of its size and its upright RGB pixels.
        hashes: The perceptual hashes of the image and of the mirrored image, uint64 [2].
        thumbnail: Gray, uint8 [SIDE, SIDE].
        facts: A row of FACTS: format ("" for pixels), mode as stored, size as stored, EXIF orientation (1: upright), whether
            it has several frames, 99th percentile and standard deviation of the brightness (0-255), and the standard
            deviation of the Laplacian as a share of that of the brightness.
    """

    problem: str | None
    digest: bytes = bytes(32)
    hashes: tuple[int, int] = (0, 0)
    thumbnail: np.ndarray | None = None
    facts: tuple[object, ...] = ("", "", 0, 0, 1, False, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of all n images of a source.

    Attributes:
        problems: Index -> reason of the images that cannot be decoded.
        digests: uint8 [n, 32].
        hashes, mirrored: uint64 [n]; zeros where no hashes were asked for.
        thumbnails: uint8 [n, SIDE, SIDE]; empty where no hashes were asked for.
        facts: FACTS [n].
    """

    problems: dict[int, str]
    digests: np.ndarray
    hashes: np.ndarray
    mirrored: np.ndarray
    thumbnails: np.ndarray
    facts: np.ndarray

    def __len__(self) -> int:
        return len(self.digests)


def looks(source: Source, advance: Callable[[int], None] = lambda count: None, *, hashed: bool = True) -> Looks:
    """Returns the looks of all images of a source.

    Args:
        source: The images.
        advance: Called with the number of images that are done since the last call.
        hashed: Whether perceptual hashes are computed; digests of pixels need no extra.

    Raises:
        UserError: The extra `audit` is missing.
        Stopped: The disk or the network share fails.
    """
    count = len(source)
    if hashed:
        require("audit", "imagehash")
    found = Looks(
        {},
        np.zeros((count, 32), np.uint8),
        np.zeros(count, np.uint64),
        np.zeros(count, np.uint64),
        np.zeros((count if hashed else 0, SIDE, SIDE), np.uint8),
        np.zeros(count, FACTS),
    )
    for start, group in _in_threads(source, count, hashed):
        for index, one in enumerate(group, start):
            if one.problem is not None:
                found.problems[index] = one.problem
            found.digests[index] = np.frombuffer(one.digest, np.uint8)
            found.hashes[index], found.mirrored[index] = one.hashes
            found.facts[index] = one.facts
            if hashed and one.thumbnail is not None:
                found.thumbnails[index] = one.thumbnail
        advance(len(group))
    return found


def _in_threads(source: Source, count: int, hashed: bool) -> Iterator[tuple[int, list[Look]]]:
    def group(start: int) -> list[Look]:
        return [_read(source, index, hashed) for index in range(start, min(start + GROUP, count))]

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    pool = ThreadPoolExecutor(threads)
    try:
        starts = range(0, count, GROUP)
        yield from zip(starts, pool.map(group, starts), strict=True)
    finally:  # Ctrl-C does not wait for further images
        pool.shutdown(cancel_futures=True)


def _read(source: Source, index: int, hashed: bool) -> Look:
    try:
        stored = source.stored(index)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in SYSTEM:
            raise Stopped(gone([(source.ids[index], reason)])) from None
        return Look(reason)
    return look(stored, hashed=hashed)


def look(stored: bytes | np.ndarray, *, hashed: bool = True) -> Look:
    """Returns the look of one image: the bytes of a file, or pixels, uint8 [h, w] or [h, w, 3]."""
    if isinstance(stored, bytes):
        try:
            image = decoded(stored)
            rgb = upright_rgb(image)
        except ValueError as error:
            return Look(str(error))
        kind, orientation = sniff(stored[:HEADER]) or "", _orientation(image)
    else:
        image, kind, orientation = Image.fromarray(stored), "", 1
        rgb = image.convert("RGB")
    animated = bool(getattr(image, "is_animated", False))
    gray = rgb.convert("L")
    facts = (kind, image.mode, image.height, image.width, orientation, animated, *_measures(gray))
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height} ".encode())
    digest.update(np.asarray(rgb))
    if not hashed:
        return Look(None, digest.digest(), facts=facts)
    small = gray.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return Look(None, digest.digest(), (_hash(small), _hash(ImageOps.mirror(small))), np.asarray(small), facts)


def _hash(gray: Image.Image) -> int:
    """Returns the perceptual hash of 64 bits: the signs of the lowest frequencies, beside their median."""
    import imagehash

    return int.from_bytes(np.packbits(imagehash.phash(gray).hash).tobytes(), "big")


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1
    return found if found in range(1, 9) else 1


def _measures(gray: Image.Image) -> tuple[float, float, float]:
    """Returns the 99th percentile and the spread of the brightness, and the sharpness."""
    shorter = min(gray.size)
    if shorter > SHARP:
        scale = SHARP / shorter
        size = (max(1, round(gray.width * scale)), max(1, round(gray.height * scale)))
        gray = gray.resize(size, Image.Resampling.BOX)
    counts = np.asarray(gray.histogram(), np.int64)
    levels, total = np.arange(256), counts.sum()
    bright = float(np.searchsorted(np.cumsum(counts), 0.99 * total))
    mean = float(counts @ levels) / total
    spread = float(np.sqrt(counts @ (levels - mean) ** 2 / total))
    pixels = np.asarray(gray, np.int16)
    if min(pixels.shape) < 3 or spread == 0:
        return bright, spread, 0.0
    inner = pixels[1:-1, 1:-1]
    laplacian = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:] - 4 * inner
    return bright, spread, float(laplacian.std(dtype=np.float32)) / spread
