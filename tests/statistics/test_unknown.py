"""Scores of unknown classes: by hand and against scikit-learn, and how they detect."""

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from kerascnn.statistics import unknown


def training(m: int = 400, size: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes in ellipses, and the classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, m)
    centers = np.eye(3, size) * 6 + 2
    return (rng.normal(size=(m, size)) * np.linspace(0.3, 2, size) + centers[labels]).astype("float32"), labels


def test_scores_of_logits() -> None:
    logits = np.array([[0.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(unknown.energy(logits), [-np.log(2), -np.log(np.exp(3) + 1)])
    np.testing.assert_allclose(unknown.max_logit(logits), [0, -3])


def test_the_neighbor_s_distance() -> None:
    features, labels = training()
    new = training(50, seed=1)[0]
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = NearestNeighbors(n_neighbors=unknown.NEIGHBOR).fit(directions)
    expected = found.kneighbors(new / np.linalg.norm(new, axis=1, keepdims=True))[0][:, -1]
    np.testing.assert_allclose(unknown.neighbor(new, unknown.known(features, labels)), expected, atol=1e-3)


def test_the_distance_to_the_nearest_class() -> None:
    features, labels = training(20_000)
    new = training(50, seed=1)[0]
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    within = EmpiricalCovariance(assume_centered=True).fit(features - means[labels])
    inverse = np.linalg.inv(within.covariance_)
    expected = np.min([np.einsum("nd,de,ne->n", new - mean, inverse, new - mean) for mean in means], axis=0)
    np.testing.assert_allclose(unknown.mahalanobis(new, unknown.known(features, labels)), expected, rtol=0.01)


def test_few_images_and_features_that_are_always_0_have_finite_distances() -> None:
    features, labels = training(8, size=40)
    features[:, 7] = 0
    known = unknown.known(features, labels)
    for found in (unknown.mahalanobis(features, known), unknown.neighbor(features, known)):
        assert np.isfinite(found).all()
    zero = np.zeros((3, 40), np.float32)
    assert np.isfinite(unknown.mahalanobis(zero, unknown.known(zero, np.array([0, 0, 1])))).all()


def test_other_images_are_farther() -> None:
    features, labels = training()
    known = unknown.known(features, labels)
    own, other = training(300, seed=2)[0], np.random.default_rng(3).normal(size=(300, 5)) - 3
    for score in (unknown.mahalanobis, unknown.neighbor):
        found = unknown.detection(score(own, known), score(other, known))
        assert found.auroc.low > 0.9
        assert found.accepted.high < 0.5


def test_detection_by_hand() -> None:
    own, other = np.array([1.0, 2, 3, 4]), np.array([3.0, 5])
    truth = np.r_[np.zeros(4), np.ones(2)]
    assert unknown.auroc(own, other) == pytest.approx(roc_auc_score(truth, np.r_[own, other]))
    assert unknown.accepted(own, other, 0.5) == 0.5  # up to 3
    assert unknown.accepted(own, other, 0.95) == 0.5  # up to 4
    found = unknown.detection(own, other)
    assert found.auroc.low <= found.auroc.value <= found.auroc.high <= 1
    assert found.auroc.n == 6
