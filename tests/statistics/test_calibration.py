"""Calibration against its definitions."""

import numpy as np
import pytest

from kerascnn.statistics import calibration


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them: calibrated by construction, before they are sharpened."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) > rng.random((n, 1))).argmax(1)
    return calibration.cooled(probabilities, 1 / sharpness), labels


def test_the_temperature_undoes_what_was_done() -> None:
    probabilities, labels = drawn(20_000, sharpness=2.0)
    assert calibration.temperature(probabilities, labels) == pytest.approx(2.0, rel=0.05)
    calm, labels = drawn(20_000, sharpness=0.5)
    assert calibration.temperature(calm, labels) == pytest.approx(0.5, rel=0.05)


def test_ece_is_small_where_calibrated_and_large_where_sharpened() -> None:
    honest, labels = drawn(5_000, 1.0)
    sharp, _ = drawn(5_000, 3.0)
    low, high = calibration.ece_interval(honest, labels), calibration.ece_interval(sharp, labels)
    assert low.low <= low.value <= low.high < 0.04 < high.low <= high.value <= high.high
    # By hand: 4 images in 2 bins, |0.55 - 0.5| and |0.85 - 1| at equal mass.
    confidence, right = np.array([[0.5, 0.6, 0.8, 0.9]]), np.array([[True, False, True, True]])
    assert calibration.ece(confidence, right, bins=2)[0] == pytest.approx((0.05 + 0.15) / 2)


def test_reliability_bins_have_equal_mass() -> None:
    probabilities, labels = drawn(100, 1.0)
    bins = calibration.reliability(probabilities, labels, bins=7)
    assert sum(one.n for one in bins) == 100
    assert max(one.n for one in bins) - min(one.n for one in bins) <= 1
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    assert sum(one.n * one.accuracy for one in bins) == pytest.approx((probabilities.argmax(1) == labels).sum())


def test_brier_by_hand() -> None:
    scores = calibration.brier(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), np.array([0, 0, 0]))
    np.testing.assert_allclose(scores, [0.0, 0.5, 2.0])
