"""Files of a run that are damaged: each is read as a whole, and named if its checksum does not fit. No TensorFlow."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.runs.files import read_json


def damaged(run: Run) -> list[str]:
    """Returns a line for each file of the run that cannot be read whole: checkpoints, best.keras, predictions, tables."""
    found = []
    for path, read in _readers(run):
        try:
            problem = read(path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, UserError) as error:
            problem = str(error)
        if problem:
            found.append(f"{path.relative_to(run.path)}: {problem}")
    return found


def _readers(run: Run) -> Iterator[tuple[Path, Callable[[Path], str]]]:
    zips = [*sorted(run.checkpoints.glob("step-*/variables.npz")), *sorted(run.predictions.glob("*.npz"))]
    yield from ((path, _zip) for path in [run.best_model, *zips] if path.exists())
    yield from ((path, _state) for path in sorted(run.checkpoints.glob("step-*/state.json")))
    yield from ((path, _json) for path in (run.data_file, run.metrics_file) if path.exists())
    if run.history_file.exists():
        yield run.history_file, lambda path: "" if run.history() else "it has no rows"


def _zip(path: Path) -> str:
    """Checks every member of a zip file by its CRC-32."""
    with zipfile.ZipFile(path) as file:
        bad = file.testzip()
    return f"{bad} fails its checksum" if bad else ""


def _state(path: Path) -> str:
    checksum, _, text = path.read_bytes().partition(b"\n")
    found = zlib.crc32(text.removesuffix(b"\n"))
    return "" if f"{found:08x}".encode() == checksum else "it fails its checksum"


def _json(path: Path) -> str:
    read_json(path)
    return ""
