"""OpenVINO files, for Intel's CPUs, GPUs and NPUs and for OpenVINO Model Server: `.xml` with its weights in a `.bin`."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.artefacts.onnx import KNOWN, OPTIONAL
from kerascnn.cli.extras import require
from kerascnn.compat.tensorflow import with_constants
from kerascnn.devices.hardware import available_cpus
from kerascnn.runs.scratch import scratch


def write(network: keras.Model, path: Path, known: Mapping[str, Any]) -> None:
    """Converts `network` (`folding.served`): `images` float32 [batch, image_size, image_size, 3] -> its outputs by name.

    Args:
        network: Pixels 0-255 -> `probabilities`, `features`, and perhaps further outputs.
        path: The `.xml` file; its `.bin` is written beside it.
        known: Metadata of the file, each value as JSON. The class names also stand where OpenVINO's Model API looks for them.
    """
    require("openvino", "openvino")
    import openvino

    # OpenVINO reads a frozen graph by itself; its converter of functions, which comes with it, reports its use to Intel.
    with scratch() as folder:
        graph = folder / "frozen.pb"
        graph.write_bytes(_frozen(network))
        model = openvino.Core().read_model(graph)
    model.inputs[0].tensor.set_names({"images"})
    for output in model.outputs:  # each has the names of all operations that only pass its tensor on
        output.tensor.set_names({name for name in network.output if f"{name}:0" in output.get_names()})
    for name, value in known.items():
        model.set_rt_info(json.dumps(value), ["kerascnn", name])
    model.set_rt_info("Classification", ["model_info", "model_type"])
    # The Model API separates labels by spaces.
    model.set_rt_info(" ".join("_".join(name.split()) for name in known["class_names"]), ["model_info", "labels"])
    openvino.save_model(model, path, compress_to_fp16=False)


def _frozen(network: keras.Model) -> bytes:
    """Returns the graph of a network with its weights as constants, whose outputs have their names."""
    spec = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="images")

    def named(images):
        outputs = network(images, training=False)
        return [tf.identity(output, name=name) for name, output in outputs.items()]

    traced = tf.function(named, input_signature=[spec], autograph=False).get_concrete_function()
    return with_constants(traced).SerializeToString()


def reader(
    path: Path,
) -> tuple[Callable[[Any, Sequence[str]], dict[str, np.ndarray]], list[str], int, int, dict[str, Any]]:
    """Returns an OpenVINO file's function from images and names of outputs to these outputs, and the names of all.

    Then its image size, its number of classes, and the metadata of `write`.

    Raises:
        UserError: The package that runs it is missing.
        Exception: It is not an OpenVINO file, or not of this program.
    """
    require("openvino", "openvino")
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    # Some CPUs and GPUs would compute in 16 bits.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": available_cpus()}
    compiled = core.compile_model(model, "CPU", exact)
    side = int(compiled.input("images").partial_shape[1].get_length())
    classes = int(compiled.output("probabilities").partial_shape[1].get_length())
    told = [name for name in (*KNOWN, *OPTIONAL) if model.has_rt_info(["kerascnn", name])]
    known = {name: json.loads(model.get_rt_info(["kerascnn", name]).value) for name in told}

    def compute(images: Any, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        found = compiled(np.asarray(images, "float32"))
        return {name: found[name].copy() for name in wanted}

    names = [output.get_any_name() for output in compiled.outputs]
    return compute, names, side, classes, known if known.keys() >= set(KNOWN) else {}
