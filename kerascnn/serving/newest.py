"""The newest version of an artefact's folder, in any format."""

from pathlib import Path

from kerascnn.artefacts.versions import versions

_FILES = ("model.onnx", "model.keras")  # of a version without a SavedModel


def newest(path: Path) -> tuple[Path, str]:
    """Returns the artefact to open for `path`, and its version.

    A folder with versions stands for the newest one that holds an artefact, a version's folder for its SavedModel, ONNX or
    Keras file. Everything else stands for itself; its version is 1 where no folder's name says another.
    """
    for number in reversed(versions(path)):
        if (found := _within(path / str(number))) is not None:
            return found, str(number)
    folder = path.parent if path.is_file() else path
    return _within(path) or path, folder.name if folder.name.isdecimal() else "1"


def _within(folder: Path) -> Path | None:
    if (folder / "saved_model.pb").is_file():
        return folder
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)
