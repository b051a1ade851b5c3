"""What decoding only a window of a large photo gains: training's input alone, with it and with whole photos, round by round.

    python -m experiments.speed.photos FOLDER [--size 224] [--rounds 5] [--seconds 5]

FOLDER holds photos of any size; from them are made, in a temporary folder, mosaics as large as a camera's pictures (the detail of
a small photo that is enlarged would be too little). Alone on the machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median
from unittest.mock import patch

from PIL import Image, ImageOps

from kerascnn.speed.figures import quartiles

CAMERA = (("12 megapixels", 4032, 3024), ("2 megapixels", 1632, 1224), ("500 x 375", 500, 375))
CLASSES, PHOTOS, BATCH, TILE = ("a", "b"), 4, 8, 224
READY = 4  # batches


def mosaics(sources: list[Path], folder: Path, width: int, height: int) -> None:
    """Four photos in each of two class folders, JPEG of quality 90."""
    tiles = cycle(sources)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for i in range(PHOTOS):
            photo = Image.new("RGB", (width, height))
            for top in range(0, height, TILE):
                for left in range(0, width, TILE):
                    photo.paste(ImageOps.fit(Image.open(next(tiles)).convert("RGB"), (TILE, TILE)), (left, top))
            photo.save(folder / name / f"{i}.jpg", quality=90)


def batches(folder: Path, size: int) -> dict[str, Callable[[], object]]:
    """The next batch of training's input, as it is and with every photo decoded whole."""
    import tensorflow as tf

    from kerascnn import data
    from kerascnn.config import Config
    from kerascnn.data import decode
    from kerascnn.speed import rounds

    def whole(image_bytes, place, _):
        image = decode.decode(image_bytes)
        top, left, height, width = place(tf.shape(image)[0], tf.shape(image)[1])
        return image[top : top + height, left : left + width]

    section = {"dataset": str(folder), "image_size": size, "val_fraction": 0.1}
    config = Config().replace(data=section, fit={"batch_size": BATCH})
    found = {"window": iter(rounds.training_data(config, data.load(config.data)))}
    next(found["window"])
    with patch("kerascnn.data.decode.window", whole):
        found["whole"] = iter(rounds.training_data(config, data.load(config.data)))
        next(found["whole"])
    return {name: (lambda stream=stream: next(stream)) for name, stream in found.items()}


def seconds_per_batch(call: Callable[[], object], seconds: float) -> float:
    """After the batches that were kept ready while the other way had its turn."""
    for _ in range(READY):
        call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        call()
        count += 1
    return (time.perf_counter() - start) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each way in a round")
    args = parser.parse_args()
    sources = sorted(path for path in args.folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))

    print("| photos | images/s, whole photos decoded | images/s, windows | gain: median [quartiles] of rounds |")
    print("|---|--:|--:|--:|")
    for name, width, height in CAMERA:
        with tempfile.TemporaryDirectory() as folder:
            mosaics(sources, Path(folder), width, height)
            ways = batches(Path(folder), args.size)
            turns = [
                {way: seconds_per_batch(call, args.seconds) for way, call in ways.items()} for _ in range(args.rounds)
            ]
        found = {way: [turn[way] for turn in turns] for way in ways}
        gains = [slow / quick for slow, quick in zip(found["whole"], found["window"], strict=True)]
        low, _, high = quartiles(gains)
        slow, quick = (BATCH / median(found[way]) for way in ("whole", "window"))
        print(f"| {name} | {slow:.0f} | {quick:.0f} | {median(gains):.2f} [{low:.2f}, {high:.2f}] |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
