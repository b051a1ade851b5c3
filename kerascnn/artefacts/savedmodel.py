"""Exports a trained network as a SavedModel that serves encoded images, with TensorFlow Serving's layout and TensorFlow's own
ops.

The contract, which further formats extend:

    serving_default   image_bytes  string  [batch]                one encoded JPEG or PNG each
    images            images       float32 [batch, H, W, 3]       RGB, 0-255; H = W = image_size is used unchanged,
                                                                  other sizes are resized like a file
    features          images       as for `images`

    the first two     probabilities  float32 [batch, classes]     in the order of the class names; they sum to 1, but for
                                                                  networks of several labels per image, which also have
                      labels         bool [batch, classes]        the probabilities at or above the thresholds
    as well           classes        string  [batch, min(5, classes)]   names, the most probable first
                      scores         float32 [batch, min(5, classes)]   their probabilities
    of a run with thresholds (`file_rules`)
                      in_set         bool [batch, classes]         the classes in the prediction set
    of a run that was asked about images of unknown classes
                      known          bool [batch]                  whether the image resembles the training images
                      known_score    float32 [batch]               the largest logit, without the temperature
    the third         features       float32 [batch, channels]    the layer `pool`: for search and clustering

    assets/classes.txt     the class names, one per line, in order (a line break within a name as \\n, a backslash as \\\\)
    assets/metadata.json   class_names, image_size, resize, versions, and what the caller adds; task and thresholds where
                           images have several labels

A signature takes one type, and a server turns JSON's numbers into it. In Python the loaded object may be called with either:
`tf.saved_model.load(path)(images)` acts as `images` for uint8 and for float32.

`serving_default` decodes and resizes by the decode path (`kerascnn.data.decode`) inside the graph. An image that is not JPEG or
PNG, is damaged, or has more than `MAX_PIXELS` pixels (by its header, before decoding) raises InvalidArgumentError for the whole
batch, which is a 400 of a server: send untrusted images one by one. Orientation in text chunks of a PNG is ignored here, while
`predict` respects it. Normalizations are folded into convolutions (`folding`).
"""

import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerascnn.artefacts.folding import folded, served
from kerascnn.artefacts.further import FURTHER
from kerascnn.artefacts.versions import aside, publish
from kerascnn.data import decode
from kerascnn.runs import described
from kerascnn.runs.files import read_json
from kerascnn.runs.scratch import in_text, scratch
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import SINGLE, Task

TOP = 5
ANY = (None, None, None, 3)  # a batch of images of any size
CLASSES_FILE, METADATA_FILE = "classes.txt", "metadata.json"


def export(
    model: keras.Model,
    path: Path,
    *,
    class_names: Sequence[str],
    image_size: int,
    resize: decode.Mode,
    metadata: Mapping[str, Any] | None = None,
    task: Task = SINGLE,
    thresholds: Thresholds | None = None,
) -> Path:
    """Writes `model` as the next version below `path`; returns the version's directory.

    It is written aside, synced and renamed, so that a server that watches `path` never sees a part of it.

    Args:
        model: A network of `models.build` (pixels 0-255 in, logits out) that computes in float32; for a model that was
            trained in another policy, its float32 twin.
        path: `saved_models/<name>`; it need not exist.
        class_names: One name per logit.
        image_size: Height and width in training.
        resize: crop, pad or squash.
        metadata: Further JSON values for metadata.json.
        task: What the network answers.
        thresholds: With several labels per image the probabilities from which they are predicted; None for 0.5.

    Raises:
        ValueError: The model does not compute in float32, or has another number of classes.
        RuntimeError: Called in a strategy's scope, whose devices would be stored in the graph.
    """
    described = describe(
        class_names, image_size, resize, {**(metadata or {}), **of_labels(task, thresholds, class_names)}
    )
    check(model, class_names)
    with aside(path) as folder:
        write_served(
            served(folded(model), task),
            folder,
            class_names=class_names,
            image_size=image_size,
            resize=resize,
            assets=described,
            thresholds=(thresholds or Thresholds.half(len(class_names))) if task.several else None,
        )
        return publish(folder, path)


def of_labels(task: Task, thresholds: Thresholds | None, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns the facts of an artefact about several labels per image; none with one label each."""
    if not task.several:
        return {}
    return {"task": task.name, "thresholds": (thresholds or Thresholds.half(len(class_names))).kept()}


def describe(
    class_names: Sequence[str], image_size: int, resize: decode.Mode, metadata: Mapping[str, Any]
) -> dict[str, bytes]:
    """Returns the files in `assets/` that describe an artefact: name -> content."""
    lines = [name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for name in class_names]
    known = {
        **metadata,
        "class_names": list(class_names),
        "image_size": image_size,
        "resize": resize,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()},
    }
    return {
        CLASSES_FILE: b"".join(_as_bytes(line) + b"\n" for line in lines),
        METADATA_FILE: (json.dumps(known, indent=2, allow_nan=False) + "\n").encode(),
    }


def write_served(
    network: keras.Model,
    folder: Path,
    *,
    class_names: Sequence[str],
    image_size: int,
    resize: decode.Mode,
    assets: Mapping[str, bytes],
    thresholds: Thresholds | None = None,
) -> None:
    """Writes the SavedModel into `folder`: `saved_model.pb`, `variables/`, and `assets` (name -> content).

    Args:
        network: A network of `folding.served`.
        folder: The directory of the version.
        class_names, image_size, resize: As in `export`.
        assets: Files beside it.
        thresholds: With several labels per image the probabilities from which they are predicted.
    """
    with scratch() as place:
        files = []
        for name, content in assets.items():
            files.append(Path(place, name))
            files[-1].write_bytes(content)
        names = [_as_bytes(name) for name in class_names]
        saved = _Served(network, names, image_size, resize, files, thresholds)
        with in_text(folder) as named:
            tf.saved_model.save(
                saved,
                str(named),
                signatures=saved.endpoints(),
                # Gradients are for training, which an exported model is not for.
                options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
            )


def check(model: keras.Model, class_names: Sequence[str]) -> None:
    """Raises the errors of `export` for a network that cannot be exported."""
    if tf.distribute.has_strategy():
        raise RuntimeError("export runs outside of every strategy's scope: the graph must name no devices")
    lower = {layer.name: layer.compute_dtype for layer in model.layers if layer.compute_dtype != "float32"}
    if lower:
        name, dtype = next(iter(lower.items()))
        raise ValueError(f"expected a model that computes in float32 (models.float32_twin), but {name} uses {dtype}")
    if model.output_shape[-1] != len(class_names):
        raise ValueError(f"expected {model.output_shape[-1]} class names, one per logit, got {len(class_names)}")


def read_metadata(version: Path) -> dict[str, Any]:
    """Returns the content of metadata.json in a version's directory.

    Raises:
        UserError: It is damaged.
        OSError: It is not there.
    """
    path = version / "assets" / METADATA_FILE
    return described(read_json(path), path)


def read_classes(path: Path) -> list[str]:
    """Returns the class names in a `classes.txt`, or in any file with one name per line.

    Raises:
        OSError: The file cannot be read.
    """
    lines = path.read_bytes().decode("utf-8-sig", "surrogateescape").rstrip("\r\n").split("\n")
    marks = {"n": "\n", "r": "\r", "\\": "\\"}
    return [re.sub(r"\\([nr\\])", lambda found: marks[found[1]], line.removesuffix("\r")) for line in lines]


class _Served(tf.Module):
    """The saved object: used weights, assets and functions, without the Keras model around them."""

    def __init__(
        self,
        network: keras.Model,
        class_names: Sequence[bytes],
        image_size: int,
        resize: decode.Mode,
        assets: Sequence[Path],
        thresholds: Thresholds | None,
    ) -> None:
        super().__init__(name="kerascnn")
        self._names, self._size, self._resize = list(class_names), image_size, resize
        self._thresholds = None if thresholds is None else tf.constant(thresholds.each, tf.float32)
        self._assets = [tf.saved_model.Asset(str(asset)) for asset in assets]
        shape = (image_size, image_size, 3)
        # Every signature calls the graph itself: a tf.function would be traced, and saved, twice.
        compute = _plain(lambda x: network(x, training=False), tf.TensorSpec([None, *shape], tf.float32))
        self._network = compute.get_concrete_function()
        self._weights = list(self._network.variables)

        def from_bytes(image_bytes) -> dict[str, Any]:
            pixels = tf.map_fn(
                lambda one: decode.preprocess(one, image_size, resize),
                image_bytes,
                fn_output_signature=tf.TensorSpec(shape, tf.uint8),
            )
            return self._answer(pixels)

        def features(images) -> dict[str, Any]:
            return {"features": self._network(self._fitted(images))["features"]}

        self.from_bytes = _plain(from_bytes, tf.TensorSpec([None], tf.string, "image_bytes"))
        self.features = _plain(features, tf.TensorSpec(ANY, tf.float32, "images"))

    def endpoints(self) -> dict[str, Any]:
        """Returns the signatures by name."""
        self.__call__.get_concrete_function(tf.TensorSpec(ANY, tf.uint8, "images"))
        from_images = self.__call__.get_concrete_function(tf.TensorSpec(ANY, tf.float32, "images"))
        return {"serving_default": self.from_bytes, "images": from_images, "features": self.features}

    @tf.function(autograph=False, jit_compile=False)
    def __call__(self, images):
        return self._answer(self._fitted(images))

    def _fitted(self, images):
        """Returns float32 [batch, size, size, 3] for images of any size."""
        fits = tf.reduce_all(tf.equal(tf.shape(images)[1:3], self._size))
        return tf.cond(
            fits,
            lambda: tf.cast(images, tf.float32),
            lambda: tf.cast(decode.resize(images, self._size, self._resize), tf.float32),
        )

    def _answer(self, images) -> dict[str, Any]:
        fitted = tf.ensure_shape(tf.cast(images, tf.float32), [None, self._size, self._size, 3])
        outputs = self._network(fitted)
        probabilities = outputs["probabilities"]
        scores, places = tf.math.top_k(probabilities, min(TOP, len(self._names)))
        answer = {"probabilities": probabilities, "classes": tf.gather(self._names, places), "scores": scores}
        if self._thresholds is not None:
            answer["labels"] = probabilities >= self._thresholds
        return answer | {name: outputs[name] for name in FURTHER if name in outputs}


def _plain(function, spec: tf.TensorSpec):
    return tf.function(function, input_signature=[spec], autograph=False, jit_compile=False)


def _as_bytes(name: str) -> bytes:
    """Encodes a class name, which need not be UTF-8, since it is a folder's name."""
    return name.encode("utf-8", "surrogateescape")
