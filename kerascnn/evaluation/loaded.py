"""The result of `kerascnn.load`: an artefact that predicts and can be scored."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kerascnn import artefacts
from kerascnn.artefacts import Predictor
from kerascnn.evaluation import evaluated_model, scores
from kerascnn.runs import finding


@dataclass(frozen=True)
class Loaded(Predictor):
    """A Predictor that knows its path.

    Attributes:
        path: Path of the run or artefact.
    """

    path: Path

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
