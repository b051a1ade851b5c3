"""What is served: the artefacts of a command line by name, and the newest version of each. No TensorFlow."""

import re
from pathlib import Path

from kerascnn.artefacts.versions import versions
from kerascnn.errors import UserError
from kerascnn.runs import finding

# Of a version without a SavedModel, the first one that is there.
_FILES = (
    "model.onnx",
    "model.xml",
    "model.keras",
    "model_float32.tflite",
    "model_float16.tflite",
    "model_int8.tflite",
)


def newest(path: Path) -> tuple[Path, str]:
    """Returns the artefact to open for `path`, and its version.

    A folder with versions stands for the newest one that holds an artefact, a version's folder for its SavedModel, or the first
    of its files in ONNX, OpenVINO, Keras and LiteRT (float32, float16, int8). Everything else stands for itself; its version is
    1 where no folder's name says another.
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


def named(words: tuple[str, ...]) -> dict[str, Path]:
    """Returns name -> path for the artefacts of a command line.

    Raises:
        UserError: There is none, it does not exist, or two have one name.
    """
    found: dict[str, Path] = {}
    for word in words:
        chosen = None if Path(word).exists() else re.fullmatch(r"([\w.-]+)=(.+)", word)
        path = Path(finding.find(chosen[2] if chosen else word)).resolve()
        folder = path.parent if path.is_file() else path
        home = folder.parent if folder.name.isdecimal() else folder  # a version's folder has the model's above it
        alone = path.stem if path.is_file() and path.stem not in ("model", "best") else home.name
        name = chosen[1] if chosen else alone
        if name in found:
            raise UserError(f"{found[name]} and {path} would both be called {name}: choose with NAME=PATH")
        found[name] = path
    if not found:
        raise UserError("which model? kerascnn serve ARTEFACT... (kerascnn serve --help)")
    return found
