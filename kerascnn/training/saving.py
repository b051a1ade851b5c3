"""How a trained model is written."""

from pathlib import Path

import keras

from kerascnn.files import sync


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file aside, sync, rename."""
    aside = path.with_name(f".aside-{path.name}")
    model.save(aside)
    sync(aside)
    aside.replace(path)
    sync(path.parent)
