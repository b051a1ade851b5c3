"""Makes mosaics of two to four photos, each with the labels of all its photos, and a table of them.

    python -m experiments.several_labels.mosaics PHOTOS OUTPUT [--train 1200] [--test 400] [--size 96] [--seed 0]

PHOTOS has the folders train/ and val/ with a folder of photos for each class, and may have classes.txt with lines of a folder's
name and a class name. Photos of train/ make the mosaics of train, those of val/ the mosaics of test; a mosaic shows one photo
of each of its classes. OUTPUT receives the mosaics and mosaics.csv: path, labels joined by "|", split.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

# Places of two, three and four photos, as shares of the mosaic: left, top, width, height.
LAYOUTS: dict[int, tuple[tuple[float, float, float, float], ...]] = {
    2: ((0, 0, 0.5, 1), (0.5, 0, 0.5, 1)),
    3: ((0, 0, 0.5, 1), (0.5, 0, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)),
    4: ((0, 0, 0.5, 0.5), (0.5, 0, 0.5, 0.5), (0, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5)),
}


def main(argv: list[str] | None = None) -> Path:
    """Makes the mosaics; returns the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--train", type=int, default=1200, help="mosaics of train")
    parser.add_argument("--test", type=int, default=400, help="mosaics of test")
    parser.add_argument("--size", type=int, default=96, help="side of a mosaic in pixels")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(argv)
    names = class_names(asked.photos)
    rows: list[tuple[str, str, str]] = []
    for number, (folder, split, count) in enumerate((("train", "train", asked.train), ("val", "test", asked.test))):
        rng = np.random.default_rng([asked.seed, number])
        photos = {name: sorted((asked.photos / folder / place).iterdir()) for place, name in names.items()}
        (asked.output / split).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image, labels = mosaic(rng, photos, asked.size)
            path = f"{split}/{i:05}.jpg"
            image.save(asked.output / path, quality=92)
            rows.append((path, "|".join(labels), split))
    table = asked.output / "mosaics.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label", "split"), *rows])
    print(f"{len(rows):,} mosaics of {len(names)} classes: {table}")
    return table


def class_names(photos: Path) -> dict[str, str]:
    """Returns the name of each class folder, from classes.txt where there is one."""
    folders = sorted(place.name for place in (photos / "train").iterdir() if place.is_dir())
    names = {name: name for name in folders}
    file = photos / "classes.txt"
    if file.exists():
        lines = (line.split(maxsplit=1) for line in file.read_text(encoding="utf-8").splitlines())
        names |= {words[0]: words[1].strip() for words in lines if len(words) == 2 and words[0] in names}
    return names


def mosaic(rng: np.random.Generator, photos: dict[str, list[Path]], size: int) -> tuple[Image.Image, list[str]]:
    """Returns a mosaic and its labels: two to four classes, drawn with unequal probabilities so that some are rare."""
    known = list(photos)
    weights = np.geomspace(1, 0.2, len(known))
    count = int(rng.choice(list(LAYOUTS)))
    chosen = rng.choice(len(known), count, replace=False, p=weights / weights.sum())
    image = Image.new("RGB", (size, size))
    for place, c in zip(LAYOUTS[count], chosen, strict=True):
        files = photos[known[c]]
        left, top, width, height = (round(share * size) for share in place)
        with Image.open(files[int(rng.integers(len(files)))]) as photo:
            image.paste(_cut(photo.convert("RGB"), width / height).resize((width, height)), (left, top))
    return image, sorted(known[c] for c in chosen)


def _cut(photo: Image.Image, aspect: float) -> Image.Image:
    """Returns the middle of a photo with this aspect ratio."""
    width, height = photo.size
    across, down = min(width, round(height * aspect)), min(height, round(width / aspect))
    left, top = (width - across) // 2, (height - down) // 2
    return photo.crop((left, top, left + across, top + down))


if __name__ == "__main__":
    main()
