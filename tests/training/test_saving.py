"""A model is written as a whole or not at all."""

import resource
from pathlib import Path

import keras
import pytest

from kerascnn.training.saving import save_model


def test_a_model_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    model, path = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1000)]), tmp_path / "best.keras"
    save_model(model, path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"best\.keras"):
            save_model(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("best.keras", before)]
