"""Intervals from influence functions against closed forms, resampling and simulation."""

import numpy as np
import pytest

from kerascnn.statistics import Interval, mean_interval, mean_share, proportion, wilson
from kerascnn.statistics.classification import balanced_accuracy, base_of, macro_f1
from kerascnn.statistics.linearized import Spread, share_interval, spread


def answers(rng: np.random.Generator, labels: np.ndarray, accuracy: float, classes: int) -> np.ndarray:
    """Answers that are right in this share, and otherwise any class."""
    right = rng.random(len(labels)) < accuracy
    return np.where(right, labels, (labels + rng.integers(1, classes, len(labels))) % classes)


def holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_spread_of_a_mean_has_its_closed_form() -> None:
    values = np.random.default_rng(0).normal(2, 3, 40)
    found = spread((values - values.mean()) / 40, np.zeros(40, int))
    assert found.variance == pytest.approx(values.var(ddof=1) / 40)
    assert found.freedom == 39
    groups = np.repeat(np.arange(10), 4)
    means = values.reshape(10, 4).mean(axis=1)
    assert spread((values - values.mean()) / 40, np.zeros(40, int), groups).variance == pytest.approx(
        means.var(ddof=1) / 10
    )
    assert spread(np.zeros(5), np.zeros(5, int)) == (0, 4, 0, 0)


def test_classes_of_one_image_are_taken_together() -> None:
    influence, classes = np.array([0.0, 1.0, 2.0, 5.0, 7.0]), np.array([0, 0, 1, 2, 3])
    assert spread(influence, classes).variance == pytest.approx(1 + 1.5 * np.var([2, 5, 7]) * 3)
    alone = spread(influence[:4], np.array([0, 0, 0, 1]))
    assert alone.variance == pytest.approx(np.var(influence[:4]) * 4 * 4 / 3), "a single one joins the smallest class"


@pytest.mark.parametrize("score", [macro_f1, balanced_accuracy])
def test_the_spread_is_that_of_resampling_within_classes(score) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), [60, 50, 40, 30, 30, 30])
    predicted = answers(rng, labels, 0.75, 6)
    drawn = []
    for _ in range(800):
        index = np.concatenate([rng.choice(np.flatnonzero(labels == c), (labels == c).sum()) for c in range(6)])
        drawn.append(score(labels[index], predicted[index], 6).value)
    found = score(labels, predicted, 6)
    assert (found.high - found.low) / (2 * 1.96 * np.std(drawn)) == pytest.approx(1.05, abs=0.1)


def test_all_right_is_no_certainty() -> None:
    """The named bound: that of n of n images; a class of few images makes it wider, whole groups too."""
    labels = np.repeat([0, 1], 10)
    for score in (macro_f1, balanced_accuracy):
        found = score(labels, labels, 2)
        assert found == pytest.approx((1, 0.025 ** (1 / 20), 1, 20))
        assert score(np.repeat([0, 1], [18, 2]), np.repeat([0, 1], [18, 2]), 2).low < found.low
        assert score(labels, labels, 2, np.arange(20) // 5).low == pytest.approx(0.025 ** (1 / 4))
    assert proportion(np.ones(20, bool)) == wilson(20, 20)
    assert proportion(np.ones(20, bool), np.arange(20) // 5).low == pytest.approx(0.025 ** (1 / 4))
    assert mean_share(np.ones(20)).low == pytest.approx(0.025 ** (1 / 20))


def test_a_few_mistakes_leave_room_for_fewer() -> None:
    """Brown, Cai and DasGupta, 2001: half the 5 % quantile of chi squared with 2 x degrees of freedom, over n."""
    for mistakes, quantile in ((1, 0.1026), (2, 0.7107)):
        right = np.arange(20) >= mistakes
        assert proportion(right).high == pytest.approx(1 - quantile / 2 / 20, abs=1e-5)
        assert proportion(right).low == wilson(20 - mistakes, 20).low
        assert proportion(~right).low == pytest.approx(1 - proportion(right).high)
    assert proportion(np.arange(1000) >= 4) == wilson(996, 1000)
    rng = np.random.default_rng(0)
    for truth in (0.975, 0.995):
        assert np.mean([holds(proportion(rng.random(20) < truth), truth) for _ in range(1000)]) >= 0.93


def test_the_harmonic_base() -> None:
    assert base_of(np.repeat(np.arange(10), 7)) == pytest.approx(70)
    assert base_of(np.repeat([0, 1], [18, 2])) == pytest.approx(2 * 2 * 18 * 2 / 20)


@pytest.mark.parametrize("value", [0.0, 0.001, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("variance", [0.0, 1e-8, 0.01, 0.25])
def test_no_share_leaves_its_bounds(value: float, variance: float) -> None:
    found = share_interval(value, Spread(variance, 3.0, 0.0, 2.0), base=20, n=20, bias=0.01)
    assert 0 <= found.low <= value <= found.high <= 1
    assert found.low < found.high


@pytest.mark.parametrize("n", [20, 50])
def test_coverage_near_one(n: int) -> None:
    """Percentile bootstraps held a true 97.5 % in 41 and 73 % of test sets of 20 and 50 images: [1, 1] where all are right."""
    rng = np.random.default_rng(n)
    labels = np.arange(n) % 2
    found = [(answers(rng, labels, 0.975, 2), labels) for _ in range(300)]
    for score in (macro_f1, balanced_accuracy):
        assert np.mean([holds(score(truth, predicted, 2), 0.975) for predicted, truth in found]) >= 0.93


def test_rare_classes_keep_the_interval_wide() -> None:
    """Ten classes, of which one has 16 images: few of its rare mistakes are seen, and the variance misses them."""
    rng = np.random.default_rng(0)
    sizes = np.array([317, 227, 163, 117, 84, 60, 43, 31, 22, 16])
    labels, truth = np.repeat(np.arange(10), sizes), np.array([0.99] * 8 + [0.9, 0.9])
    held = 0
    for _ in range(300):
        right = rng.random(len(labels)) < truth[labels]
        predicted = np.where(right, labels, (labels + rng.integers(1, 10, len(labels))) % 10)
        held += holds(balanced_accuracy(labels, predicted, 10), truth.mean())
    assert held >= 0.93 * 300


def test_many_classes_of_few_images() -> None:
    """1,000 classes of 5 images: percentile bootstraps of macro F1 missed their own value in 40 of 40 test sets."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(1000), 5)
    found = [macro_f1(labels, answers(rng, labels, 0.7, 1000), 1000) for _ in range(60)]
    assert all(holds(one, one.value) for one in found)
    assert np.mean([holds(one, 0.7) for one in found]) >= 0.9
    assert np.mean([one.high - one.low for one in found]) < 0.04


def test_classes_of_one_image() -> None:
    """A class of one image has a recall of 0 or 1 and no spread of its own: the classes are each other's."""
    rng, labels = np.random.default_rng(0), np.arange(200)
    found = [balanced_accuracy(labels, answers(rng, labels, 0.7, 200), 200) for _ in range(200)]
    assert np.mean([holds(one, 0.7) for one in found]) >= 0.93
    assert np.mean([one.high - one.low for one in found]) == pytest.approx(0.13, abs=0.01)


def test_groups_widen_what_they_must() -> None:
    """100 groups of 10 images, correlation 0.5: intervals over images held the truth in 72 %."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(100), 10)
    ignored, resampled = [], []
    for _ in range(300):
        right = rng.random(1000) < rng.beta(0.8, 0.2, 100)[groups]
        ignored.append(holds(proportion(right), 0.8))
        resampled.append(holds(proportion(right, groups), 0.8))
    assert np.mean(ignored) < 0.75
    assert np.mean(resampled) >= 0.93


def test_classes_of_few_groups() -> None:
    """Two groups in each of ten classes: a class is fitted to its two groups, which then scatter half as much."""
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(20), 10)
    labels, held = groups % 10, 0
    for _ in range(200):
        right = rng.random(200) < rng.beta(0.8, 0.2, 20)[groups]
        held += holds(balanced_accuracy(labels, np.where(right, labels, (labels + 1) % 10), 10, groups), 0.8)
    assert held >= 0.93 * 200


def test_groups_that_hold_every_class_keep_their_freedom() -> None:
    groups, labels = np.repeat(np.arange(8), 10), np.tile(np.arange(10), 8)
    right = np.random.default_rng(0).random(80) < 0.8
    assert spread((right - right.mean()) / 80, labels, groups).freedom == 7
    assert spread((right - right.mean()) / 80, groups, groups).freedom == 1, (
        "each class in one group says nothing of others"
    )


def test_groups_of_one_image_are_images() -> None:
    right = np.random.default_rng(0).random(500) < 0.8
    assert proportion(right, np.arange(500))[:3] == pytest.approx(wilson(int(right.sum()), 500)[:3], abs=0.005)


def test_a_mean_and_its_skewness() -> None:
    values = np.random.default_rng(0).normal(2, 3, 400)
    found, half = mean_interval(values), 1.966 * values.std(ddof=1) / 20
    assert found == pytest.approx((values.mean(), values.mean() - half, values.mean() + half, 400), abs=0.02)
    skewed = np.random.default_rng(0).exponential(size=40)
    found = mean_interval(skewed)
    assert found.high - found.value > 1.2 * (found.value - found.low)
    mirrored = mean_interval(-skewed)
    assert mirrored[:3] == pytest.approx((-found.value, -found.high, -found.low))
    assert mean_interval(np.full(5, 0.25)) == (0.25, 0.25, 0.25, 5)


def test_coverage_of_a_skewed_mean() -> None:
    rng = np.random.default_rng(0)
    found = [mean_interval(rng.exponential(size=30)) for _ in range(600)]
    assert np.mean([holds(one, 1.0) for one in found]) >= 0.925  # Student's: 0.92


def test_one_image_more_widens_the_upper_end_alone() -> None:
    values = np.random.default_rng(0).exponential(size=30)
    plain, wary = mean_interval(values), mean_interval(values, worst=20.0)
    assert wary.low == plain.low
    assert wary.high > plain.high
    groups = np.arange(30) // 3
    assert mean_interval(values, groups, worst=20.0).high > mean_interval(values, groups).high
