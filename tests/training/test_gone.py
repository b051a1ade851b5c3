"""A share with the images goes away in mid training: it stops with what is exact, and continues to the same bits."""

import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from kerascnn import data, training
from kerascnn.config import Config
from kerascnn.errors import Stopped
from kerascnn.runs import Run, prepare

pytestmark = pytest.mark.training


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, base in (("ant", 60), ("bee", 180)):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for place in range(60):
            pixels = rng.integers(base - 40, base + 40, (20, 20, 3), dtype="uint8")
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{place}.jpg")
    return tmp_path / "photos"


def config(folder: Path, photos: Path) -> Config:
    return Config(
        data={"dataset": str(photos), "image_size": 16, "cache": "off"},
        model={"arch": "resnet9", "width": 0.125},
        optim={"warmup": 0},
        fit={"epochs": 8, "batch_size": 8},
        devices={"dtype": "float32", "devices": "cpu"},
        logging={"runs_dir": folder, "run": "run"},
    )


def train(folder: Path, photos: Path) -> Run:
    splits = data.load(config(folder, photos).data)
    resolved = training.resolve(config(folder, photos), splits)
    run = prepare(resolved, splits.fingerprint, splits.name)
    training.train(resolved, run, splits=splits, draw=False, read_test=False)
    return run


@pytest.mark.slow
def test_a_training_whose_images_go_away_stops_and_continues_to_the_same_bits(tmp_path: Path, photos: Path) -> None:
    calm = train(tmp_path / "calm", photos)
    run = Run(tmp_path / "cut" / "run")

    def take_away() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and len(run.history()) < 2:
            time.sleep(0.001)
        photos.rename(photos.with_name("away"))

    watcher = threading.Thread(target=take_away)
    watcher.start()
    try:
        with pytest.raises(Stopped, match=r"(?s)cannot be read:\n.*\.jpg': No such file") as raised:
            train(tmp_path / "cut", photos)
    finally:
        watcher.join()
    assert raised.value.code == 75
    assert 2 <= len(run.history()) < 8
    assert not run.finished
    photos.with_name("away").rename(photos)
    again = train(tmp_path / "cut", photos)
    assert "resuming after step" in again.log_file.read_text()
    names = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")
    assert [[row[name] for name in names] for row in again.history()] == [
        [row[name] for name in names] for row in calm.history()
    ]
    ours, theirs = (keras.models.load_model(each.best_model, compile=False).get_weights() for each in (again, calm))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.skipped_file.read_text() == "path,reason\n"
