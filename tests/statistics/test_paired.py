"""The interval of a verdict against closed forms and simulation; tests against published values."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from kerascnn.statistics import (
    compare_seeds,
    detectable,
    half_width,
    holm,
    images_needed,
    mcnemar,
    p_value,
    seeds_needed,
    sign_test,
    t_interval,
    two_way,
)
from kerascnn.statistics.paired import FLOOR
from kerascnn.statistics.simulate import METHODS, Population, by_two_way, coverage, populations, table


def drawn(seeds=5, images=400, **switches):
    first, second = Population(**switches).draw(np.random.default_rng(0), seeds, images)
    return second.astype(int) - first


def of(differences, **options):
    seeds, images = differences.shape
    return two_way(lambda index: differences[:, index].mean(axis=2).T, images=images, seeds=seeds, **options)


def test_parts_are_those_of_the_analysis_of_variance():
    """For a mean the resampled parts have closed forms: mean squares of images, seeds and what is left, over S m."""
    d = drawn(seed=0.3)
    seeds, images = d.shape
    found = of(d, rounds=8000)
    rest = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0) + d.mean()
    of_images = d.mean(axis=0).var(ddof=1) / images
    of_seeds = d.mean(axis=1).var(ddof=1) / seeds
    left = (rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images)
    assert found.images_part == pytest.approx(of_images, rel=0.05)
    assert found.seeds_part == pytest.approx(of_seeds)
    assert found.left_part == pytest.approx(left, rel=0.05)
    assert found.error**2 == pytest.approx(of_images + of_seeds - left, rel=0.05)
    assert found.value == pytest.approx(d.mean())
    assert 4 <= found.freedom < 40


def test_few_seeds_are_said():
    d = drawn(seeds=2)
    found = of(d)
    assert (found.over, found.seeds, found.images) == ("images", 2, 400)
    assert found.error == pytest.approx((d.mean(axis=0).var(ddof=1) / 400) ** 0.5, rel=0.05)
    assert of(d[:1]).over == "images"
    assert of(drawn(seeds=3)).over == "images and seeds"


def test_equal_seeds_leave_the_images():
    """Where every seed gives the same predictions, more seeds must not narrow the interval."""
    d = np.repeat(drawn(seeds=1), 5, axis=0)
    five, one = of(d), of(d[:1])
    assert five.error == pytest.approx(one.error)
    assert five.high == pytest.approx(one.high, rel=0.02)


def test_spread_never_vanishes_by_chance():
    d = drawn()
    d = d - np.rint(d.mean(axis=1, keepdims=True) * 400) / 400  # every seed's mean is the same
    found = of(d.astype(float))
    assert found.seeds_part == pytest.approx(0, abs=1e-12)
    assert found.error**2 >= FLOOR * found.images_part > 0


def test_no_difference_at_all():
    found = of(np.zeros((5, 50), int))
    assert (found.value, found.low, found.high, p_value(found)) == (0, 0, 0, 1)


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_images_that_agree_prove_no_certainty(seeds):
    """Of 37 images that both get right one more could be wrong: the interval is that of one disagreement, not a point."""
    found = of(np.zeros((seeds, 37), int), share=True)
    one = np.zeros(37)
    one[0] = 1
    assert found.error == pytest.approx(one.std(ddof=1) / 37**0.5)
    assert (found.value, p_value(found)) == (0, 1)
    assert found.low == pytest.approx(-stats.t.ppf(0.975, 36) / 37)
    assert detectable(found) > 0.05
    two = of(np.ones((seeds, 2), int), share=True)  # of two images one arch gets both, the other none
    assert (two.value, p_value(two)) == (1, pytest.approx(0.295, abs=1e-3))


def test_a_share_s_least_variance_changes_no_other():
    assert of(drawn(), share=True) == of(drawn())


def test_two_way_is_deterministic_and_bounded(monkeypatch):
    d = drawn()
    whole = of(d, rounds=200)
    assert of(d, rounds=200) == whole
    monkeypatch.setattr("kerascnn.statistics.intervals.RESAMPLED_AT_ONCE", 3000)
    assert of(d, rounds=200) == whole, "chunks must not change which images are drawn"


@pytest.mark.parametrize(("images", "seeds"), [(0, 5), (1, 5), (10, 0)])
def test_two_way_refuses(images, seeds):
    with pytest.raises(ValueError, match=f"two images and one seed, got {images} and {seeds}"):
        two_way(lambda index: index, images=images, seeds=seeds)


def test_interval_and_p_value_agree():
    d = drawn(accuracies=(0.9, 0.93))
    found = of(d)
    edge = of(d, level=1 - p_value(found))
    assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-9)


def test_coverage():
    """Two rows of experiments/results/statistics.md, at a size that takes seconds: all effects, and the pooled test's worst."""
    methods = {name: METHODS[name] for name in ("over seeds", "over images", "pooled")}
    methods["two-way (the verdict)"] = partial(by_two_way, rounds=150)
    full = coverage(Population(accuracies=(0.88, 0.9)), images=300, rounds=300, methods=methods)
    assert 0.91 <= full.coverage["two-way (the verdict)"] <= 0.985
    assert full.coverage["pooled"] < 0.88
    still = coverage(Population(seed=0), images=300, rounds=300, methods=methods)
    assert 0.91 <= still.coverage["two-way (the verdict)"] <= 0.985
    assert still.coverage["over seeds"] < 0.92


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("accuracies", [(0.9, 0.9), (0.88, 0.9)])
def test_coverage_of_every_population(accuracies):
    """95 % +- 2 of the population's difference over 1,000 rounds, each effect on and off."""
    rows = [coverage(each, seed=i) for i, each in enumerate(populations(Population(accuracies=accuracies)))]
    print(table(rows))
    for row in rows:
        assert 0.93 <= row.coverage["two-way (the verdict)"] <= 0.97, row


def test_population_has_its_accuracies():
    first, second = Population(accuracies=(0.7, 0.9)).draw(np.random.default_rng(0), 40, 20_000)
    assert (first.mean(), second.mean()) == pytest.approx((0.7, 0.9), abs=0.01)


def test_mcnemar_is_exact():
    """Disagreements 5 and 15 of 100: the binomial test of 5 in 20, p = 0.0414 (twice the tail of 0.0207)."""
    first = np.r_[np.ones(5, bool), np.zeros(15, bool), np.ones(80, bool)]
    second = np.r_[np.zeros(5, bool), np.ones(95, bool)]
    assert mcnemar(first, second) == pytest.approx((5, 15, 0.04139), abs=1e-5)
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="same images"):
        mcnemar(first, second[:-1])


def test_sign_test_is_exact():
    assert sign_test(np.zeros(5)) == 1.0
    assert sign_test(np.array([0.2, 1.0, 0.0, 0.4, 0.6, 0.2])) == pytest.approx(2 / 2**5)
    assert sign_test(np.array([1.0, -1.0, 1.0, 1.0])) == pytest.approx(stats.binomtest(3, 4).pvalue)


def test_holm():
    """Holm 1979 by hand: 0.01 x 4, 0.02 x 3, then never smaller than the one before."""
    assert holm([0.02, 0.01, 0.03, 0.04]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_over_seeds():
    assert compare_seeds([0.8, 0.81, 0.79], [0.9, 0.92, 0.88]) == t_interval(
        np.subtract([0.9, 0.92, 0.88], [0.8, 0.81, 0.79])
    )


def test_power():
    found = of(drawn())
    assert half_width(found) == pytest.approx(found.high - found.value, rel=0.02)
    assert half_width(found, seeds=20) < half_width(found)
    assert half_width(found, images=4000) < half_width(found)
    hundredfold = half_width(found, seeds=10**4, images=10**6), half_width(found, seeds=10**2, images=10**4)
    assert hundredfold[0] == pytest.approx(hundredfold[1] / 10, rel=0.05)
    expected = (stats.t.ppf(0.975, found.freedom) + stats.t.ppf(0.8, found.freedom)) * found.error
    assert detectable(found) == pytest.approx(expected)
    assert seeds_needed(found, 1e-9) is None
    assert seeds_needed(found, half_width(found)) == 5
    assert images_needed(found, 1e-9) is None
    still = of(drawn(seed=0))
    images = images_needed(still, 0.7 * half_width(still))
    assert half_width(still, images=images) <= 0.7 * half_width(still) < half_width(still, images=int(0.8 * images))
