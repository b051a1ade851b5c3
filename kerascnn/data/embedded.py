"""fashion_mnist_mini: 6,000 + 1,000 grey images of 28 px that travel with the package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from kerascnn.config import Data
from kerascnn.data.cut import Listing
from kerascnn.data.sources import Table
from kerascnn.data.splits import TEST, TRAIN

FILE = Path(__file__).parent / "fashion_mnist_mini" / "fashion_mnist_mini.npz"
CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def listing(section: Data, image_size: int, resize: str) -> Listing:
    """The embedded images; shown at 32 px with a black border, stretched at any other size."""
    with np.load(FILE) as arrays:
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        given = np.repeat([TRAIN, TEST], [len(arrays["y_train"]), len(arrays["y_test"])])
    ids = [f"{TRAIN}/{i}" for i in range(np.sum(given == TRAIN))] + [
        f"{TEST}/{i}" for i in range(np.sum(given == TEST))
    ]
    fingerprint = hashlib.sha256(images.tobytes() + labels.astype(np.uint8).tobytes()).hexdigest()
    return Listing(Table(images, ids, labels, CLASS_NAMES, image_size), given, fingerprint, "fashion_mnist_mini")
