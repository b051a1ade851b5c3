"""Copies a data set of train/ and val/ folders and plants faults in it, so that an audit can be judged.

python -m experiments.auditing.plant SOURCE TARGET --each 8 --seed 0

Of each kind EACH faults: an image of val copied into train as it is (duplicate), resized and encoded again (resized),
mirrored and encoded again (mirrored); an image of val in the folder of another class (label); an image of train whose file
ends after half of its bytes (truncated). TARGET/planted.csv lists them.
"""

import argparse
import csv
import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

KINDS = ("duplicate", "resized", "mirrored", "label", "truncated")


class Planted(NamedTuple):
    """A planted fault: the file, its kind, and the image that it is a copy of or the label that it had."""

    path: str
    kind: str
    origin: str


def encoded(image: Image.Image, quality: int) -> bytes:
    """Returns an image as JPEG."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def changed(kind: str, path: Path, rng: random.Random) -> bytes:
    """Returns the bytes of a planted copy of an image."""
    content = path.read_bytes()
    if kind == "duplicate":
        return content
    image = Image.open(io.BytesIO(content))
    if kind == "mirrored":
        return encoded(ImageOps.mirror(image), rng.randint(60, 90))
    share = rng.uniform(0.5, 0.9)
    smaller = image.convert("RGB").resize(
        [max(1, round(share * side)) for side in image.size], Image.Resampling.BICUBIC
    )
    return encoded(smaller, rng.randint(50, 90))


def plant(root: Path, each: int, seed: int) -> Iterator[Planted]:
    """Plants faults in the copy of a data set, no two of them in one image."""
    rng = random.Random(seed)
    train, val = (sorted(root.glob(f"{split}/*/*.*")) for split in ("train", "val"))
    classes = sorted({path.parent.name for path in val})
    chosen = iter(rng.sample(val, 4 * each))
    for kind in KINDS[:3]:
        for number in range(each):
            path = next(chosen)
            target = root / "train" / path.parent.name / f"{rng.getrandbits(40):010x}_{number}.jpg"
            target.write_bytes(changed(kind, path, rng))
            yield Planted(str(target.relative_to(root)), kind, str(path.relative_to(root)))
    for _ in range(each):
        path = next(chosen)
        other = rng.choice([name for name in classes if name != path.parent.name])
        target = root / "val" / other / path.name
        path.rename(target)
        yield Planted(str(target.relative_to(root)), "label", path.parent.name)
    for path in rng.sample(train, each):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        yield Planted(str(path.relative_to(root)), "truncated", "")


def main() -> None:
    """Copies and plants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    for split in ("train", "val"):
        shutil.copytree(asked.source / split, asked.target / split)
    rows = list(plant(asked.target, asked.each, asked.seed))
    with (asked.target / "planted.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Planted._fields)
        writer.writerows(rows)
    print(f"{len(rows)} faults in {asked.target}")


if __name__ == "__main__":
    main()
