"""ONNX files, for onnxruntime and other readers of ONNX."""

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts.further import FURTHER
from kerascnn.cli.extras import require
from kerascnn.devices.hardware import available_cpus

OPSET = 18  # the newest of tf2onnx 1.17; onnxruntime 1.14 (2023) and later run it
KNOWN = ("class_names", "image_size", "resize")
OPTIONAL = ("task", "thresholds", "trust")  # of several labels per image; of further outputs


def write(network: keras.Model, path: Path, known: Mapping[str, Any]) -> None:
    """Converts `network` (`folding.served`): `images` float32 [batch, image_size, image_size, 3] -> its outputs by name.

    Args:
        network: Pixels 0-255 -> `probabilities`, `features`, and perhaps further outputs, which become the last ones.
        path: The file.
        known: Metadata of the file, each value as JSON, so that the file knows its classes wherever it is copied.
    """
    require("onnx", "tf2onnx", "onnx", "onnxruntime")
    import onnx

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="images")]
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # Keras looks up a name that numpy 2 lacks, to restore it for tf2onnx.
        warnings.simplefilter("ignore", FutureWarning)
        network.export(path, format="onnx", input_signature=signature, opset_version=OPSET, verbose=False)
    model = onnx.load(path)
    outputs = sorted(model.graph.output, key=_place)  # tf2onnx has them by name
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in known.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _place(output: Any) -> int:
    """Returns the place of an output among the further ones, 0 for every other."""
    return FURTHER.index(output.name) + 1 if output.name in FURTHER else 0


def reader(
    path: Path,
) -> tuple[Callable[[Any, Sequence[str]], dict[str, np.ndarray]], list[str], int, int, dict[str, Any]]:
    """Returns an ONNX file's function from images and names of outputs to these outputs, and the names of all.

    Then its image size, its number of classes, and the metadata of `write`.

    Raises:
        UserError: The package that runs it is missing.
        Exception: It is not an ONNX file, or not of this program (onnxruntime has no class of its own for that).
    """
    require("onnx", "onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    side = {value.name: value.shape for value in session.get_inputs()}["images"][1]
    outputs = {value.name: value.shape for value in session.get_outputs()}
    props = session.get_modelmeta().custom_metadata_map
    told = [name for name in (*KNOWN, *OPTIONAL) if name in props]
    known = {name: json.loads(props[name]) for name in told} if props.keys() >= set(KNOWN) else {}

    def compute(images: Any, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        found = session.run(list(wanted), {"images": np.asarray(images, "float32")})
        return dict(zip(wanted, found, strict=True))

    return compute, list(outputs), side, outputs["probabilities"][1], known
