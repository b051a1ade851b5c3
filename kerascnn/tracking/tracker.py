"""What a tracker is told: the interface of all of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TRAINING, STUDY = "training", "study"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


class Subject(NamedTuple):
    """The run or study that a tracker records.

    Attributes:
        name: Its name.
        folder: Its directory, where trackers keep what they need to continue.
        kind: `TRAINING`, or `STUDY` for a comparison or search.
        group: Name of the study that it belongs to, or None.
    """

    name: str
    folder: Path
    kind: str = TRAINING
    group: str | None = None


class Point(NamedTuple):
    """A value of a curve.

    Attributes:
        split: Folder of TensorBoard: train or validation.
        tag: Name, `epoch_*` or `step_*`.
        value: The value.
        step: Number of the epoch for `epoch_*`, else of the optimizer step.
    """

    split: str
    tag: str
    value: float
    step: int


class Tracker:
    """Takes the records of one run or study; each method does nothing unless a tracker defines it.

    Every record may be given twice, after a run was killed and resumed: a tracker keeps one of them.
    """

    name = ""

    def start(self) -> None:
        """Begins, or continues what an earlier start of the same run began."""

    def begin(self, step: int, epochs_done: int) -> None:
        """Is told where a fit begins: later points of curves, of a start that was killed, are not valid."""

    def points(self, points: Sequence[Point]) -> None:
        """Adds values to curves."""

    def pause(self) -> None:
        """Is told that a fit has ended."""

    def config(self, text: str) -> None:
        """Takes the config as TOML."""

    def graph(self, network: Any, graph: Any) -> None:
        """Takes the network and its traced inference."""

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        """Takes PNG pictures of a split by name."""

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        """Takes the flat values of the config, and at the end the final scores."""

    def files(self, paths: Sequence[Path]) -> None:
        """Takes files of the run's directory."""

    def model(self, version: Path) -> None:
        """Takes an exported SavedModel by its directory."""

    def end(self, status: str) -> None:
        """Ends with `FINISHED`, `STOPPED` (the same command continues) or `FAILED`."""

    def hopeless(self, error: Exception) -> bool:
        """Returns whether a record that raised this error would raise it again, however long one waits."""
        return False
