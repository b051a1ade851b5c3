"""An export against its Keras model in a tf.function, interleaved: python experiments/exports/latency.py ARCH SIZE > FILE.json.

Fresh weights and 1,000 classes; both get the same float32 images of the network's size. SavedModel: the signature `images` as
a server calls it, with its resizing, sorting and class names. One JSON object on standard output.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from kerascnn import models, timing
from kerascnn.artefacts import savedmodel

BATCHES = {1: (7, 1.0), 32: (5, 3.0)}  # rounds, seconds per turn


def main(arch: str, size: int) -> None:
    """Measure and print."""
    model = models.build(arch, (size, size, 3), 1000)
    keras_model = tf.function(lambda images: tf.nn.softmax(model(images, training=False)), jit_compile=False)
    with tempfile.TemporaryDirectory() as folder:
        names = [str(number) for number in range(1000)]
        version = savedmodel.export(model, Path(folder), class_names=names, image_size=size, resize="crop")
        loaded = tf.saved_model.load(str(version))
        found = {}
        for batch, (rounds, seconds) in BATCHES.items():
            images = tf.constant(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)), tf.float32)
            calls = {
                "keras": lambda images=images: keras_model(images).numpy(),
                "export": lambda images=images: loaded.signatures["images"](images=images)["probabilities"].numpy(),
            }
            difference = float(np.abs(calls["keras"]() - calls["export"]()).max())
            times = timing.interleaved(calls, rounds, seconds)
            found[batch] = {"seconds": times, "difference": difference}
    print(json.dumps({"arch": arch, "size": size, "batches": found, "tensorflow": tf.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
