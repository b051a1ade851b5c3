"""Real images of a run's data for a proof: some as network input, some as files in many formats."""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from kerascnn.data import Split, Splits, pipeline
from kerascnn.data.sources import Encoded, Files
from kerascnn.errors import UserError

IMAGES, FILES, ODD = 256, 24, 4
_ORIENTATION = 0x0112  # tag of EXIF


class Sample(NamedTuple):
    """Images of one split, spread evenly over it.

    Attributes:
        split: Their split: val, or the first other split with images.
        images: uint8 [n, image_size, image_size, 3].
        files: Encoded images: those of the split, and some turned by EXIF, in gray, with alpha, in 16 bit, by palette.
    """

    split: str
    images: np.ndarray
    files: list[Path]


def draw(splits: Splits, folder: Path) -> Sample:
    """Returns a sample of up to `IMAGES` images; new files are written to `folder`.

    Raises:
        UserError: No split has an image that can be read.
    """
    split = next((split for split in (splits.val, splits.test, splits.train) if len(split)), splits.val)
    images = _images(_spread(split, IMAGES), splits)
    files = _files(_spread(split, FILES), folder)
    for number, pixels in enumerate(images[:: max(1, len(images) // ODD)][:ODD]):
        files += odd_files(pixels, folder, str(number))
    return Sample(split.name, images, files)


def odd_files(pixels: np.ndarray, folder: Path, name: str) -> list[Path]:
    """Writes an image in formats on which decoders disagree, neither square nor of the network's size.

    Args:
        pixels: uint8 [height, width, 3].
        folder: Folder of the files.
        name: Beginning of their names.
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels).resize((width * 3 // 2 + 1, height + 5))
    gray = image.convert("L")
    turned = Image.Exif()
    turned[_ORIENTATION] = 6
    transparent = image.convert("RGBA")
    transparent.putalpha(gray)
    deep = Image.fromarray(np.asarray(gray).astype("uint16") * 257)
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "exif.jpg": (image, {"exif": turned, "quality": 95}),
        "gray.jpg": (gray, {}),
        "gray.png": (gray, {}),
        "alpha.png": (transparent, {}),
        "16bit.png": (deep, {}),
        "palette.png": (image.quantize(64), {}),
    }
    for kind, (form, options) in made.items():
        form.save(folder / f"{name}_{kind}", **options)
    return [folder / f"{name}_{kind}" for kind in made]


def _spread(split: Split, count: int) -> Split:
    """Returns at most `count` images of a split, spread evenly, as neighbors often have the same class."""
    places = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).round().astype(int))
    return dataclasses.replace(split, indices=split.indices[places], labels=split.labels[places])


def _images(split: Split, splits: Splits) -> np.ndarray:
    if not len(split):
        raise UserError("nothing to prove an export with: the run's data have no images")
    batches = pipeline.scoring(split, splits, 32)
    with pipeline.telling(split.source):
        kept = [images.numpy()[weight.numpy() > 0] for images, _, weight in batches]
    return np.concatenate(kept).astype("uint8")


def _files(split: Split, folder: Path) -> list[Path]:
    """Returns the files of a split; without files its encoded images, or else its pixels, are written as files."""
    source = split.source
    if isinstance(source, Files):
        return [Path(os.fsdecode(source.paths[int(i)].numpy())) for i in split.indices]
    files = []
    for number, index in enumerate(split.indices):
        files.append(folder / f"image{number}.png")
        if isinstance(source, Encoded):
            files[-1].write_bytes(source.read(int(index)).numpy())
        else:
            Image.fromarray(source.fetch([int(index)])[0].numpy()).save(files[-1])
    return files
