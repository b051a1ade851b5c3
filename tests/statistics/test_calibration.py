"""Calibration against its definitions."""

import numpy as np
import pytest

from kerascnn.statistics import calibration
from kerascnn.statistics.simulate_scores import MiscalibratedNetwork, of_ece


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them: calibrated by construction, before they are sharpened."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (probabilities.cumsum(1) > rng.random((n, 1))).argmax(1)
    return calibration.cooled(probabilities, 1 / sharpness), labels


def test_the_temperature_undoes_what_was_done() -> None:
    probabilities, labels = drawn(20_000, sharpness=2.0)
    assert calibration.temperature(probabilities, labels) == (pytest.approx(2.0, rel=0.05), "")
    calm, labels = drawn(20_000, sharpness=0.5)
    assert calibration.temperature(calm, labels).value == pytest.approx(0.5, rel=0.05)


def test_a_split_that_cannot_say_a_temperature_keeps_1() -> None:
    """Without mistakes sharper is always better, and a log loss that falls to a bound is not at its least there."""
    probabilities, _ = drawn(300, 1.0)
    found = calibration.temperature(probabilities, probabilities.argmax(axis=1))
    assert found == (1.0, "no mistake among 300 images")
    hopeless = calibration.temperature(probabilities, probabilities.argmin(axis=1))
    assert hopeless.value == 1
    assert "still falls at the bound, a temperature of 20" in hopeless.reason
    nearly = np.tile([0.51, 0.49], (2000, 1))
    sharp = calibration.temperature(nearly, (np.arange(2000) == 0).astype(int))
    assert sharp.value == 1
    assert "temperature of 0.05" in sharp.reason


def test_ece_is_small_where_calibrated_and_large_where_sharpened() -> None:
    honest, labels = drawn(5_000, 1.0)
    low, high = calibration.ece(honest, labels), calibration.ece(drawn(5_000, 3.0)[0], labels)
    assert low.interval.low == 0
    assert low.interval.high < 0.03
    assert low.interval.value <= low.plain
    assert low.null < low.null_high
    assert low.p >= 0.025
    assert high.interval.low <= high.interval.value <= high.interval.high
    assert high.interval.low > 0.05
    assert high.p == 0
    assert calibration.ece(honest, labels) == low, "a second reading gives the same"


@pytest.mark.parametrize(("kind", "error"), [("none", 0.0), ("too sharp", 0.02)])
def test_coverage_of_the_ece(kind: str, error: float) -> None:
    """A bootstrap moved back by its bias held a true 0 in 0.7 % of test sets of 1,000 images, a true 2 % in 71 %."""
    population = MiscalibratedNetwork(kind, error)
    held, plain = of_ece(population, 1000, rounds=60, draws=300)
    assert held.coverage["ECE"] >= 0.9
    assert plain > 0.02, "what the plain ECE shows of a calibrated network"


def test_groups_scatter_together() -> None:
    """Groups of 10 images that are right or wrong as one: a calibrated network's ECE is that of a tenth of the images."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    held, ignored = 0, 0
    for _ in range(60):
        confidence = rng.uniform(0.5, 1, 100)[groups]
        labels = (rng.random(100)[groups] > confidence).astype(int)
        probabilities = np.stack([confidence, 1 - confidence], 1)
        held += calibration.ece(probabilities, labels, groups, rounds=300).interval.low == 0
        ignored += calibration.ece(probabilities, labels, rounds=300).interval.low == 0
    assert held >= 0.93 * 60
    assert ignored < 0.3 * 60


def test_reliability_bins_have_equal_mass() -> None:
    probabilities, labels = drawn(100, 1.0)
    bins = calibration.reliability(probabilities, labels, bins=7)
    assert sum(one.n for one in bins) == 100
    assert max(one.n for one in bins) - min(one.n for one in bins) <= 1
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    assert sum(one.n * one.accuracy for one in bins) == pytest.approx((probabilities.argmax(1) == labels).sum())
