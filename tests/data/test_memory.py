"""Memory does not grow with the number of images: each count in a process of its own, an epoch of train and a pass over val."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data.cache import Cache, Decoded, Undecoded
from kerascnn.data.embedded import FILE
from kerascnn.devices.free_memory import free_memory

pytestmark = pytest.mark.training

CHILD = """
import sys
from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline
from kerascnn.devices import timing

splits = data.load(Data(dataset=sys.argv[1], image_size=224))
steps = pipeline.steps_per_epoch(len(splits.train), 32)
for _ in pipeline.training(splits, augment=Augment(), seed=0, batch_size=32).take(steps):
    pass
for _ in pipeline.scoring(splits.val, splits, 32):
    pass
print(timing.peak_memory())
"""

KEPT = """
import sys
import tensorflow as tf
from kerascnn import data
from kerascnn.config import Augment, Data, Devices
from kerascnn.data import pipeline
from kerascnn.data.cache import Cache
from kerascnn.devices import timing
from kerascnn.devices.plan import setup

plan = setup(Devices(devices=sys.argv[2]), 16)
for size in (32, 224):
    splits = data.load(Data(dataset=sys.argv[1], image_size=size, resize="squash"))
    flip = Augment(augment=("flip",))
    batches = pipeline.training(splits, augment=flip, seed=0, batch_size=16, cache=Cache("memory"))
    with plan.scope():
        stream = iter(tf.distribute.get_strategy().experimental_distribute_dataset(batches))
    for _ in range(5):
        next(stream)
    print(len(splits.train) * size * size * 3, timing.peak_memory())
"""


def make(folder: Path, count: int) -> Path:
    """`count` JPEGs of 256 px in two classes: 500 different ones, the others are links to them."""
    with np.load(FILE) as arrays:
        pictures = arrays["x_train"][:500]
    for label in range(2):
        (folder / str(label)).mkdir(parents=True)
    for place in range(count):
        path = folder / str(place % 2) / f"{place}.jpg"
        if place < 500:
            Image.fromarray(pictures[place]).convert("RGB").resize((256, 256)).save(path, quality=95)
        else:
            os.link(folder / str(place % 2) / f"{place % 500}.jpg", path)
    return folder


def peak(folder: Path) -> int:
    """Peak resident memory in bytes of reading the folder once."""
    output = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder)], check=True, capture_output=True, text=True
    ).stdout
    return int(output)


@pytest.mark.slow
def test_memory_is_flat_from_1_000_to_20_000_images(tmp_path):
    few, many = (peak(make(tmp_path / str(count), count)) for count in (1_000, 20_000))
    print(f"peak memory: {few / 1e6:.0f} MB at 1,000 images, {many / 1e6:.0f} MB at 20,000")
    assert many <= 1.1 * few


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["cpu", "cpu:2"])
def test_what_is_kept_is_kept_once(tmp_path, devices):
    command = [sys.executable, "-c", KEPT, str(make(tmp_path / "digits", 2_500)), devices]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    (small, least), (large, most) = (map(int, line.split()) for line in lines)
    grown, table = most - least, large - small
    assert table > 250e6
    assert 0.9 * table < grown < 1.5 * table, f"{grown / 1e6:.0f} MB for {table / 1e6:.0f}"


def test_free_memory_is_less_than_there_is():
    assert 0 < free_memory() < 1.01 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("budget", "whole", "cropped"),
    [(0, Undecoded, Undecoded), (400_000, Undecoded, Undecoded), (10**7, Decoded, Undecoded)],
)
def test_the_cache_stays_within_its_budget(tmp_path, budget, whole, cropped):
    splits = data.load(Data(dataset=str(make(tmp_path / "digits", 60)), image_size=64))
    cache = Cache("auto")
    assert cache.left <= free_memory() / 3
    cache.left = budget
    stores = [cache.store(splits.train, whole=True), cache.store(splits.train, whole=False)]
    assert [type(store) for store in stores] == [whole, cropped]
    decoded = len(splits.train) * 64 * 64 * 3
    encoded = splits.train.source.encoded_size(splits.train.indices)
    taken = {0: 0, 400_000: encoded, 10**7: decoded + encoded}[budget]
    assert cache.left == budget - taken
    assert cache.store(splits.train, whole=True) is stores[0]


def test_a_part_of_a_split_is_not_taken_for_the_whole(tmp_path):
    splits = data.load(Data(dataset=str(make(tmp_path / "digits", 60)), image_size=64))
    cache = Cache("memory")
    part = replace(splits.val, indices=splits.val.indices[1::2], labels=splits.val.labels[1::2])
    whole, some = (cache.store(split, whole=True) for split in (splits.val, part))
    places = np.arange(len(part))
    np.testing.assert_array_equal(some.fetch(places), whole.fetch(2 * places + 1))


def test_test_is_decoded_once_if_it_fits_and_its_files_are_never_kept(tmp_path):
    splits = data.load(Data(dataset=str(make(tmp_path / "digits", 60)), image_size=64))
    cache = Cache("memory")
    kept = cache.store(splits.test, whole=True)
    assert isinstance(kept, Decoded)
    assert splits.test.source.tried[splits.test.indices].all()  # scoring does not decode them once more to see this
    cache = Cache("auto")
    cache.left = splits.test.source.encoded_size(splits.test.indices)
    assert isinstance(cache.store(splits.test, whole=True), Undecoded)
    assert cache.left > 0
