"""How a trained model is written."""

from pathlib import Path

import keras

from kerascnn.files import naming, sync


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file aside, sync, rename."""
    aside = path.with_name(f".aside-{path.name}")
    with naming(path):
        model.save(aside)
    sync(aside)
    aside.replace(path)
    sync(path.parent)
