"""One served model: the bytes of images in, results as JSON values out."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn import artefacts
from kerascnn.artefacts import features
from kerascnn.artefacts.further import FURTHER, IN_SET, KNOWN, KNOWN_SCORE
from kerascnn.artefacts.predictor import Predictor
from kerascnn.data import formats
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.serving import class_map
from kerascnn.serving.batching import Batcher, Outputs
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.sources import newest
from kerascnn.serving.tf_serving import FEATURES

_SUFFIXES = {".keras": "Keras", ".onnx": "ONNX", ".tflite": "LiteRT", ".xml": "OpenVINO"}


class ServedModel:
    """A predictor with its queue.

    Args:
        name: Name in addresses.
        path: The artefact, or a folder with versions of it.
        settings: Limits.
        decoders: Threads that decode images.
    """

    def __init__(self, name: str, path: Path, settings: Serve, decoders: ThreadPoolExecutor) -> None:
        self.name, self.source, self.decoders = name, path, decoders
        artefact, self.version = newest(path)
        self.predictor = artefacts.open(artefact)
        self.format = _SUFFIXES.get(artefact.suffix) or ("run" if Run(artefact).config_file.exists() else "SavedModel")
        self.class_names = tuple(map(_printable, self.predictor.class_names))
        limits = settings.max_batch, settings.max_wait / 1000, settings.queue
        self.batcher = Batcher(self._outputs, *limits)
        pooled = _pooled(self.predictor, path)
        self.pooled = (
            None if pooled is None else Batcher(lambda images: {FEATURES: np.asarray(pooled(images))}, *limits)
        )
        self.cam = class_map.offered(self.predictor.network)
        side = self.predictor.image_size
        for count in (settings.max_batch, 1):  # no client waits for what comes with a first call
            blank = self._outputs(np.zeros((count, side, side, 3), "float32"))
        self.example = {name: values[0] for name, values in blank.items()}  # the outputs for a black image
        self.channels = (
            0 if pooled is None else int(np.asarray(pooled(np.zeros((1, side, side, 3), "float32"))).shape[-1])
        )
        self.predictor.decoded(tf.io.encode_png(np.zeros((side, side, 3), "uint8")).numpy())

    def described(self) -> dict[str, Any]:
        """Returns the row of GET /api/models."""
        predictor: Predictor = self.predictor
        size = {"image_size": predictor.image_size, "resize": predictor.resize, "formats": formats.NAMES}
        return {
            "name": self.name,
            "version": self.version,
            "format": self.format,
            "classes": list(self.class_names),
            "input": size,
            "several_labels": predictor.task.several,
            "coverage": self._coverage(),
            "offers": {
                "cam": self.cam,
                "neighbors": False,
                "sets": IN_SET in self.example,
                "known": KNOWN in self.example,
            },
        }

    def _coverage(self) -> float | None:
        """Returns the coverage that was asked of prediction sets, or None where there are none or nothing is known of them."""
        rules = self.predictor.rules
        return rules.sets.rule.coverage if rules is not None and rules.sets is not None else None

    async def rows(self, images: Sequence[bytes | np.ndarray], *, pooled: bool = False) -> list[Outputs | str]:
        """Returns for each image, encoded or as pixels [H, W, 3], its outputs, or why it cannot be used; raises QueueFull.

        Args:
            images: The images.
            pooled: Whether the output is `features` in place of the others; the model has them (`channels` is not 0).
        """
        batcher = self.pooled if pooled and self.pooled is not None else self.batcher
        with batcher.taken(len(images)):
            return await asyncio.gather(*(self._row(image, batcher) for image in images))

    async def results(self, files: list[tuple[str, bytes]], top: int, cam: bool) -> list[dict[str, Any]]:
        """Returns one result of POST /predict per file, in their order; raises QueueFull."""
        with self.batcher.taken(len(files)):
            return await asyncio.gather(*(self._result(name, content, top, cam) for name, content in files))

    async def _row(self, image: bytes | np.ndarray, batcher: Batcher) -> Outputs | str:
        batcher.coming += 1
        try:
            pixels = await asyncio.get_running_loop().run_in_executor(self.decoders, self._pixels, image)
        finally:
            batcher.coming -= 1
        return pixels if isinstance(pixels, str) else await batcher.put(pixels)

    def _pixels(self, image: bytes | np.ndarray) -> np.ndarray | str:
        return self.predictor.decoded(image) if isinstance(image, bytes) else self.predictor.fitted(image)

    async def _result(self, name: str, content: bytes, top: int, cam: bool) -> dict[str, Any]:
        row = await self._row(content, self.batcher)
        result: dict[str, Any] = {"file": name, "top": [], "error": row if isinstance(row, str) else None}
        result |= dict.fromkeys((*FURTHER, "overlay", "neighbors"))
        if isinstance(row, str):
            return result
        probabilities = row["probabilities"]
        order = (-probabilities).argsort(kind="stable").tolist()
        result["top"] = [{"class": self.class_names[c], "probability": float(probabilities[c])} for c in order[:top]]
        result |= {key: row[key].tolist() for key in (KNOWN, KNOWN_SCORE) if key in row}
        if IN_SET in row:
            result[IN_SET] = [self.class_names[c] for c in order if row[IN_SET][c]]
        if cam:
            loop = asyncio.get_running_loop()
            result["overlay"] = await loop.run_in_executor(self.decoders, self._overlay, content, order[0])
        return result

    def _outputs(self, images: np.ndarray) -> Outputs:
        """Returns the artefact's outputs; with several labels per image also those at or above their thresholds."""
        outputs = self.predictor.outputs(images)
        if self.predictor.task.several:
            thresholds = self.predictor.thresholds or Thresholds.half(len(self.class_names))
            outputs["labels"] = outputs["probabilities"] >= np.asarray(thresholds.each, "float32")
        return outputs

    def _overlay(self, content: bytes, index: int) -> Any:
        assert self.predictor.network is not None
        return class_map.class_map(
            self.predictor.network, content, index, self.predictor.image_size, self.predictor.resize
        )


def _pooled(predictor: Predictor, path: Path) -> Callable[[Any], Any] | None:
    """Returns a function from images to features, or None for a model without them."""
    if predictor.pooled is not None:
        return predictor.pooled
    try:
        return features.function(predictor, path)
    except UserError:  # an ensemble, or a network without a layer called pool
        return None


def _printable(name: str) -> str:
    """Returns the name of a class as JSON can hold it: a folder's name need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
