"""Average precision and ROC areas against scikit-learn, and their intervals."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kerascnn.statistics.ranking import areas, ranking


@pytest.mark.parametrize("decimals", [1, 7], ids=["ties", "no ties"])
def test_areas_as_scikit_learn_counts_them(decimals) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    scores = np.round(rng.normal(truth, 1), decimals)
    times = rng.integers(0, 3, (2, 200))
    precision, area = areas(scores, truth, times)
    for k in range(2):
        again = np.repeat(np.arange(200), times[k])
        assert precision[k] == pytest.approx(average_precision_score(truth[again], scores[again]))
        assert area[k] == pytest.approx(roc_auc_score(truth[again], scores[again]))


def test_means_over_the_classes_that_occur() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    probabilities = rng.dirichlet(np.ones(4), 400) + np.eye(4)[labels] * 0.3
    probabilities /= probabilities.sum(1, keepdims=True)
    found = ranking(probabilities, labels)
    assert found is not None
    each = [roc_auc_score(labels == c, probabilities[:, c]) for c in range(3)]
    assert found.auroc.value == pytest.approx(np.mean(each))
    assert found.auroc.low < found.auroc.value < found.auroc.high
    assert found.average_precision.n == 400
    assert ranking(probabilities, np.zeros(400, int)) is None


def test_an_interval_covers_what_it_should() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(60):
        labels = rng.integers(0, 2, 150)
        first = rng.normal(labels * 1.5, 1)
        found = ranking(np.stack([-first, first], 1), labels, seed=trial)
        inside += found.auroc.low <= 0.8556 <= found.auroc.high  # Phi(1.5 / sqrt 2)
    assert inside >= 51  # 95 % of 60, less three standard deviations


def test_resamplings_without_a_class() -> None:
    found = ranking(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0, 1, 1]))
    assert found is not None
    assert found.auroc.value == 1
    assert np.isfinite(found).all()
