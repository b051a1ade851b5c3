"""Writes trained models."""

from pathlib import Path

import keras

from kerascnn.runs.files import aside_of, naming, replace, sync


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a `.keras` file: aside, synced, renamed."""
    aside = aside_of(path, keep_suffix=True)
    try:
        with naming(path):
            model.save(aside)
            sync(aside)
        replace(aside, path)
    except BaseException:  # half a model would take the last space of a full disk
        aside.unlink(missing_ok=True)
        raise
    sync(path.parent)
