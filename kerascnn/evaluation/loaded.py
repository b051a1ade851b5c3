"""What `kerascnn.load` gives: an artefact that answers, and that can be scored."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kerascnn import artefacts
from kerascnn.artefacts import Predictor
from kerascnn.evaluation import scores, subject


@dataclass(frozen=True)
class Loaded(Predictor):
    """A Predictor that knows where it comes from.

    Attributes:
        path: The run or artefact.
    """

    path: Path

    def evaluate(self, split: str = "test", dataset: str | None = None, data_dir: str | None = None) -> dict[str, Any]:
        """Scores of a split with intervals and n, as `kerascnn evaluate` gives them; nothing is written.

        Args:
            split: train, val or test.
            dataset: Other images than the run's own; needed where the artefact is no run.
            data_dir: Where TensorFlow Datasets keeps its data.

        Raises:
            UserError: No such images, other classes, or a run's images that have changed.
        """
        found = subject.find(self.path, dataset, data_dir, split)
        return scores.of(found.predictions(), self.class_names)


def load(path: str | os.PathLike[str]) -> Loaded:
    """See `kerascnn.load`."""
    opened = artefacts.open(path)
    return Loaded(**{field.name: getattr(opened, field.name) for field in fields(opened)}, path=Path(path))
