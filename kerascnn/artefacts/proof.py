"""Each artefact of an export, reloaded in a fresh process, against its run: the rows of parity.json.

One process is asked about all of them but `.keras` files, which need the package and get another.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import parity, predictor
from kerascnn.artefacts.fresh import FreshProcess
from kerascnn.artefacts.parity import Agreement
from kerascnn.artefacts.sample import Sample
from kerascnn.data import decode
from kerascnn.runs import Run

TOLERANCE = 1e-4  # of any probability, for what computes in float32
MAX_DROP = 1.0  # per cent of images whose answer may change, for the rest


class Artefact(NamedTuple):
    """One file, or the SavedModel, of a version.

    Attributes:
        name: As `parity.json` and the screen call it.
        form: How it is opened: a key of `run_artefact.FORMATS`.
        file: Its name in the version's directory; empty for the SavedModel, which is the directory.
        exact: Whether it computes in float32, so that nothing but rounding may differ.
    """

    name: str
    form: str
    file: str
    exact: bool


_LITERT = {
    "litert-float32": Artefact("litert float32", "litert", "model_float32.tflite", True),
    "litert-float16": Artefact("litert float16", "litert", "model_float16.tflite", False),
    "litert-int8": Artefact("litert int8", "litert", "model_int8.tflite", False),
}
# What `--formats` names -> what is written.
FORMATS = {
    "savedmodel": (Artefact("savedmodel", "savedmodel", "", True),),
    "litert": tuple(_LITERT.values()),
    **{name: (artefact,) for name, artefact in _LITERT.items()},
    "onnx": (Artefact("onnx", "onnx", "model.onnx", True),),
    "keras": (Artefact("keras", "keras", "model.keras", True),),
}


class Prover:
    """What the run answers to a sample, and how artefacts compare.

    Args:
        run: The run: its best model is what everything is held against.
        model: That model, loaded.
        temperature: What the logits are divided by, 1 without calibration.
        sample: Images and files.
        allow_drop: Per cent of images whose most probable class may differ in what is not float32.
    """

    def __init__(
        self, run: Run, model: keras.Model, temperature: float, sample: Sample, allow_drop: float = MAX_DROP
    ) -> None:
        self.sample, self.allow_drop = sample, allow_drop
        self._fresh: FreshProcess | None = None
        self.images = sample.images.astype("float32")
        asked = predictor.of_run(run, model)
        infer = asked.infer if temperature == 1 else _cooled(model, temperature)
        self.expected = parity.batched(infer, self.images)
        # As `predict RUN` reads them; a file that it refuses proves nothing.
        answers = zip(sample.files, asked.answers(sample.files), strict=True)
        read = {file: answer.probabilities for file, answer in answers if answer.probabilities is not None}
        self.contents = [decode.read(os.fsencode(file)).numpy() for file in read]
        powers = np.stack(list(read.values())).astype("float64") ** (1 / temperature)
        self.expected_of_files = (powers / powers.sum(1, keepdims=True)).astype("float32")

    def expect(self, form: str) -> None:
        """Start the fresh process for an artefact of this form, unless there is one that can be asked."""
        if self._fresh is not None and (not self._fresh.alive or self._fresh.packaged != (form == "keras")):
            self.close()
        if self._fresh is None:
            self._fresh = FreshProcess(form)

    def close(self) -> None:
        """End the fresh process."""
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None

    def prove(self, artefact: Artefact, folder: Path) -> dict[str, Any]:
        """One row: `images` through it, and for a SavedModel `files` too; `passed` says whether it agrees well enough.

        Raises:
            RuntimeError: It does not run.
        """
        path = folder / artefact.file if artefact.file else folder
        contents = self.contents if artefact.form == "savedmodel" else []
        self.expect(artefact.form)
        assert self._fresh is not None
        answered = self._fresh.ask(artefact.form, path, self.images, contents)
        found = {"images": Agreement.of(self.expected, answered.images)}
        if contents:
            found["files"] = Agreement.of(self.expected_of_files, answered.files)
        passed = all(self._agrees(artefact, agreement) for agreement in found.values())
        return {
            "artefact": artefact.name,
            "file": artefact.file or "saved_model.pb",
            **{name: _finite(agreement._asdict()) for name, agreement in found.items()},
            "bytes": size_of(artefact, folder),
            "latency_ms": float(np.median(answered.milliseconds)),
            "limit": f"difference <= {TOLERANCE:g}" if artefact.exact else f"top-1 >= {100 - self.allow_drop:g} %",
            "passed": bool(passed),
            **({"note": answered.note} if answered.note else {}),
        }

    def _agrees(self, artefact: Artefact, agreement: Agreement) -> bool:
        if artefact.exact:
            return agreement.max_difference <= TOLERANCE
        return agreement.top1 >= 1 - self.allow_drop / 100


def unmade(artefact: Artefact, reason: str) -> dict[str, Any]:
    """The row of an artefact that could not be written, or that does not run."""
    return {"artefact": artefact.name, "file": artefact.file or "saved_model.pb", "error": reason, "passed": False}


def why(row: Mapping[str, Any]) -> str:
    """Why a row did not pass."""
    if "error" in row:
        return str(row["error"])
    images = row["images"]
    return (
        f"{images['top1']:.2%} of {images['n']} answers are the same, the largest difference is"
        f" {_number(images['max_difference'])}; {row['limit']} is asked for"
    )


def size_of(artefact: Artefact, folder: Path) -> int:
    """Bytes on disk; of a SavedModel its graph and its weights."""
    if artefact.file:
        return (folder / artefact.file).stat().st_size
    files = [folder / "saved_model.pb", *(folder / "variables").iterdir()]
    return sum(file.stat().st_size for file in files)


def line(row: Mapping[str, Any]) -> str:
    """A row as the screen shows it."""
    if "error" in row:
        return f"{row['artefact']:<14} FAILED: {row['error']}"
    images: Mapping[str, Any] = row["images"]
    files = f", {row['files']['n']} files {_number(row['files']['max_difference'])}" if "files" in row else ""
    return (
        f"{row['artefact']:<14} {row['bytes'] / 1e6:>7.2f} MB {row['latency_ms']:>7.2f} ms  top-1 {images['top1']:.2%}"
        f"  difference {_number(images['max_difference'])} (mean {_number(images['mean_difference'])})"
        f" on {images['n']} images{files}{'' if row['passed'] else '  FAILED: ' + row['limit']}"
        f"{'  (' + row['note'] + ')' if 'note' in row else ''}"
    )


def _number(value: float | None) -> str:
    return "no number" if value is None else f"{value:.1e}"


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: None."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _cooled(model: keras.Model, temperature: float) -> Callable[[Any], Any]:
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    return tf.function(
        lambda images: tf.nn.softmax(model(images, training=False) / temperature), input_signature=[spec]
    )


def failed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows that did not pass."""
    return [row for row in rows if not row["passed"]]
