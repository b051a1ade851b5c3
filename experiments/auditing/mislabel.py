"""Writes wrong labels for test images of the embedded Fashion-MNIST: python -m experiments.auditing.mislabel FOLDER

FOLDER/relabel.csv is for --relabel, FOLDER/planted.csv for `judge`.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from kerascnn.data.embedded import CLASS_NAMES, FILE

WRONG, SEED = 50, 0


def main(folder: Path) -> None:
    """Writes both files."""
    with np.load(FILE) as arrays:
        labels = arrays["y_test"]
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(labels), WRONG, replace=False))
    wrong = (labels[chosen] + rng.integers(1, len(CLASS_NAMES), WRONG)) % len(CLASS_NAMES)
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, rows in (
        ("relabel.csv", ("path", "label"), [(f"test/{i}", CLASS_NAMES[w]) for i, w in zip(chosen, wrong, strict=True)]),
        ("planted.csv", ("path", "kind", "origin"), [(f"test/{i}", "label", CLASS_NAMES[labels[i]]) for i in chosen]),
    ):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
