"""The directory of a cross-validation: the only module that knows its file names. No TensorFlow."""

import io
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tomli_w

from kerascnn.errors import UserError
from kerascnn.runs.files import write_file
from kerascnn.studies.study_directory import StudyDirectory


class OutOfFold(NamedTuple):
    """The predictions of a cross-validation: each image once, by the network that was not trained on it.

    Attributes:
        ids: Path or name of each image, str [n], sorted.
        labels: True classes, int64 [n], or bool [n, C] of several labels.
        probabilities: float32 [n, C].
        folds: Fold of each image, int64 [n], from 1.
        class_names: str [C].
    """

    ids: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    folds: np.ndarray
    class_names: np.ndarray


class FoldsDirectory(StudyDirectory):
    """The files of a cross-validation: terms, out-of-fold predictions, table, report, log, ensemble.

    Args:
        path: The directory; it need not exist yet.
    """

    kind, way_out = "folds", "delete {path} (its runs stay and are reused)"
    naming = "--run"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        self.out_of_fold_file = self.path / "out_of_fold.npz"
        self.table_file = self.path / "folds.csv"
        self.ensemble = self.path / "ensemble"  # a run's directory, without a training of its own

    def terms_in(self, content: dict[str, Any]) -> dict[str, Any]:
        """Returns the table `request`."""
        if not isinstance(content.get("request"), dict):
            raise UserError(f"{self.terms_file} is damaged: expected the table request: remove it")
        terms: dict[str, Any] = content["request"]
        return terms

    def keep(self, command: str, request: dict[str, Any], runs: Sequence[str]) -> None:
        """Writes folds.toml: the command, the terms, and the runs by fold."""
        content = {"command": command, "request": request, "runs": list(runs)}
        write_file(self.terms_file, tomli_w.dumps(content).encode())

    def write_out_of_fold(self, found: OutOfFold) -> None:
        """Writes the predictions for all images."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **found._asdict())
        write_file(self.out_of_fold_file, buffer.getvalue())

    def read_out_of_fold(self) -> OutOfFold:
        """Returns the predictions for all images.

        Raises:
            UserError: There are none: the cross-validation is not finished, or this is not one.
        """
        if not self.out_of_fold_file.exists():
            raise UserError(
                f"{self.path} has no {self.out_of_fold_file.name}: expected the folder of a finished `kerascnn fit --folds N`"
            )
        try:
            with np.load(self.out_of_fold_file, allow_pickle=False) as arrays:
                return OutOfFold(*(arrays[name] for name in OutOfFold._fields))
        except (ValueError, EOFError, KeyError, OSError) as error:
            raise UserError(f"{self.out_of_fold_file} is damaged: {error}: the same command writes it anew") from None
