"""Proves each artefact of an export, reloaded in a new process, against its run: the rows of parity.json.

One process runs all of them except `.keras` files, which need the package and get another one.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import further_proof, opening, parity, reference
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.fresh import FreshProcess, Outputs
from kerascnn.artefacts.parity import Agreement
from kerascnn.artefacts.sample import Sample
from kerascnn.data import decode
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import MULTI, SINGLE

TOLERANCE = 1e-4  # largest difference of a probability, for float32
SAME_LABELS = "same_labels"  # in rows of several labels per image, in place of top1
MAX_DROP = 1.0  # percentage of images whose predicted class may change, for other types


class Artefact(NamedTuple):
    """A file of a version, or its SavedModel.

    Attributes:
        name: Name in parity.json and on the screen.
        form: Format, a key of `run_artefact.FORMATS`.
        file: Name in the version's directory; empty for the SavedModel, which is the directory.
        exact: Whether it computes in float32, with rounding as the only difference.
        weights: Name of a file with its weights that lies beside it, or empty.
    """

    name: str
    form: str
    file: str
    exact: bool
    weights: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Names in the version's directory, of files and of directories."""
        if not self.file:
            return ("saved_model.pb", "variables", "fingerprint.pb")
        return tuple(filter(None, (self.file, self.weights)))


_LITERT = {
    "litert-float32": Artefact("litert float32", "litert", "model_float32.tflite", True),
    "litert-float16": Artefact("litert float16", "litert", "model_float16.tflite", False),
    "litert-int8": Artefact("litert int8", "litert", "model_int8.tflite", False),
}
# Values of `--formats` -> the artefacts that are written.
FORMATS = {
    "savedmodel": (Artefact("savedmodel", "savedmodel", "", True),),
    "litert": tuple(_LITERT.values()),
    **{name: (artefact,) for name, artefact in _LITERT.items()},
    "onnx": (Artefact("onnx", "onnx", "model.onnx", True),),
    "openvino": (Artefact("openvino", "openvino", "model.xml", True, weights="model.bin"),),
    "keras": (Artefact("keras", "keras", "model.keras", True),),
}
FORMATS["all"] = tuple(dict.fromkeys(artefact for artefacts in FORMATS.values() for artefact in artefacts))


class Prover:
    """Compares artefacts with the predictions of the run for a sample.

    Args:
        run: The run, whose best model is the reference.
        model: That model, loaded.
        temperature: Divisor of the logits; 1 without calibration.
        sample: Images and files.
        allow_drop: Percentage of images whose most probable class, or of labels whose prediction, may differ in types other
            than float32.
        server: Forks the new processes, or None.
        rules: The rules of further outputs, as the run has them.
    """

    def __init__(
        self,
        run: Run,
        model: keras.Model,
        temperature: float,
        sample: Sample,
        allow_drop: float = MAX_DROP,
        server: ForkServer | None = None,
        rules: FileRules = FileRules(),  # noqa: B008 - frozen
    ) -> None:
        self.rules = rules
        self.sample, self.allow_drop, self._server = sample, allow_drop, server
        self._fresh: FreshProcess | None = None
        self.images = sample.images.astype("float32")
        asked = opening.of_run(run, model)
        self.task, self.thresholds = asked.task, asked.thresholds
        if self.task.several and self.thresholds is None:
            self.thresholds = Thresholds.half(len(asked.class_names))
        infer = asked.infer if temperature == 1 else _cooled(model, temperature)
        self.expected = parity.batched(infer, self.images)
        scores = parity.batched(_largest(model), self.images) if rules.unknown is not None else None
        self.further = further_proof.RunAnswers(rules, self.expected, scores)
        # As read by `predict RUN`; a file that it refuses proves nothing.
        predictions = zip(sample.files, asked.predictions(sample.files), strict=True)
        read = {
            file: prediction.probabilities for file, prediction in predictions if prediction.probabilities is not None
        }
        self.contents = [decode.read(os.fsencode(file)).numpy() for file in read]
        self.expected_of_files = np.stack(list(read.values()))
        if not self.task.several:
            powers = self.expected_of_files.astype("float64") ** (1 / temperature)
            self.expected_of_files = (powers / powers.sum(1, keepdims=True)).astype("float32")

    def expect(self, form: str) -> None:
        """Starts the new process for an artefact of this format, unless there is one."""
        if self._fresh is not None and (not self._fresh.alive or self._fresh.packaged != (form == "keras")):
            self.close()
        if self._fresh is None:
            self._fresh = FreshProcess(form, server=self._server)

    def close(self) -> None:
        """Ends the new process."""
        if self._fresh is not None:
            self._fresh.close()
            self._fresh = None

    def prove(self, artefact: Artefact, folder: Path, own: FileRules | None = None) -> dict[str, Any]:
        """Returns the row of an artefact, tested with `images`, and a SavedModel also with `files`; `passed` is the result.

        Args:
            artefact: The artefact.
            folder: The directory of its version.
            own: The rules of its further outputs where they are not those of the run.

        Raises:
            RuntimeError: It does not run.
        """
        path = folder / artefact.file if artefact.file else folder
        contents = self.contents if artefact.form == "savedmodel" else []
        self.expect(artefact.form)
        assert self._fresh is not None
        output = self._fresh.ask(artefact.form, path, self.images, contents)
        found = {"images": Agreement.of(self.expected, output.images, self.thresholds)}
        if contents:
            found["files"] = Agreement.of(self.expected_of_files, output.files, self.thresholds)
        passed = all(self._agrees(artefact, agreement) for agreement in found.values())
        further, further_passed = self._further(artefact, output, own or self.rules)
        passed = passed and further_passed
        return {
            "artefact": artefact.name,
            "file": artefact.file or "saved_model.pb",
            **{name: self._row(agreement) for name, agreement in found.items()},
            **further,
            "bytes": size_of(artefact, folder),
            "latency_ms": float(np.median(output.milliseconds)),
            "limit": (
                f"difference <= {TOLERANCE:g}" if artefact.exact else f"{self.task.same} >= {100 - self.allow_drop:g} %"
            ),
            "passed": bool(passed),
            **({"note": output.note} if output.note else {}),
        }

    def outputs(self, artefact: Artefact, folder: Path) -> np.ndarray:
        """Returns the probabilities of an artefact for the images that `kerascnn verify` asks again, [n, classes]."""
        path = folder / artefact.file if artefact.file else folder
        assert self._fresh is not None
        return self._fresh.ask(artefact.form, path, reference.images(self.images.shape[1])).images

    def _further(self, artefact: Artefact, output: Outputs, own: FileRules) -> tuple[dict[str, Any], bool]:
        """Returns the entries `further` and `trust` of a row, if there are further outputs, and whether they passed."""
        exact = artefact.exact
        entry, passed = further_proof.rows(own, output.images, output.further, self.further, exact=exact)
        if not own.outputs:
            return {}, passed
        if len(output.files):
            cooled = self.further._replace(probabilities=self.expected_of_files)
            passed &= further_proof.agree_on_sets(own, output.files, output.further_of_files, cooled, exact=exact)
        return {"further": entry, "trust": own.kept()}, passed

    def _row(self, agreement: Agreement) -> dict[str, Any]:
        """Returns an agreement as in parity.json, whose share has the name of what is compared."""
        values = _finite(agreement._asdict())
        return {SAME_LABELS if name == "top1" and self.task.several else name: value for name, value in values.items()}

    def _agrees(self, artefact: Artefact, agreement: Agreement) -> bool:
        if artefact.exact:
            return agreement.max_difference <= TOLERANCE
        return agreement.top1 >= 1 - self.allow_drop / 100


def unmade(artefact: Artefact, reason: str) -> dict[str, Any]:
    """Returns the row of an artefact that could not be written, or that does not run."""
    return {"artefact": artefact.name, "file": artefact.file or "saved_model.pb", "error": reason, "passed": False}


def why(row: Mapping[str, Any]) -> str:
    """Returns why a row did not pass."""
    if "error" in row:
        return str(row["error"])
    images = row["images"]
    return (
        f"{same(row)[1]:.2%} of {images['n']} predictions are the same, the largest difference is"
        f" {_number(images['max_difference'])}; the limit is {row['limit']}"
    )


def same(row: Mapping[str, Any]) -> tuple[str, float]:
    """Returns what a row compares in words, and the share of it that is the same."""
    images = row["images"]
    task = MULTI if SAME_LABELS in images else SINGLE
    return task.same, images[SAME_LABELS if task.several else "top1"]


def size_of(artefact: Artefact, folder: Path) -> int:
    """Returns the bytes on disk; of a SavedModel those of its graph and weights."""
    if artefact.file:
        return sum((folder / name).stat().st_size for name in artefact.files)
    files = [folder / "saved_model.pb", *(folder / "variables").iterdir()]
    return sum(file.stat().st_size for file in files)


def line(row: Mapping[str, Any]) -> str:
    """Returns a row as text for the screen."""
    if "error" in row:
        return f"{row['artefact']:<14} FAILED: {row['error']}"
    images: Mapping[str, Any] = row["images"]
    what, share = same(row)
    files = f", {row['files']['n']} files {_number(row['files']['max_difference'])}" if "files" in row else ""
    further = f", {further_proof.line(row['further'])}" if "further" in row else ""
    return (
        f"{row['artefact']:<14} {row['bytes'] / 1e6:>7.2f} MB {row['latency_ms']:>7.2f} ms  {what} {share:.2%}"
        f"  difference {_number(images['max_difference'])} (mean {_number(images['mean_difference'])})"
        f" on {images['n']} images{files}{further}{'' if row['passed'] else '  FAILED: ' + row['limit']}"
        f"{'  (' + row['note'] + ')' if 'note' in row else ''}"
    )


def _number(value: float | None) -> str:
    return "NaN" if value is None else f"{value:.1e}"


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns None in place of infinity, which JSON lacks."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _largest(model: keras.Model) -> Callable[[Any], Any]:
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    return tf.function(lambda images: tf.reduce_max(model(images, training=False), axis=1), input_signature=[spec])


def _cooled(model: keras.Model, temperature: float) -> Callable[[Any], Any]:
    spec = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    return tf.function(
        lambda images: tf.nn.softmax(model(images, training=False) / temperature), input_signature=[spec]
    )


def failed(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the rows that did not pass."""
    return [row for row in rows if not row["passed"]]
