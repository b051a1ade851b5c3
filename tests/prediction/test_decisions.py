"""Which labels of an image are predicted, sorted and printed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.prediction import decisions
from kerascnn.prediction.decisions import Decision
from kerascnn.prediction.sorting import Sorting
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.task import MULTI, SINGLE, Task

PROBABILITIES = np.array([0.3, 0.9, 0.55], "float32")


@dataclass
class Network:
    task: Task
    thresholds: Thresholds | None = None


def test_labels_are_those_over_their_thresholds_the_most_probable_first() -> None:
    own = Network(MULTI, Thresholds((0.2, 0.95, 0.5), 0.6, "val"))
    assert decisions.decided(own, PROBABILITIES, None) == Decision((2, 0), (2, 0))
    assert decisions.decided(own, PROBABILITIES, 0.5) == Decision((1, 2), (1, 2))
    assert decisions.decided(Network(MULTI), PROBABILITIES, None).labels == (1, 2), "0.5 where val chose nothing"
    assert decisions.decided(own, PROBABILITIES, 1.0) == Decision((), (1,))


def test_one_class_per_image_is_the_most_probable() -> None:
    assert decisions.decided(Network(SINGLE), PROBABILITIES, None) == Decision((1,), (1,))


def test_an_image_is_sorted_by_each_label(tmp_path: Path) -> None:
    image = tmp_path / "one.png"
    image.write_bytes(b"1")
    sorting = Sorting(str(tmp_path / "sorted"), ["a", "b", "c"])
    assert decisions.sort(sorting, str(image), Decision((1, 2), (1, 2)), PROBABILITIES).parent.name == "b"
    decisions.sort(sorting, str(image), Decision((), (1,)), PROBABILITIES)
    assert {path.parent.name for path in (tmp_path / "sorted").glob("*/one.png")} == {"b", "c", "unsure"}


def test_lines() -> None:
    labels = [("b", 0.9), ("c", 0.55)]
    assert decisions.text(labels, labels[0]) == "b 90.00%  c 55.00%"
    assert decisions.text([], ("b", 0.4)) == "no label (most probable: b 40.00%)"
    assert decisions.cells(labels) == ["b|c", "0.9|0.55"]
    assert decisions.cells([]) == ["", ""]
