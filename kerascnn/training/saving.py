"""How a trained model is written."""

from pathlib import Path

import keras

from kerascnn.runs.files import naming, sync


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file aside, sync, rename."""
    aside = path.with_name(f".aside-{path.name}")
    try:
        with naming(path):
            model.save(aside)
            sync(aside)
        aside.replace(path)
    except BaseException:  # on a full disk half a model would take the last room
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)
