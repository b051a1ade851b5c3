"""The predictor of any artefact: files or arrays in, probabilities out, in bounded memory."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import keras
import numpy as np

from kerascnn.artefacts import decoding
from kerascnn.artefacts.decoding import Item
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.data import decode
from kerascnn.devices import hardware
from kerascnn.errors import UserError
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import SINGLE, Task

BATCH = 32


class Prediction(NamedTuple):
    """The result for one item.

    Attributes:
        item: The item as given.
        probabilities: Probabilities, float32 [classes], or None if the item cannot be used.
        problem: Why it cannot be used, or None.
        further: Further outputs for it by name (`further.FURTHER`), as far as the artefact has them.
    """

    item: Item
    probabilities: np.ndarray | None
    problem: str | None
    further: Mapping[str, np.ndarray] = {}


@dataclass(frozen=True)
class Predictor:
    """An artefact that predicts.

    Attributes:
        class_names: Names of the classes, in the order of the probabilities.
        image_size: Height and width of the network's input.
        resize: Resize mode: crop, pad or squash.
        infer: float32 [batch, image_size, image_size, 3] in 0-255 -> float32 [batch, classes]: rows that sum to 1, or with
            several labels per image a probability of each label.
        network: The network behind `infer` for a run or a `.keras` file, else None, as for an ensemble.
        task: What the network answers: one class per image, or any number of labels.
        thresholds: With several labels the probabilities from which they are predicted; None for 0.5.
        further: As `infer`, for an artefact that has more outputs (`further.FURTHER`) -> all of them by name; else None.
        rules: The rules of these outputs, as the artefact's metadata has them; None where there are none.
        pooled: As `infer`, for an export without a network here -> its `features` [batch, channels]; None where it has none.
    """

    class_names: tuple[str, ...]
    image_size: int
    resize: decode.Mode
    infer: Callable[[Any], Any]
    network: keras.Model | None = field(default=None, kw_only=True)
    task: Task = field(default=SINGLE, kw_only=True)
    thresholds: Thresholds | None = field(default=None, kw_only=True)
    further: Callable[[Any], Mapping[str, Any]] | None = field(default=None, kw_only=True)
    rules: FileRules | None = field(default=None, kw_only=True)
    pooled: Callable[[Any], Any] | None = field(default=None, kw_only=True)

    def outputs(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `probabilities` and the further outputs that the artefact has, by name, for images as `infer` takes them."""
        found = {"probabilities": self.infer(images)} if self.further is None else self.further(images)
        return {name: np.asarray(values) for name, values in found.items()}

    def predict(self, items: Item | Iterable[Item], batch_size: int = BATCH) -> np.ndarray:
        """Returns probabilities, float32 [n, classes], in the order of the items.

        Args:
            items: Files, or images as arrays: uint8 or float in 0-255, [height, width, 3] or gray [height, width], of any
                size; or one array of several. An image with the network's size is used unchanged, others are resized like
                files. May be a generator: only a few batches are in memory.
            batch_size: Number of images per call of the network.

        Raises:
            UserError: An item cannot be used; the message names it and the reason. `predictions` continues instead.
        """
        rows: list[np.ndarray] = []
        for prediction in self.predictions(items, batch_size):
            if prediction.probabilities is None:
                name = prediction.item if isinstance(prediction.item, str | os.PathLike) else f"image {len(rows)}"
                raise UserError(f"{os.fspath(name)!r} cannot be used: {prediction.problem}")
            rows.append(prediction.probabilities)
        return np.stack(rows) if rows else np.empty((0, len(self.class_names)), np.float32)

    def predictions(
        self,
        items: Item | Iterable[Item],
        batch_size: int = BATCH,
        *,
        ahead: int = 1,
        waited: Callable[[float], object] = lambda seconds: None,
    ) -> Generator[Prediction, None, None]:
        """Yields predictions one by one, as `predict`; an item that cannot be used has its problem instead.

        Args:
            items: As of `predict`; also images in other files (`decoding.Stored`).
            batch_size: Number of images per call of the network.
            ahead: Number of batches that are decoded while the network computes another one.
            waited: Called for each batch with the seconds that the network has waited for it.
        """
        waiting: deque[tuple[list[Item], list[Future[list[Any]]]]] = deque()
        cores = hardware.available_cpus()
        together = max(1, min(decoding.TOGETHER, batch_size // cores))
        pool = ThreadPoolExecutor(cores)
        each = _each(items)
        try:
            while batch := list(islice(each, batch_size)):
                parts = [batch[i : i + together] for i in range(0, len(batch), together)]
                loaded = [pool.submit(decoding.pixels, part, self.image_size, self.resize) for part in parts]
                waiting.append((batch, loaded))
                if len(waiting) > ahead:
                    yield from self._batch(*waiting.popleft(), waited)
            while waiting:
                yield from self._batch(*waiting.popleft(), waited)
        finally:  # a caller that stops early does not wait for further images
            pool.shutdown(cancel_futures=True)

    def _batch(
        self, items: Sequence[Item], loaded: Sequence[Future[list[Any]]], waited: Callable[[float], object]
    ) -> Iterator[Prediction]:
        began = time.perf_counter()
        found = [pixels for future in loaded for pixels in future.result()]
        waited(time.perf_counter() - began)
        images = [pixels for pixels in found if not isinstance(pixels, str)]
        outputs = self.outputs(np.stack(images).astype("float32")) if images else {}
        rows = ({name: values[place] for name, values in outputs.items()} for place in range(len(images)))
        for item, pixels in zip(items, found, strict=True):
            if isinstance(pixels, str):
                yield Prediction(item, None, pixels)
            else:
                row = next(rows)
                yield Prediction(item, row.pop("probabilities"), None, row)

    def decoded(self, content: bytes) -> np.ndarray | str:
        """Returns the bytes of an image file as uint8 [image_size, image_size, 3], or why they cannot be used."""
        return decoding.of_content(content, self.image_size, self.resize)

    def fitted(self, image: np.ndarray) -> np.ndarray | str:
        """Returns an image as [image_size, image_size, 3], or why it cannot be used."""
        return decoding.fitted(image, self.image_size, self.resize)


def _each(items: Item | Iterable[Item]) -> Iterator[Item]:
    if isinstance(items, str | os.PathLike) or (isinstance(items, np.ndarray) and items.ndim == 2):
        return iter([items])
    if isinstance(items, np.ndarray) and items.ndim == 3 and items.shape[-1] == 3:
        return iter([items])
    return iter(items)  # type: ignore[arg-type]  # an item that stands alone is a path or an array
