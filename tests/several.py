"""Small images with several labels: each label is a colored square in its own place, so that tiny networks learn them."""

from pathlib import Path

import numpy as np
from PIL import Image

from kerascnn.config import Data
from kerascnn.data import Splits
from kerascnn.data.cut import cut
from kerascnn.data.listing import Listing
from kerascnn.data.sources import Pixels

NAMES = ("ant", "bee", "cat", "dog")
SIDE = 16
COLORS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)])
SHARES = (0.5, 0.4, 0.3, 0.1)


def drawn(n: int = 240, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, SIDE, SIDE, 3] and their labels, bool [n, 4]; some have none."""
    rng = np.random.default_rng(seed)
    labels = rng.random((n, len(NAMES))) < SHARES
    images = rng.integers(60, 130, (n, SIDE, SIDE, 3)).astype("uint8")
    half = SIDE // 2
    for c, color in enumerate(COLORS):
        top, left = divmod(c, 2)
        images[labels[:, c], top * half : (top + 1) * half, left * half : (left + 1) * half] = color
    return images, labels


def listing(n: int = 240, seed: int = 0, given: str = "") -> Listing:
    """The images as a loader lists them."""
    images, labels = drawn(n, seed)
    ids = [f"images/{i:04}.png" for i in range(n)]
    return Listing(Pixels(images, ids, labels, NAMES, SIDE, "squash"), np.full(n, given), "2-" + "5" * 64, "squares")


def splits(n: int = 240, seed: int = 0, **options) -> Splits:
    """The images, split as `options` of the data section say."""
    return cut(listing(n, seed), Data(**options), SIDE, "squash")


def folder(place: Path, n: int = 160) -> Path:
    """The images as PNG files below `place`; returns a table of them whose labels are joined by "|"."""
    images, labels = drawn(n)
    place.mkdir(parents=True, exist_ok=True)
    rows = ["path,label"]
    for i, (pixels, row) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(pixels).save(place / f"{i:04}.png")
        rows.append(f"{i:04}.png,{'|'.join(np.array(NAMES)[row])}")
    table = place / "squares.csv"
    table.write_text("\n".join(rows) + "\n")
    return table
