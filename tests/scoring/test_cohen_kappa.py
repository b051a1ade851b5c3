"""Cohen's kappa, a score that is nothing but a row: it agrees with scikit-learn, its interval holds, it is shown everywhere."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from kerascnn.comparison.compare_config import MetricName
from kerascnn.config import choices
from kerascnn.config.training import MonitorName
from kerascnn.scoring import metrics
from kerascnn.scoring.metrics import SCORES
from kerascnn.search.tune_config import COLUMNS
from kerascnn.statistics.simulate_scores import Classifier, coverage
from kerascnn.training import keras_metrics

KAPPA = SCORES["cohen_kappa"]


def measured(labels: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray | None = None) -> dict:
    return metrics.measured([KAPPA], np.eye(classes, dtype="float32")[predicted], labels, groups)["cohen_kappa"]


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_agrees_with_sklearn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.choice(classes, 300, p=rng.dirichlet(np.ones(classes)))
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(0, classes, 300))
    true = cohen_kappa_score(labels, predicted)
    found = measured(labels, predicted, classes)
    assert found["value"] == pytest.approx(true)
    assert found["low"] < true < found["high"]
    metric = keras_metrics.CountedScore(classes, "cohen_kappa")
    for part in np.array_split(np.arange(300), 7):
        metric.update_state(np.eye(classes)[labels[part]], np.eye(classes)[predicted[part]])
    assert float(metric.result()) == pytest.approx(true, abs=1e-6)


def test_at_its_ends() -> None:
    labels = np.arange(40) % 2
    perfect, opposite, constant = (
        measured(labels, labels, 2),
        measured(labels, 1 - labels, 2),
        measured(labels, labels * 0, 2),
    )
    assert perfect["value"] == perfect["high"] == 1
    assert 0.75 < perfect["low"] < 0.9
    assert opposite["value"] == opposite["low"] == -1
    assert constant["low"] < constant["value"] == 0 < constant["high"]
    alone = measured(labels * 0, labels * 0, 2)
    assert alone["value"] == 0, "chance alone would agree on a single class"
    assert all(np.isfinite(end) for end in alone.values())


@pytest.mark.parametrize(
    ("classes", "accuracy", "skew"), [(2, 0.9, 1.0), (2, 0.9, 20.0), (10, 0.7, 20.0), (10, 0.975, 1.0)]
)
def test_its_interval_holds_the_truth(classes: int, accuracy: float, skew: float) -> None:
    """In 95 % of test sets of 200 images, from populations that are known."""
    network = Classifier(classes, accuracy, skew)
    counts = network.counts(200)
    labels = np.repeat(np.arange(classes), counts)
    many = np.repeat(np.arange(classes), counts * 1000)
    truth = cohen_kappa_score(many, network.draw(np.random.default_rng(99), many).argmax(axis=1))

    def draw(rng: np.random.Generator) -> dict:
        found = network.draw(rng, labels)
        return {"kappa": metrics.SCORES["cohen_kappa"].measured(found, labels, None)}

    assert coverage(draw, {"kappa": truth}, rounds=400).coverage["kappa"] >= 0.93


def test_it_is_offered_wherever_scores_are() -> None:
    assert "val_cohen_kappa" in choices(MonitorName)
    assert "cohen_kappa" in choices(MetricName)
    assert COLUMNS["val_cohen_kappa"] == "max"
    assert "cohen_kappa" in [metric.name for metric in keras_metrics.build(3)]
    assert KAPPA in metrics.shown_in("run")
    assert KAPPA in metrics.shown_in("columns")
