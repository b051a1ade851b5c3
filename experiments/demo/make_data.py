"""Writes the images of the demo network: Fashion-MNIST, half of it as on a white ground.

    python -m experiments.demo.make_data FOLDER OUTPUT

FOLDER holds the four files of Fashion-MNIST (MIT, Zalando SE): /usr/share/datasets/fashion-mnist of Debian's package
dataset-fashion-mnist. In OUTPUT:

- demo.npz: 55,000 training images, each with a fixed probability of one half inverted, so that the network knows photos on
  a white ground as well; 5,000 val images, the same; the published 10,000 test images as they are.
- white.npz: the published test images, all inverted.
"""

import gzip
import sys
from pathlib import Path

import numpy as np

from kerascnn.data.embedded import CLASS_NAMES

VAL = 5000  # the last of the published training images
SIDE, HEADER_IMAGES, HEADER_LABELS = 28, 16, 8  # bytes of the IDX files


def read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images, uint8 [n, 28, 28], and labels, uint8 [n], of `train` or `t10k`."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[HEADER_IMAGES:]
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[HEADER_LABELS:]
    return np.frombuffer(images, np.uint8).reshape(-1, SIDE, SIDE), np.frombuffer(labels, np.uint8)


def main(folder: Path, output: Path) -> None:
    """Writes both files."""
    images, labels = read(folder, "train")
    test, test_labels = read(folder, "t10k")
    white = np.random.default_rng(0).random(len(images)) < 0.5
    images = np.where(white[:, None, None], 255 - images, images)
    output.mkdir(parents=True, exist_ok=True)
    names = np.array(CLASS_NAMES)
    np.savez_compressed(
        output / "demo.npz",
        x_train=images[:-VAL],
        y_train=labels[:-VAL],
        x_val=images[-VAL:],
        y_val=labels[-VAL:],
        x_test=test,
        y_test=test_labels,
        class_names=names,
    )
    np.savez_compressed(output / "white.npz", x_test=255 - test, y_test=test_labels, class_names=names)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
