"""An artefact against its network: it is reloaded in a fresh process and asked the same."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import run_artefact, savedmodel
from kerascnn.artefacts.fresh import Answers, FreshProcess
from kerascnn.artefacts.predictor import probabilities_of
from kerascnn.data import decode


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
    with FreshProcess("savedmodel", environment) as fresh:
        answered = fresh.ask("savedmodel", version, shown, contents)
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


def ask(form: str, path: Path, images: np.ndarray, contents: Sequence[bytes] = ()) -> Answers:
    """Ask one artefact in a fresh process of its own; see `FreshProcess.ask`."""
    with FreshProcess(form) as fresh:
        return fresh.ask(form, path, images, contents)


def batched(infer: Callable[[Any], Any], images: np.ndarray) -> np.ndarray:
    """`infer` of float32 images, in the batches of the other process: another size may choose another algorithm."""
    step = run_artefact.BATCH
    return np.concatenate([np.asarray(infer(tf.constant(images[i : i + step]))) for i in range(0, len(images), step)])
