"""The picture of augmentations: its rows are what the run shows, and what was drawn is said."""

import io

import numpy as np
import pytest
from PIL import Image

from kerascnn.config import Augment, Data
from kerascnn.data import load, pipeline
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.sampling import PLAIN
from kerascnn.report import augment_sheet


@pytest.fixture(scope="module")
def splits():
    return load(Data())


def test_everything_is_every_augmentation(splits):
    assert set(AUGMENTATIONS) < set(augment_sheet.everything())
    assert {"rand-m9-mstd0.5-inc1", "erase-pixel-p1"} < set(augment_sheet.everything())


def test_the_second_row_is_the_first_batch_of_the_run(splits):
    section = Augment(augment=("shift", "flip", "erase-const"))
    found = augment_sheet.rows(splits, section, section.augment, 3, PLAIN)
    assert [row.name for row in found] == ["as they are", "shift flip erase-const", "shift", "flip", "erase-const"]
    first = next(iter(pipeline.training(splits, augment=section, seed=3, batch_size=8)))[0]
    np.testing.assert_array_equal(found[1].images, first.numpy())
    for image, before, text in zip(found[3].images, found[0].images, found[3].texts, strict=True):
        expected = before[:, ::-1] if text == "mirrored" else before
        np.testing.assert_array_equal(image, expected)
    assert all(len(row.texts) == 8 for row in found)


def test_the_picture_is_a_png_with_a_row_for_each(splits):
    names = ("color", "mixup")
    found = augment_sheet.rows(splits, Augment(augment=("none",)), names, 0, PLAIN)
    width, height = Image.open(io.BytesIO(augment_sheet.picture(found, "three rows"))).size
    assert len(found) == 3
    assert 1200 < width < 1300
    assert 600 < height < 750
