"""Average precision and ROC areas against scikit-learn, their influence functions, and their intervals."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from kerascnn.statistics.classification import areas, ranking


@pytest.mark.parametrize("decimals", [1, 7], ids=["ties", "no ties"])
def test_areas_as_scikit_learn_counts_them(decimals) -> None:
    """The influence of an image is the derivative by its weight."""
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.3
    scores = np.round(rng.normal(truth, 1), decimals)
    for area, reference in zip(areas(scores, truth), (average_precision_score, roc_auc_score), strict=True):
        assert area.value == pytest.approx(reference(truth, scores))
        assert area.influence.sum() == pytest.approx(0, abs=1e-9)
        for i in (0, 3, 50, 199):
            weight = np.ones(200)
            weight[i] += 1e-4
            derivative = (reference(truth, scores, sample_weight=weight) - area.value) / 1e-4
            assert area.influence[i] == pytest.approx(derivative, rel=1e-2, abs=1e-7)


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
    for _ in range(300):
        labels = rng.integers(0, 2, 150)
        first = rng.normal(labels * 1.5, 1)
        found = ranking(np.stack([-first, first], 1), labels)
        assert found is not None
        inside += found.auroc.low <= 0.8556 <= found.auroc.high  # Phi(1.5 / sqrt 2)
    assert inside >= 0.93 * 300


def test_the_bias_of_few_positives() -> None:
    """Average precision of 5 among 500 is higher than the population's: its interval is moved back by as much."""
    rng = np.random.default_rng(0)
    truth = np.arange(505) < 5
    found = [areas(rng.normal(2.0 * truth, 1), truth)[0] for _ in range(600)]
    many = np.arange(505_000) < 5_000
    population = areas(rng.normal(2.0 * many, 1), many)[0].value
    excess = np.mean([one.value for one in found]) - population
    assert excess > 0.03
    assert np.mean([one.bias for one in found]) == pytest.approx(excess, rel=0.5)


def test_perfect_and_tiny() -> None:
    found = ranking(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0, 1, 1]))
    assert found is not None
    for one in found:
        assert one.value == one.high == 1
        assert 0 <= one.low < 0.5, "three images prove little"


@pytest.mark.parametrize("classes", [2, 3, 7, 10])
def test_perfect_in_every_class(classes: int) -> None:
    """Ten areas of 1 add up to a hair less than 1: no reason for an interval that is a hair wide."""
    labels = np.arange(20 * classes) % classes
    scores = np.random.default_rng(0).random((len(labels), classes)) * 0.4
    scores[np.arange(len(labels)), labels] += 0.5
    found = ranking(scores, labels)
    assert found is not None
    for one in found:
        assert one.low == pytest.approx(0.025 ** (1 / len(labels)))
        assert one.high == 1


def test_refuses_what_is_not_a_number() -> None:
    with pytest.raises(ValueError, match="1 images with NaN"):
        ranking(np.array([[0.5, 0.5], [np.nan, 0.5]]), np.array([0, 1]))
