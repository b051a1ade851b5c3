"""How many planted copies near-copy search finds, by kind: python -m experiments.auditing.thresholds FOLDER

Plants copies of 200 images below FOLDER, and counts pairs of the images themselves, which are mistakes or natural copies.
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from experiments.auditing.plant import encoded
from kerascnn.data.looks import look
from kerascnn.data.near import least_alike, near_pairs

PLANTED = 200
LEASTS = (0.95, 0.97, 0.98, 0.99)


def smaller(image: Image.Image, share: float) -> Image.Image:
    """Returns an image with sides that are a share of the image's."""
    return image.resize([max(1, round(share * side)) for side in image.size], Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Returns an image without a share of its sides at each border."""
    x, y = round(share * image.width), round(share * image.height)
    return image.crop((x, y, image.width - x, image.height - y))


KINDS: dict[str, Callable[[Image.Image, random.Random], bytes]] = {
    "resized to 45-90 %": lambda image, rng: encoded(smaller(image, rng.uniform(0.45, 0.9)), 90),
    "JPEG quality 40": lambda image, rng: encoded(image, 40),
    "JPEG quality 15": lambda image, rng: encoded(image, 15),
    "mirrored": lambda image, rng: encoded(ImageOps.mirror(image), 75),
    "mirrored, half size": lambda image, rng: encoded(ImageOps.mirror(smaller(image, 0.5)), 60),
    "25 % brighter": lambda image, rng: encoded(ImageEnhance.Brightness(image).enhance(1.25), 75),
    "gray": lambda image, rng: encoded(image.convert("L"), 75),
    "cropped by 3 % at each border": lambda image, rng: encoded(cropped(image, 0.03), 75),
}


def main(folder: Path) -> None:
    """Prints a table."""
    paths = sorted(path for path in folder.rglob("*.*") if path.suffix.lower() in (".jpg", ".jpeg"))
    rng = random.Random(0)
    chosen = rng.sample(range(len(paths)), min(PLANTED, len(paths) // 2))
    planted = [(i, kind) for i in chosen for kind in KINDS]
    images = {i: Image.open(paths[i]).convert("RGB") for i in chosen}
    seen = [look(path.read_bytes()) for path in paths] + [look(KINDS[kind](images[i], rng)) for i, kind in planted]
    hashes = np.array([one.hashes for one in seen], np.uint64)
    thumbnails = np.stack([one.thumbnail for one in seen if one.thumbnail is not None])
    found = near_pairs(hashes[:, 0], hashes[:, 1], thumbnails, least=min(LEASTS))
    alike = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.alike.tolist(), strict=True))
    own = least_alike(hashes[: len(paths), 0], thumbnails[: len(paths)])
    print(f"{len(paths):,} images, {len(chosen)} copies of each kind; of this data set at least {own:.3f}\n")
    print(f"| least correlation | {' | '.join(map(str, LEASTS))} |\n|---|{'---|' * len(LEASTS)}")
    for kind in KINDS:
        best = [alike.get((i, len(paths) + place), 0.0) for place, (i, of) in enumerate(planted) if of == kind]
        print(f"| {kind} | {' | '.join(f'{np.mean(np.array(best) >= least):.1%}' for least in LEASTS)} |")
    among = np.array([value for (_, other), value in alike.items() if other < len(paths)])
    print(f"| pairs without a planted copy | {' | '.join(str(int((among >= least).sum())) for least in LEASTS)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
