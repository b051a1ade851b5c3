"""The package's front: names and sizes without TensorFlow, forms of data sets, the embedded one."""

import subprocess
import sys

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import decode
from kerascnn.data.sources import Pixels
from kerascnn.errors import UserError


def test_names_and_sizes_load_no_tensorflow():
    code = (
        "import sys; from kerascnn.data import Splits, default_image_size, load, short_name;"
        "print(default_image_size('tfds:cifar10[:10%]'), short_name('tfds:cifar10[:10%]'), 'tensorflow' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.split() == ["32", "cifar10_10", "False"]


@pytest.mark.parametrize(
    ("dataset", "size", "name"),
    [
        ("fashion_mnist_mini", 32, "fashion_mnist_mini"),
        ("tfds:cifar10", 32, "cifar10"),
        ("tfds:cifar10:3.0.2", 32, "cifar10_3.0.2"),
        ("tfds:stanford_dogs", 224, "stanford_dogs"),
        ("/data/my photos/", 224, "my_photos"),
        ("folder:/data/cifar10", 224, "cifar10"),
        ("folder:fashion_mnist_mini", 224, "fashion_mnist_mini"),
        ("/", 224, "data"),
    ],
)
def test_default_sizes_and_short_names(dataset, size, name):
    assert data.default_image_size(dataset) == size
    assert data.short_name(dataset) == name


def test_the_embedded_images_have_a_black_border_at_32_pixels():
    splits = data.load(Data())
    assert splits.resize == "squash"
    assert [len(split) for split in splits.parts()][2] == 1000
    assert len(splits.train) + len(splits.val) == 6000
    images = splits.train.source.fetch(np.arange(100)).numpy()
    assert images.shape == (100, 32, 32, 3)
    assert images[:, 2:30, 2:30].max() > 200
    images[:, 2:30, 2:30] = 0
    assert images.max() == 0


@pytest.mark.parametrize("size", [16, 28, 31, 48, 96])
def test_the_embedded_images_at_other_sizes(size):
    splits = data.load(Data(image_size=size))
    images = splits.test.source.fetch(splits.test.indices[:5]).numpy()
    assert images.shape == (5, size, size, 3)
    assert images.mean() > 20
    assert splits.resize == ("crop" if size > 64 else "squash")


@pytest.mark.parametrize("mode", ["crop", "pad", "squash"])
@pytest.mark.parametrize("shape", [(28, 28), (32, 32), (30, 32), (27, 27), (40, 28)], ids=str)
def test_images_in_memory_are_brought_to_size_as_files_are(mode, shape):
    """What a network learns from is what predict and an export show it of the same image."""
    images = np.random.default_rng(0).integers(0, 256, (3, *shape), "uint8")
    source = Pixels(images, list("abc"), np.zeros(3), ["ant"], 32, mode)
    expected = decode.resize(images[..., None].repeat(3, axis=-1), 32, mode)
    np.testing.assert_array_equal(source.fetch([2, 0, 1]), expected.numpy()[[2, 0, 1]])


def test_a_folder_without_a_path():
    with pytest.raises(UserError, match="needs a path"):
        data.load(Data(dataset="folder:"))
