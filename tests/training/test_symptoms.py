"""Notes on trainings that go wrong: of epochs and of final scores."""

import numpy as np
import pytest

from kerascnn.scoring import split_scores
from kerascnn.scoring.metrics import counted
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics.class_counts import from_counts
from kerascnn.training import symptoms

NAMES = ("ants", "bees", "wasps")
LABELS = np.repeat([0, 1, 2], [50, 30, 20])


def row(predicted: np.ndarray, loss: float = 1.0) -> dict[str, float]:
    """What history.csv says of these predictions."""
    scores = {
        score.column: float(np.float32(from_counts(score.of_counts, LABELS[None], predicted[None], 3)[0]))
        for score in counted()
        if score.of_counts
    }
    return {"epoch": 4, "val_loss": loss, **scores}


@pytest.mark.parametrize("only", [0, 1, 2])
def test_one_class_is_told_from_its_scores(only: int) -> None:
    images = np.bincount(LABELS)
    assert symptoms.one_class(row(np.full(100, only)), images) == only
    almost = np.full(100, only)
    almost[np.flatnonzero(only != LABELS)[0]] = (only + 1) % 3
    assert symptoms.one_class(row(almost), images) is None
    assert symptoms.one_class({"epoch": 1}, images) is None, "no val"


@pytest.mark.parametrize(("loss", "said"), [(2319.0, True), (5.6, True), (5.4, False), (0.3, False)])
def test_an_exploded_val_loss(loss: float, said: bool) -> None:
    found = symptoms.of_epoch(row(LABELS, loss), np.bincount(LABELS), NAMES, 0.1)
    assert list(found) == (["exploded"] if said else [])
    if loss > 1000:
        assert "val loss explodes: 2,319 after epoch 4" in found["exploded"]
        assert "give 1.10" in found["exploded"]
        assert "--lr (it is 0.1)" in found["exploded"]


def test_each_kind_is_said_once(tmp_path) -> None:
    lines: list[str] = []
    rows = [row(np.zeros(100, int), 50.0)]
    callback = symptoms.Symptoms(rows, np.bincount(LABELS), NAMES, 0.1, set(), lines.append)
    for epoch in range(3):
        callback.on_epoch_end(epoch)
    assert len(lines) == 2
    assert "every val image is predicted as ants" in lines[1]


def test_final_scores() -> None:
    def found(probabilities: np.ndarray) -> list[str]:
        scores = split_scores.score(Predictions(np.arange(100), None, LABELS, probabilities), NAMES)
        return split_scores.symptoms(scores, "test")

    good = np.full((100, 3), 0.05)
    good[np.arange(100), LABELS] = 0.9
    assert found(good) == []
    constant = np.tile([1.0, 0.0, 0.0], (100, 1))
    exploded, one = found(constant)
    assert "training went wrong" in exploded
    assert "Every test image is predicted as ants" in one
