"""What each artefact of a version answered on the machine of the export, for images that any machine can make again.

`kerascnn verify VERSION` asks the same elsewhere. No TensorFlow.
"""

import json
import os
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.devices import hardware
from kerascnn.errors import UserError
from kerascnn.runs.files import read_json

FILE = "reference.json"
COUNT, CELLS, SEED = 16, 8, 0
_LIBRARIES = ("tensorflow", "keras", "numpy", "ai-edge-litert", "onnxruntime", "openvino")


class Reference(NamedTuple):
    """The content of reference.json.

    Attributes:
        outputs: Probabilities [n, classes] of each artefact by its name in parity.json.
        machine: Instruction set, processor and library versions of the export.
    """

    outputs: dict[str, np.ndarray]
    machine: dict[str, Any]


def images(size: int) -> np.ndarray:
    """Returns images of colored cells, which any machine draws alike: float32 [16, size, size, 3], whole numbers in 0-255."""
    cells = np.random.default_rng(SEED).integers(0, 256, (COUNT, CELLS, CELLS, 3))
    place = np.arange(size) * CELLS // size
    return cells[:, place][:, :, place].astype("float32")


def here() -> dict[str, Any]:
    """Returns the facts of this machine that may change the last digits."""
    found: dict[str, Any] = {"cpu": hardware.cpu_name(), "isa": hardware.isa(hardware.cpu_flags(), os.environ)}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def write(version: Path, outputs: Mapping[str, np.ndarray]) -> None:
    """Writes reference.json into a version."""
    rounded = {name: [[float(f"{p:.9g}") for p in row] for row in found.tolist()] for name, found in outputs.items()}
    text = json.dumps({"machine": here(), "outputs": rounded}, allow_nan=False)
    (version / FILE).write_text(text + "\n", encoding="utf-8")


def read(version: Path) -> Reference | None:
    """Returns the content of reference.json; None where an earlier version of this program made the export.

    Raises:
        UserError: It is damaged.
    """
    path = version / FILE
    if not path.exists():
        return None
    found = read_json(path)
    try:
        outputs = {name: np.array(rows, "float32") for name, rows in found["outputs"].items()}
        return Reference(outputs, dict(found["machine"]))
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
