"""Compares an artefact, reloaded in a new process, with its network."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import run_artefact, savedmodel
from kerascnn.artefacts.fresh import FreshProcess, Outputs
from kerascnn.artefacts.opening import Given, probabilities_of
from kerascnn.data import decode
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import SINGLE


class Agreement(NamedTuple):
    """The agreement of two arrays of probabilities.

    Attributes:
        n: Number of images.
        top1: Share of images with the same most probable class; of labels on the same side of their thresholds where images
            have several.
        max_difference: Largest difference of a probability.
        mean_difference: Mean difference over all images and classes.
    """

    n: int
    top1: float
    max_difference: float
    mean_difference: float

    @classmethod
    def of(cls, expected: np.ndarray, got: np.ndarray, thresholds: Thresholds | None = None) -> "Agreement":
        """Compares two arrays [n, classes], with `thresholds` those of labels. NaN agrees with nothing.

        Raises:
            ValueError: They have different shapes, or n is 0.
        """
        if expected.shape != got.shape or not len(expected):
            raise ValueError(f"expected the same probabilities, at least one row, got {expected.shape} and {got.shape}")
        difference = np.abs(expected.astype("float64") - got)
        difference[~np.isfinite(difference)] = np.inf
        same = (expected.argmax(1) == got.argmax(1)) & np.isfinite(got).all(1)
        if thresholds is not None:
            same = (thresholds.decide(expected) == thresholds.decide(got)) & np.isfinite(got)
        return cls(len(expected), float(same.mean()), float(difference.max()), float(difference.mean()))


def compare(
    version: Path,
    model: keras.Model,
    *,
    images: np.ndarray | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Agreement]:
    """Compares a SavedModel in a new process with its network in this process.

    Args:
        version: The SavedModel's directory, `saved_models/<name>/<version>`.
        model: The network, which computes in float32.
        images: uint8 or float in 0-255, [n, image_size, image_size, 3], for the signature `images`.
        files: Images for `serving_default`; they go through the decode path here.
        environment: Environment variables of the new process, in addition to those of this one.

    Returns:
        `images` and `files`, as far as given.

    Raises:
        RuntimeError: The artefact does not run; the message ends with its last output.
    """
    metadata = savedmodel.read_metadata(version)
    size, resize = metadata["image_size"], metadata["resize"]
    contents = [decode.read(os.fsencode(file)).numpy() for file in files]
    shown = np.empty((0, size, size, 3), "float32") if images is None else np.asarray(images, "float32")
    with FreshProcess("savedmodel", environment) as fresh:
        output = fresh.ask("savedmodel", version, shown, contents)
    found = {}
    known = Given.of(metadata)
    infer = probabilities_of(model, known.task or SINGLE)
    if len(shown):
        found["images"] = Agreement.of(batched(infer, shown), output.images, known.thresholds)
    if contents:
        fit = tf.function(
            lambda one: decode.preprocess(one, size, resize), input_signature=[tf.TensorSpec([], tf.string)]
        )
        pixels = np.stack([fit(content) for content in contents]).astype("float32")
        found["files"] = Agreement.of(batched(infer, pixels), output.files, known.thresholds)
    return found


def ask(form: str, path: Path, images: np.ndarray, contents: Sequence[bytes] = ()) -> Outputs:
    """Runs one artefact in a new process; see `FreshProcess.ask`."""
    with FreshProcess(form) as fresh:
        return fresh.ask(form, path, images, contents)


def batched(infer: Callable[[Any], Any], images: np.ndarray) -> np.ndarray:
    """Applies `infer` to float32 images in the batches of the other process: another batch size may select another algorithm."""
    step = run_artefact.BATCH
    return np.concatenate([np.asarray(infer(tf.constant(images[i : i + step]))) for i in range(0, len(images), step)])
