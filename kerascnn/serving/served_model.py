"""One served model: the bytes of images in, results as JSON values out."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn import artefacts
from kerascnn.artefacts.predictor import Predictor
from kerascnn.artefacts.versions import versions
from kerascnn.data import formats
from kerascnn.errors import UserError
from kerascnn.runs import Run, finding
from kerascnn.serving import class_map
from kerascnn.serving.batching import Batcher
from kerascnn.serving.serve_config import Serve

_SUFFIXES = {".keras": "Keras", ".onnx": "ONNX", ".tflite": "LiteRT"}


class ServedModel:
    """A predictor with its queue.

    Args:
        name: Name in addresses.
        path: The artefact.
        settings: Limits.
        decoders: Threads that decode images.
    """

    def __init__(self, name: str, path: Path, settings: Serve, decoders: ThreadPoolExecutor) -> None:
        self.name, self.predictor, self.decoders = name, artefacts.open(path), decoders
        numbers = versions(path)
        self.version = path.name if path.name.isdecimal() else str(numbers[-1]) if numbers else "1"
        self.format = _SUFFIXES.get(path.suffix) or ("run" if Run(path).config_file.exists() else "SavedModel")
        self.batcher = Batcher(self.predictor.infer, settings.max_batch, settings.max_wait / 1000, settings.queue)
        self.cam = class_map.offered(self.predictor.network)
        side = self.predictor.image_size
        for count in {1, settings.max_batch}:  # no client waits for what comes with a first call
            self.predictor.infer(np.zeros((count, side, side, 3), "float32"))
        self.predictor.decoded(tf.io.encode_png(np.zeros((side, side, 3), "uint8")).numpy())

    def described(self) -> dict[str, Any]:
        """Returns the row of GET /api/models."""
        predictor: Predictor = self.predictor
        size = {"image_size": predictor.image_size, "resize": predictor.resize, "formats": formats.NAMES}
        return {
            "name": self.name,
            "version": self.version,
            "format": self.format,
            "classes": list(predictor.class_names),
            "input": size,
            "several_labels": predictor.task.several,
            "offers": {"cam": self.cam, "neighbors": False, "sets": False, "known": False},
        }

    async def results(self, files: list[tuple[str, bytes]], top: int, cam: bool) -> list[dict[str, Any]]:
        """Returns one result per file, in their order; raises QueueFull."""
        self.batcher.take(len(files))
        try:
            return await asyncio.gather(*(self._result(name, content, top, cam) for name, content in files))
        finally:
            self.batcher.release(len(files))

    async def _result(self, name: str, content: bytes, top: int, cam: bool) -> dict[str, Any]:
        empty: dict[str, Any] = {"in_set": None, "known": None, "overlay": None, "neighbors": None}
        loop = asyncio.get_running_loop()
        self.batcher.coming += 1
        try:
            pixels = await loop.run_in_executor(self.decoders, self.predictor.decoded, content)
        finally:
            self.batcher.coming -= 1
        if isinstance(pixels, str):
            return {"file": name, "top": [], "error": pixels, **empty}
        probabilities = await self.batcher.put(pixels)
        order = (-probabilities).argsort(kind="stable")[:top].tolist()
        shown = [{"class": self.predictor.class_names[c], "probability": float(probabilities[c])} for c in order]
        if cam:
            empty["overlay"] = await loop.run_in_executor(self.decoders, self._overlay, content, order[0])
        return {"file": name, "top": shown, "error": None, **empty}

    def _overlay(self, content: bytes, index: int) -> Any:
        assert self.predictor.network is not None
        return class_map.class_map(
            self.predictor.network, content, index, self.predictor.image_size, self.predictor.resize
        )


def named(words: tuple[str, ...]) -> dict[str, Path]:
    """Returns name -> path for the artefacts of a command line.

    Raises:
        UserError: There is none, it does not exist, or two have one name.
    """
    found: dict[str, Path] = {}
    for word in words:
        chosen = None if Path(word).exists() else re.fullmatch(r"([\w.-]+)=(.+)", word)
        path = Path(finding.find(chosen[2] if chosen else word)).resolve()
        folder = path.parent if path.is_file() else path
        home = folder.parent if folder.name.isdecimal() else folder  # a version's folder has the model's above it
        alone = path.stem if path.is_file() and path.stem not in ("model", "best") else home.name
        name = chosen[1] if chosen else alone
        if name in found:
            raise UserError(f"{found[name]} and {path} would both be called {name}: choose with NAME=PATH")
        found[name] = path
    if not found:
        raise UserError("which model? kerascnn serve ARTEFACT... (kerascnn serve --help)")
    return found
