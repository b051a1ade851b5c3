"""Writes trained models."""

from pathlib import Path

import keras

from kerascnn.runs.files import naming, sync


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a `.keras` file: aside, synced, renamed."""
    aside = path.with_name(f".aside-{path.name}")
    try:
        with naming(path):
            model.save(aside)
            sync(aside)
        aside.replace(path)
    except BaseException:  # half a model would take the last space of a full disk
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)
