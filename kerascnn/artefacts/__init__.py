"""Trained networks outside of training: saved, proven equal, opened again. Importing this loads no TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerascnn.artefacts.predictor import Predictor
    from kerascnn.data.decode import Mode

__all__ = ["Predictor", "open"]


def open(
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    image_size: int | None = None,
    resize: Mode | None = None,
) -> Predictor:
    """What can predict at `path`: a run's directory, a SavedModel (its version, or the newest below a name), a file.

    Files are `.keras`, `.tflite` (LiteRT; needs the extra litert) and `.onnx` (needs the extra onnx). A run, a SavedModel and
    an ONNX file know their class names, image size and resize mode, and so does a file in its run's or its version's
    directory. For another file they are what is given here; by default the classes are numbered, the size is the
    model's input, the mode crop above 64 px and squash up to it.

    Raises:
        kerascnn.errors.UserError: There is nothing that can predict, it is damaged, unsafe or unfinished, or something
            given contradicts it.
    """
    from kerascnn.artefacts import predictor

    given = predictor.Given(None if class_names is None else tuple(class_names), image_size, resize)
    return predictor.open_any(Path(path), given)


def __getattr__(name: str) -> object:
    if name == "Predictor":
        from kerascnn.artefacts.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'kerascnn.artefacts' has no attribute {name!r}")
