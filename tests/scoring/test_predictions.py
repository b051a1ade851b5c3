"""Predictions of a split: what is right, what is confused, what is worst; kept and read again."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions


def drawn(n: int = 200, classes: int = 5) -> Predictions:
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, classes, n), rng.normal(size=(n, classes))
    return Predictions.of_logits(np.array([f"{i}.png" for i in range(n)]), np.arange(n), labels, logits)


def test_probabilities_of_logits() -> None:
    found = Predictions.of_logits(np.arange(1), np.arange(1), np.array([0]), np.array([[1000.0, 0.0, 0.0]], "float32"))
    assert found.probabilities.tolist() == [[1, 0, 0]]
    assert drawn().probabilities.dtype == np.float32
    np.testing.assert_allclose(drawn().probabilities.sum(axis=1), 1, atol=1e-6)


def test_confusion() -> None:
    found = drawn()
    np.testing.assert_array_equal(found.confusion(), confusion_matrix(found.labels, found.predicted))
    assert np.trace(found.confusion()) == found.correct.sum()
    assert len(found) == found.confusion().sum() == 200


def test_the_worst_mistakes_come_first() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.99, 0.01], [0.2, 0.8]])
    found = Predictions(np.arange(4), None, np.array([0, 0, 1, 1]), probabilities)
    assert found.worst(9).tolist() == [2, 1]
    assert found.worst(1).tolist() == [2]


def test_what_is_kept_is_read_again(tmp_path) -> None:
    found, run = drawn(), Run(tmp_path / "run")
    found.save(run, "val")
    for name, array in vars(Predictions.load(run, "val")).items():
        np.testing.assert_array_equal(array, getattr(found, name))
    with pytest.raises(FileNotFoundError):
        Predictions.load(run, "test")
    run.write_predictions("test", ids=found.ids, labels=found.labels, probabilities=found.probabilities)
    assert Predictions.load(run, "test").indices is None, "files of earlier versions"
