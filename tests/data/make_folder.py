"""A folder of photos as people have them: unequal classes, turned by EXIF, grey, with alpha, very wide.

    python tests/data/make_folder.py FOLDER [PHOTOS]

PHOTOS is a folder with train/ants and train/bees (hymenoptera); without it the embedded images are used, enlarged.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FILE = Path(__file__).parents[2] / "kerascnn/data/fashion_mnist_mini/fashion_mnist_mini.npz"
COUNTS = {"ants": 60, "bees": 38, "ants in blue": 24, "bees in blue": 15, "ants, größer": 9, "bees, größer": 6}
ORIENTATION = 0x0112
# How to store an image so that its EXIF orientation shows it upright: the inverse of what a viewer does.
STORED = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def make(folder: Path, photos: Path | None = None) -> Path:
    """Write one class folder for each of COUNTS, 10 to 1 in size; every sixth image is of an unusual form. Repeatable."""
    kinds = {"ants": _images(photos, "ants"), "bees": _images(photos, "bees")}
    for label, count in COUNTS.items():
        (folder / label).mkdir(parents=True)
        for place in range(count):
            image = next(kinds[label[:4]])
            if "blue" in label:
                image = Image.merge("RGB", image.split()[::-1])
            if "größer" in label:
                image = ImageOps.fit(image, (image.width, image.height), centering=(0.3, 0.3), bleed=0.2)
            _save(image, folder / label / f"{label} {place}", place)
    return folder


def _images(photos: Path | None, kind: str) -> Iterator[Image.Image]:
    if photos is not None:
        for path in sorted((photos / "train" / kind).iterdir()):
            yield ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        return
    with np.load(FILE) as arrays:
        images = arrays["x_train"][arrays["y_train"] == (7 if kind == "ants" else 0)]
    for place, image in enumerate(images):
        yield Image.fromarray(image).convert("RGB").resize((160 + place % 5 * 20, 160))


def _save(image: Image.Image, path: Path, place: int) -> None:
    form = ("plain", "turned", "plain", "grey", "alpha", "wide", "plain", "turned", "webp")[place % 9]
    if form == "turned":
        turned = place % 8 + 1
        exif = Image.Exif()
        exif[ORIENTATION] = turned
        stored = image if STORED[turned] is None else image.transpose(STORED[turned])
        stored.save(path.with_name(f"{path.name}.jpg"), quality=90, exif=exif)
    elif form == "grey":
        image.convert("L").save(path.with_name(f"{path.name}.JPEG"), quality=90)
    elif form == "alpha":
        height, width = image.height, image.width
        ramp = np.broadcast_to(np.linspace(0, 255, width).astype("uint8"), (height, width))
        image.putalpha(Image.fromarray(np.ascontiguousarray(ramp)))
        image.save(path.with_name(f"{path.name}.png"))
    elif form == "wide":
        ImageOps.fit(image, (320, 80)).save(path.with_name(f"{path.name}.jpg"), quality=90)
    elif form == "webp":
        image.save(path.with_name(f"{path.name}.webp"), quality=90)
    else:
        image.save(path.with_name(f"{path.name}.jpg"), quality=90)


if __name__ == "__main__":
    print(make(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
