"""Data sets as they come, for networks that never saw them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Data
from kerascnn.errors import UserError


def folder(root: Path, places: tuple[str, ...], each: int = 3) -> Path:
    for place in places:
        for i in range(each):
            path = root / place / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([len(place), i]).integers(0, 256, (8, 8, 3), "uint8")
            Image.fromarray(pixels).save(path)
    return root


@pytest.mark.parametrize(
    ("places", "counts"),
    [
        (("cat", "dog"), (0, 0, 6)),
        (("train/cat", "train/dog", "val/cat", "val/dog"), (6, 0, 6)),
        (("train/cat", "train/dog", "val/cat", "test/cat", "test/dog"), (6, 3, 6)),
    ],
    ids=["flat", "train and val", "all three"],
)
def test_nothing_is_cut(tmp_path, places, counts) -> None:
    splits = data.load_as_given(Data(dataset=str(folder(tmp_path, places)), image_size=8))
    assert (len(splits.train), len(splits.val), len(splits.test)) == counts
    assert splits.fingerprint


def test_the_fingerprint_is_that_of_the_data_cut(tmp_path) -> None:
    section = Data(dataset=str(folder(tmp_path, ("cat", "dog"), each=10)), image_size=8)
    assert data.load_as_given(section).fingerprint == data.load(section).fingerprint


def test_nothing_there(tmp_path) -> None:
    with pytest.raises(UserError, match="no images"):
        data.load_as_given(Data(dataset=str(tmp_path)))
