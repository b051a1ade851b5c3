"""A trained network as a SavedModel that serves encoded images: TensorFlow Serving's layout, TensorFlow's own ops only.

The contract, which further formats and proofs extend and never replace:

    serving_default   image_bytes  string  [batch]                one encoded JPEG or PNG each
    images            images       float32 [batch, H, W, 3]       RGB, 0-255; H = W = image_size is taken as it is,
                                                                  any other size is resized as a file would be

    both answer       probabilities  float32 [batch, classes]     they sum to 1, in the order of the class names
                      classes        string  [batch, min(5, classes)]   names, the most probable first
                      scores         float32 [batch, min(5, classes)]   their probabilities

    assets/classes.txt     the class names, one a line, in order (a line break within a name as \\n, a backslash as \\\\)
    assets/metadata.json   class_names, image_size, resize, versions, and what the caller adds

`serving_default` decodes and resizes by the one decode path (`kerascnn.data.decode`), inside the graph. A batch with something
that is not a JPEG or PNG, damaged, or of more than `MAX_PIXELS` pixels (told by its header, before anything is decoded) is an
InvalidArgumentError for the whole batch, in a server a 400: send what you don't trust one by one. Orientation that a PNG keeps
in text chunks only is not seen here; `predict` sees it.
"""

import json
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kerascnn.data import decode
from kerascnn.files import sync

TOP = 5
CLASSES_FILE, METADATA_FILE = "classes.txt", "metadata.json"


def export(
    model: keras.Model,
    path: Path,
    *,
    class_names: Sequence[str],
    image_size: int,
    resize: decode.Mode,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write `model` as the next version below `path`; returns the version's directory.

    It is written aside, synced and renamed: a server that watches `path` never sees half of it.

    Args:
        model: `models.build`'s contract (pixels 0-255 in, logits out), computing in float32: of a model that was trained in
            another policy the float32 twin.
        path: `saved_models/<name>`; need not exist.
        class_names: One per logit.
        image_size: Height and width that the model was trained on.
        resize: crop, pad or squash.
        metadata: What else metadata.json shall say; JSON values.

    Raises:
        ValueError: The model does not compute in float32, or has another number of classes.
        RuntimeError: Called inside a strategy's scope, which would leave its devices in the graph.
    """
    _check(model, class_names)
    known = {
        **(metadata or {}),
        "class_names": list(class_names),
        "image_size": image_size,
        "resize": resize,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "python": platform.python_version()},
    }
    path.mkdir(parents=True, exist_ok=True)
    aside = path / f".aside-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            assets = _write_assets(Path(folder), class_names, known)
            served = _Served(model, [_as_bytes(name) for name in class_names], image_size, resize, assets)
            tf.saved_model.save(
                served,
                str(aside),
                signatures={"serving_default": served.from_bytes, "images": served.from_images},
                # Gradients are for training; nobody trains a served model on.
                options=tf.saved_model.SaveOptions(experimental_custom_gradients=False),
            )
        return _publish(aside, path)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def next_version(path: Path) -> int:
    """One more than the highest version below `path`; 1 where there is none."""
    return max(versions(path), default=0) + 1


def versions(path: Path) -> list[int]:
    """The versions below `path`, ascending."""
    return sorted(int(entry.name) for entry in path.iterdir() if entry.name.isdecimal()) if path.is_dir() else []


def read_metadata(version: Path) -> dict[str, Any]:
    """What metadata.json of a version's directory says."""
    return json.loads((version / "assets" / METADATA_FILE).read_text(encoding="utf-8"))


def read_classes(path: Path) -> list[str]:
    """The class names in a `classes.txt`, or in any file with one name a line.

    Raises:
        OSError: The file cannot be read.
    """
    lines = path.read_bytes().decode("utf-8-sig", "surrogateescape").rstrip("\r\n").split("\n")
    marks = {"n": "\n", "r": "\r", "\\": "\\"}
    return [re.sub(r"\\([nr\\])", lambda found: marks[found[1]], line.removesuffix("\r")) for line in lines]


class _Served(tf.Module):
    """What is saved: the weights, the assets and the two functions, not the Keras model around them."""

    def __init__(
        self,
        model: keras.Model,
        class_names: Sequence[bytes],
        image_size: int,
        resize: decode.Mode,
        assets: Sequence[Path],
    ) -> None:
        super().__init__(name="kerascnn")
        self._weights = [variable.value for variable in model.variables]
        self._assets = [tf.saved_model.Asset(str(asset)) for asset in assets]
        shape = (image_size, image_size, 3)

        def answer(images) -> dict[str, Any]:
            logits = model(tf.ensure_shape(images, [None, *shape]), training=False)
            probabilities = tf.nn.softmax(logits)
            scores, places = tf.math.top_k(probabilities, min(TOP, len(class_names)))
            return {"probabilities": probabilities, "classes": tf.gather(list(class_names), places), "scores": scores}

        def from_bytes(image_bytes) -> dict[str, Any]:
            pixels = tf.map_fn(
                lambda one: decode.preprocess(one, image_size, resize),
                image_bytes,
                fn_output_signature=tf.TensorSpec(shape, tf.uint8),
            )
            return answer(tf.cast(pixels, tf.float32))

        def from_images(images) -> dict[str, Any]:
            fits = tf.reduce_all(tf.equal(tf.shape(images)[1:3], image_size))
            return answer(
                tf.cond(fits, lambda: images, lambda: tf.cast(decode.resize(images, image_size, resize), tf.float32))
            )

        self.from_bytes = _plain(from_bytes, tf.TensorSpec([None], tf.string, "image_bytes"))
        self.from_images = _plain(from_images, tf.TensorSpec([None, None, None, 3], tf.float32, "images"))


def _plain(function, spec: tf.TensorSpec):
    return tf.function(function, input_signature=[spec], autograph=False, jit_compile=False)


def _check(model: keras.Model, class_names: Sequence[str]) -> None:
    if tf.distribute.has_strategy():
        raise RuntimeError("export runs outside of every strategy's scope: the graph must name no devices")
    lower = {layer.name: layer.compute_dtype for layer in model.layers if layer.compute_dtype != "float32"}
    if lower:
        name, dtype = next(iter(lower.items()))
        raise ValueError(f"expected a model that computes in float32 (models.float32_twin), but {name} uses {dtype}")
    if model.output_shape[-1] != len(class_names):
        raise ValueError(f"expected {model.output_shape[-1]} class names, one per logit, got {len(class_names)}")


def _write_assets(folder: Path, class_names: Sequence[str], metadata: Mapping[str, Any]) -> list[Path]:
    lines = [name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") for name in class_names]
    classes, described = folder / CLASSES_FILE, folder / METADATA_FILE
    classes.write_bytes(b"".join(_as_bytes(line) + b"\n" for line in lines))
    described.write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return [classes, described]


def _as_bytes(name: str) -> bytes:
    """A class is a folder's name, which need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def _publish(aside: Path, path: Path) -> Path:
    """Sync what lies `aside` and give it the next free version's name."""
    for entry in sorted(aside.rglob("*")):
        sync(entry)
    sync(aside)
    while True:
        version = path / str(next_version(path))
        try:
            os.rename(aside, version)  # noqa: PTH104 - Path.rename would be the same; an existing version makes it fail
        except OSError:
            if not version.exists():
                raise
            continue
        sync(path)
        return version
