"""An artefact against its network: it is reloaded in a fresh process and asked the same."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import run_artefact, savedmodel
from kerascnn.artefacts.predictor import probabilities_of
from kerascnn.data import decode
from kerascnn.scratch import scratch


class Agreement(NamedTuple):
    """How far two sets of probabilities agree.

    Attributes:
        n: Images compared.
        top1: Share of images whose most probable class is the same.
        max_difference: The largest difference of any probability.
        mean_difference: The mean over all images and classes.
    """

    n: int
    top1: float
    max_difference: float
    mean_difference: float

    @classmethod
    def of(cls, expected: np.ndarray, got: np.ndarray) -> "Agreement":
        """Compare two arrays [n, classes]. A value that is not a number agrees with nothing.

        Raises:
            ValueError: They have different shapes, or n is 0: nothing would be proven.
        """
        if expected.shape != got.shape or not len(expected):
            raise ValueError(f"expected the same probabilities, at least one row, got {expected.shape} and {got.shape}")
        difference = np.abs(expected.astype("float64") - got)
        difference[~np.isfinite(difference)] = np.inf
        same = (expected.argmax(1) == got.argmax(1)) & np.isfinite(got).all(1)
        return cls(len(expected), float(same.mean()), float(difference.max()), float(difference.mean()))


class Answers(NamedTuple):
    """What an artefact answered in a process of its own.

    Attributes:
        images: Probabilities, float32 [n, classes].
        files: Probabilities of encoded images; of a SavedModel only.
        milliseconds: Of single calls with one image, warm.
        note: What is to be said of how it ran; empty for nothing.
    """

    images: np.ndarray
    files: np.ndarray
    milliseconds: np.ndarray
    note: str = ""


def compare(
    version: Path,
    model: keras.Model,
    *,
    images: np.ndarray | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Agreement]:
    """A SavedModel in a fresh process against the network it was made of, in this one.

    Args:
        version: The SavedModel's directory, `saved_models/<name>/<version>`.
        model: The network, computing in float32.
        images: uint8 or float in 0-255, [n, image_size, image_size, 3], for the signature `images`.
        files: Images for `serving_default`: the same files go through the one decode path here.
        environment: Variables for the fresh process, beside this one's.

    Returns:
        `images` and `files`, as far as they were given.

    Raises:
        RuntimeError: The artefact does not run; ends with what it printed last.
    """
    metadata = savedmodel.read_metadata(version)
    size, resize = metadata["image_size"], metadata["resize"]
    contents = [decode.read(os.fsencode(file)).numpy() for file in files]
    shown = np.empty((0, size, size, 3), "float32") if images is None else np.asarray(images, "float32")
    answered = ask("savedmodel", version, shown, contents, environment)
    found = {}
    infer = probabilities_of(model)
    if len(shown):
        found["images"] = Agreement.of(batched(infer, shown), answered.images)
    if contents:
        fit = tf.function(
            lambda one: decode.preprocess(one, size, resize), input_signature=[tf.TensorSpec([], tf.string)]
        )
        pixels = np.stack([fit(content) for content in contents]).astype("float32")
        found["files"] = Agreement.of(batched(infer, pixels), answered.files)
    return found


def batched(infer: Callable[[Any], Any], images: np.ndarray) -> np.ndarray:
    """`infer` of float32 images, in the batches of the other process: another size may choose another algorithm."""
    step = run_artefact.BATCH
    return np.concatenate([np.asarray(infer(tf.constant(images[i : i + step]))) for i in range(0, len(images), step)])


def ask(
    form: str,
    path: Path,
    images: np.ndarray,
    contents: Sequence[bytes] = (),
    environment: Mapping[str, str] | None = None,
) -> Answers:
    """Ask an artefact in a fresh process.

    Args:
        form: A key of `run_artefact.FORMATS`.
        path: The artefact.
        images: float32 [n, image_size, image_size, 3], 0-255.
        contents: Encoded images, JPEG or PNG; for a SavedModel.
        environment: Variables for the process, beside this one's.

    Raises:
        RuntimeError: It does not run; ends with what it printed last.
    """
    # A .keras file needs this package's layers, wherever the package was started from; nothing else may need it.
    home = Path(__file__).resolve().parents[2]
    paths = {"PYTHONPATH": os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])}
    with scratch() as folder:
        inputs, outputs = Path(folder, "inputs.npz"), Path(folder, "outputs.npz")
        ends = np.cumsum([len(content) for content in contents], dtype=np.int64)
        np.savez(inputs, images=images, bytes=np.frombuffer(b"".join(contents), np.uint8), ends=ends)
        command = [sys.executable, run_artefact.__file__, form, str(path), str(inputs), str(outputs)]
        variables = {**os.environ, **(paths if form == "keras" else {}), **(environment or {})}
        ran = subprocess.run(command, env=variables, capture_output=True, text=True, errors="replace", check=False)
        if ran.returncode:
            last = "\n".join(ran.stderr.strip().splitlines()[-5:])
            raise RuntimeError(f"{path} does not run in a fresh process:\n{last}")
        with np.load(outputs) as arrays:
            return Answers(arrays["images"], arrays["bytes"], arrays["milliseconds"], str(arrays["note"]))
