"""Coverage of the scores' intervals: a quick row of each table of experiments/results/statistics.md, and the slow rest."""

import numpy as np
import pytest

from kerascnn.statistics.simulate_scores import (
    MISCALIBRATIONS,
    Classifier,
    MiscalibratedNetwork,
    of_ece,
    of_groups,
    of_scores,
)


def test_the_population_has_its_accuracy_and_its_scores() -> None:
    network = Classifier(10, 0.9, skew=4)
    counts = network.counts(5000)
    assert counts.sum() == 5000
    assert counts[0] / counts[-1] == pytest.approx(4, rel=0.02)
    truth = network.truth(np.full(10, 10), images=100_000)
    assert truth["accuracy"] == pytest.approx(0.9, abs=0.01)
    assert truth["balanced accuracy"] == pytest.approx(truth["accuracy"], abs=1e-9)
    held = of_scores(network, 5000, rounds=1)
    assert all(width < 0.1 for width in held.width.values())


def test_the_calibration_has_its_error() -> None:
    for kind in set(MISCALIBRATIONS) - {"none"}:
        probabilities, labels = MiscalibratedNetwork(kind, 0.015).draw(np.random.default_rng(0), 300_000)
        order = probabilities.max(axis=1).argsort()
        gap = probabilities.max(axis=1)[order] - (labels == 0)[order]
        found = np.abs(gap.reshape(15, -1).mean(axis=1)).mean()
        assert found == pytest.approx(0.015, abs=0.002), kind


def test_a_row_of_scores() -> None:
    held = of_scores(Classifier(5, 0.9), 60, rounds=80)
    assert min(held.coverage.values()) >= 0.9, held


def test_a_row_of_groups() -> None:
    """Ignored, as every interval did, groups make intervals too narrow."""
    network = Classifier(2, 0.9, group=2.0)
    assert of_groups(network, 60, 10, rounds=80, ignored=True).coverage["accuracy"] < 0.9
    held = of_groups(network, 60, 10, rounds=80)
    assert min(held.coverage.values()) >= 0.88, held


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("accuracy", [0.7, 0.9, 0.975, 0.995])
@pytest.mark.parametrize(
    ("classes", "n", "skew"), [(2, 20, 1), (2, 50, 1), (10, 50, 1), (10, 200, 4), (10, 5000, 20), (100, 1000, 1)]
)
def test_scores(classes: int, n: int, skew: float, accuracy: float) -> None:
    held = of_scores(Classifier(classes, accuracy, skew), n, rounds=300)
    assert min(held.coverage.values()) >= 0.93 - 2 * (0.95 * 0.05 / 300) ** 0.5, held


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("accuracy", [0.7, 0.975])
def test_scores_of_a_thousand_classes(accuracy: float) -> None:
    held = of_scores(Classifier(1000, accuracy), 5000, rounds=50)
    assert min(held.coverage.values()) >= 0.87, held


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n", [200, 1000, 5000])
@pytest.mark.parametrize("error", [0.0, 0.005, 0.02, 0.05])
def test_ece(error: float, n: int) -> None:
    held, _ = of_ece(MiscalibratedNetwork("too sharp", error), n, rounds=600)
    assert held.coverage["ECE"] >= 0.93 - 2 * (0.95 * 0.05 / 600) ** 0.5, held


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("groups", "size"), [(20, 10), (100, 10), (400, 5)])
def test_groups(groups: int, size: int) -> None:
    held = of_groups(Classifier(10, 0.9, group=1.0), groups, size, rounds=300)
    assert min(held.coverage.values()) >= 0.93 - 2 * (0.95 * 0.05 / 300) ** 0.5, held
