"""The result of `kerascnn.load`: an artefact that predicts and can be scored."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn import artefacts
from kerascnn.artefacts import Predictor, features
from kerascnn.artefacts.decoding import Item
from kerascnn.artefacts.predictor import BATCH
from kerascnn.errors import UserError
from kerascnn.evaluation import evaluated_model, scores
from kerascnn.runs import finding


@dataclass(frozen=True)
class Loaded(Predictor):
    """A Predictor that knows its path.

    Attributes:
        path: Path of the run or artefact.
    """

    path: Path

    def features(self, items: Item | Iterable[Item], batch_size: int = BATCH) -> np.ndarray:
        """Returns what the network hands to its head, float32 [n, channels], in the order of the items; arguments as `predict`.

        Raises:
            UserError: An item cannot be used, or there is no network: that of a run or of a `.keras` file has features.
        """
        found = list(features.rows(self, items, self.path, batch_size))
        for number, row in enumerate(found):
            if row.features is None:
                name = row.item if isinstance(row.item, str | os.PathLike) else f"image {number}"
                raise UserError(f"{os.fspath(name)!r} cannot be used: {row.problem}")
        return np.stack([row.features for row in found if row.features is not None]) if found else np.empty((0, 0))

    def evaluate(self, split: str = "test", dataset: str | None = None, data_dir: str | None = None) -> dict[str, Any]:
        """Returns the scores of a split with intervals and n, as `kerascnn evaluate` does; writes nothing.

        Args:
            split: train, val or test.
            dataset: Other images than those of the run; required if the artefact is not from a run.
            data_dir: Folder of the prepared data of TensorFlow Datasets.

        Raises:
            UserError: There are no such images, they have other classes, or a run's images have changed.
        """
        found = evaluated_model.find(self.path, dataset, data_dir, split)
        return scores.of(found.predictions(), self.class_names)


def load(path: str | os.PathLike[str]) -> Loaded:
    """See `kerascnn.load`."""
    if os.fspath(path) == finding.DEMO:  # as on a command line
        path = finding.find(finding.DEMO)
    opened = artefacts.open(path)
    return Loaded(**{field.name: getattr(opened, field.name) for field in fields(opened)}, path=Path(path))
