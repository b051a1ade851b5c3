"""fashion_mnist_mini: 6,000 + 1,000 gray images of 28 px that are part of the package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from kerascnn.config import Data
from kerascnn.data import split_file
from kerascnn.data.decode import Mode
from kerascnn.data.listing import FINGERPRINT, Former, Listing
from kerascnn.data.room import Room
from kerascnn.data.sources import Pixels
from kerascnn.data.splits import TEST, TRAIN

NAME = "fashion_mnist_mini"
FILE = Path(__file__).parent / NAME / f"{NAME}.npz"
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the embedded images; at 32 px they have a black border unless --resize changes that."""
    with np.load(FILE) as arrays:
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        given = np.repeat([TRAIN, TEST], [len(arrays["y_train"]), len(arrays["y_test"])])
    counts = {split: int(np.sum(given == split)) for split in (TRAIN, TEST)}
    ids = [f"{split}/{position}" for split, count in counts.items() for position in range(count)]
    content = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    source = Pixels(images, ids, labels, CLASS_NAMES, image_size, resize)
    found = Listing(source, given, FINGERPRINT + content, NAME, former=Former(content, 0))
    return split_file.applied(found, section)
