"""LiteRT (formerly TensorFlow Lite) files, for phones and small boards."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts import litert_graft, litert_metadata, run_artefact
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.cli.escaping import one_line
from kerascnn.cli.extras import require
from kerascnn.devices.hardware import available_cpus
from kerascnn.layers.conv import finite_padding

Kind = Literal["float32", "float16", "int8"]


def write(
    network: keras.Model,
    path: Path,
    kind: Kind,
    calibration: np.ndarray,
    name: str = "classifier",
    known: Mapping[str, Any] | None = None,
    rules: Callable[[Path], FileRules] | None = None,
) -> None:
    """Converts `network` (`folding.served`) for one image at a time.

    Args:
        network: float32 [1, image_size, image_size, 3] in 0-255 -> `probabilities`, `features`.
        path: The file, which ends in `.tflite`.
        kind: Type of the weights. float16 halves the file and computes in float32 where the hardware has nothing better; int8
            computes in 8 bits, with float32 inputs and outputs.
        calibration: Images whose activations give the ranges of int8, uint8 [n, image_size, image_size, 3].
        name: Name of the model in its metadata.
        known: Metadata of the file, so that it knows its classes wherever it is copied; None for a file without any.
        rules: Returns the rules of further outputs for the converted file, which gets these outputs; None for none.
    """
    options: dict[str, Any] = {}
    if kind != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        options["target_spec"] = {"supported_types": [tf.float16]}
    if kind == "int8":
        options["representative_dataset"] = lambda: _one_by_one(calibration)
    # A fixed batch: the fast kernels of LiteRT (XNNPACK) need static shapes.
    signature = [tf.TensorSpec((1, *network.input_shape[1:]), tf.float32, name="images")]
    with finite_padding():
        network.export(path, format="litert", input_signature=signature, verbose=False, **options)
    if rules is not None and (own := rules(path)).outputs:
        litert_graft.add(path, own)
        known = {**(known or {}), "trust": own.kept()}
    if known is not None:
        litert_metadata.add(path, name, known, json.dumps(dict(known)).encode())


def reader(
    path: Path,
) -> tuple[Callable[[Any, Sequence[str]], dict[str, np.ndarray]], list[str], int, int, dict[str, Any]]:
    """Returns a LiteRT file's function from images and names of outputs to these outputs, and the names of all.

    Then its image size, its number of classes, and the metadata of `write`.

    Raises:
        UserError: The package that runs it is missing.
        Exception: It is not a LiteRT file, or not of this program.
    """
    require("litert", "ai_edge_litert")
    interpreter, note = run_artefact.interpreted(str(path), available_cpus())
    if note:
        print(f"kerascnn: {one_line(str(path))} {one_line(note)}", file=sys.stderr)
    run = interpreter.get_signature_runner()
    side = int(run.get_input_details()["images"]["shape"][1])
    outputs = run.get_output_details()

    def compute(images: Any, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        rows = [run(images=image[None]) for image in np.asarray(images, "float32")]
        return {name: np.concatenate([row[name] for row in rows]) for name in wanted}

    facts = litert_metadata.facts_of(path)
    known = {} if facts is None else json.loads(facts)
    return compute, list(outputs), side, int(outputs["probabilities"]["shape"][1]), known


def _one_by_one(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for image in images:
        yield [image[None].astype("float32")]
