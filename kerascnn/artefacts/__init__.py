"""Artefacts of trained networks: saved, proven equal to the run, and opened again. Importing this loads no TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerascnn.artefacts.predictor import Predictor
    from kerascnn.data.decode import Mode
    from kerascnn.scoring.task import TaskName

__all__ = ["Predictor", "open"]


def open(
    path: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    image_size: int | None = None,
    resize: Mode | None = None,
    task: TaskName | None = None,
) -> Predictor:
    """Returns the predictor at `path`: a run's directory, a SavedModel (a version, or the newest below a name), or a file.

    Files are `.keras`, `.tflite` (LiteRT; needs the extra litert), `.onnx` (needs the extra onnx) and `.xml` (OpenVINO; needs
    the extra openvino, and its `.bin` beside it). All that this program writes know their class names, image size and resize
    mode; a Keras file does in the directory of its run or version.
    For another file the arguments give them; by default classes are numbered, the size is the model's input, the mode is
    crop above 64 px and squash up to it, and the task is single: one class per image.

    Raises:
        kerascnn.errors.UserError: There is nothing that can predict, it is damaged, unsafe or unfinished, or an argument
            contradicts it.
    """
    from kerascnn.artefacts import opening
    from kerascnn.scoring.task import TASKS

    names = None if class_names is None else tuple(class_names)
    given = opening.Given(names, image_size, resize, None if task is None else TASKS[task])
    return opening.open_any(Path(path), given)


def __getattr__(name: str) -> object:
    if name == "Predictor":
        from kerascnn.artefacts.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'kerascnn.artefacts' has no attribute {name!r}")
