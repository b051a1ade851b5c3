"""An export against its Keras model in a tf.function, interleaved: python -m experiments.exports.latency ARCH SIZE > FILE.json.

A third argument names the ways to measure, with commas (default: stock,keras,export,onnx,litert), a fourth the seconds a round.

Fresh weights and 1,000 classes; both get the same float32 images of the network's size. SavedModel: the signature `images` as
a server calls it, with its resizing, sorting and class names. onnx and litert: the exported files of the same network in
onnxruntime and LiteRT, called from Python. One JSON object on standard output.
"""

import functools
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import kerascnn  # noqa: F401  first: it chooses TensorFlow's CPU kernels

# isort: split
import keras
import tensorflow as tf

from kerascnn import models
from kerascnn.artefacts import folding, litert, onnx, savedmodel
from kerascnn.devices import timing
from kerascnn.layers.paths import stock_paths

BATCHES = {1: (7, 1.0), 32: (5, 2.5)}  # rounds, seconds per turn


def main(arch: str, size: int, ways: str = "stock,keras,export,onnx,litert", seconds: str = "") -> None:
    """Measure and print."""
    model = models.build(arch, (size, size, 3), 1000)
    with stock_paths():  # as Keras' own layers compute it, batch normalization above all
        stock = compiled(models.float32_twin(model), size)
    ours = compiled(model, size)
    with tempfile.TemporaryDirectory() as folder:
        names = [str(number) for number in range(1000)]
        version = savedmodel.export(model, Path(folder), class_names=names, image_size=size, resize="crop")
        loaded = tf.saved_model.load(str(version))
        network, readers = folding.served(folding.folded(model)), {}
        if "onnx" in ways:
            metadata = {"class_names": names, "image_size": size, "resize": "crop"}
            onnx.write(network, Path(folder) / "model.onnx", metadata)
            readers["onnx"] = functools.partial(onnx.reader(Path(folder) / "model.onnx")[0], wanted=["probabilities"])
        if "litert" in ways:
            litert.write(network, Path(folder) / "model.tflite", "float32", np.zeros((0, size, size, 3), "uint8"))
            readers["litert"] = functools.partial(
                litert.reader(Path(folder) / "model.tflite")[0], wanted=["probabilities"]
            )
        found = {}
        for batch, (rounds, usual) in BATCHES.items():
            images = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)), tf.float32)
            calls = {
                "stock": lambda images=images: stock(images).numpy(),
                "keras": lambda images=images: ours(images).numpy(),
                "export": lambda images=images: loaded.signatures["images"](images=images)["probabilities"].numpy(),
                **{name: lambda images=images, read=read: read(images) for name, read in readers.items()},
            }
            asked = {name: call for name, call in calls.items() if name in ways.split(",")}
            found[batch] = {"seconds": timing.interleaved(asked, rounds, float(seconds or usual))}
    print(json.dumps({"arch": arch, "size": size, "batches": found, "tensorflow": tf.__version__}))


def compiled(model: keras.Model, size: int) -> Callable[[Any], Any]:
    """The Keras model as a user would call it fast: in a tf.function, traced here."""
    infer = tf.function(
        lambda images: tf.nn.softmax(model(images, training=False)),
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
        jit_compile=False,
    )
    infer.get_concrete_function()
    return infer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
