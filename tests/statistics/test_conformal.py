"""Conformal thresholds: by hand, against MAPIE's, and the coverage that theory promises."""

import math

import numpy as np
import pytest
from scipy import stats

from kerascnn.statistics import conformal

COVERAGE = 0.9


def predictions(n: int, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, classes] and labels [n] that are drawn from somewhat different ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    sharper = np.exp(1.5 * logits)
    return sharper / sharper.sum(axis=1, keepdims=True), labels


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(conformal.lac(probabilities), [[0.8, 0.5, 0.7], [0.9, 0.9, 0.2]])
    np.testing.assert_allclose(conformal.aps(probabilities), [[0.8, 0, 0.5], [0.8, 0.9, 0]])  # equals in their order
    np.testing.assert_allclose(conformal.aps(probabilities, 0), [[1, 0.5, 0.8], [0.9, 1, 0.8]])
    np.testing.assert_allclose(
        conformal.raps(probabilities, penalty=0.1, free=1), [[0.8 + 0.2, 0, 0.5 + 0.1], [0.8 + 0.1, 0.9 + 0.2, 0]]
    )
    assert list(conformal.SCORES) == ["lac", "aps", "raps"]


@pytest.mark.parametrize(
    ("n", "coverage", "rank"), [(9, 0.9, 9), (8, 0.9, 9), (99, 0.9, 90), (100, 0.9, 91), (19, 0.95, 19), (1, 0.5, 1)]
)
def test_the_rank_of_the_threshold(n: int, coverage: float, rank: int) -> None:
    scores = np.random.default_rng(0).permutation(n) + 1.0
    assert conformal.rank(n, coverage) == rank
    assert conformal.threshold(scores, coverage) == (rank if rank <= n else math.inf)


def test_a_class_or_a_stratum_with_few_images_has_the_threshold_of_all() -> None:
    labels = np.array([0] * 60 + [1] * 49 + [2] * 50)
    scores = np.random.default_rng(1).random((len(labels), 3))
    truth = conformal.of_truth(scores, labels)
    every = conformal.threshold(truth, COVERAGE)
    found = conformal.by_class(scores, labels, COVERAGE)
    assert found[1] == every
    assert found[0] == conformal.threshold(truth[:60], COVERAGE)
    assert found[2] == np.sort(truth[109:])[45]  # ceil(51 * 0.9) = 46th of 50
    strata = ["day"] * 60 + ["dusk"] * 49 + ["night"] * 50
    assert conformal.by_stratum(scores, labels, strata, COVERAGE) == {"day": found[0], "night": found[2]}


def test_as_mapie() -> None:
    """LAC, and APS with MAPIE's own random numbers: the same threshold and the same sets."""
    classification = pytest.importorskip("mapie.classification", reason="extra test: pip install mapie")
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        """A fitted classifier whose images are their probabilities."""

        def __init__(self) -> None:
            self.classes_ = np.arange(6)

        def fit(self, *_: object) -> "Given":
            return self

        def predict_proba(self, images: np.ndarray) -> np.ndarray:
            return images

        def predict(self, images: np.ndarray) -> np.ndarray:
            return images.argmax(axis=1)

    (known, labels), (new, _) = predictions(301), predictions(200, seed=1)
    for score in ("lac", "aps"):
        theirs = classification.SplitConformalClassifier(
            Given(), COVERAGE, conformity_score=score, prefit=True, random_state=3
        )
        theirs.conformalize(known, labels)
        _, sets = theirs.predict_set(new)
        # MAPIE leaves a random share of the true class's own probability out of the calibration scores.
        share = np.random.RandomState(3).uniform(size=len(known))
        scores = conformal.lac(known) if score == "lac" else conformal.aps(known, share)
        limit = conformal.threshold(conformal.of_truth(scores, labels), COVERAGE)
        assert limit == pytest.approx(np.ravel(theirs._mapie_classifier.conformity_score_function_.quantiles_)[0])
        np.testing.assert_array_equal(conformal.SCORES[score](new) <= limit + 1e-12, sets[:, :, 0], score)


def test_the_penalty_of_ranks_as_mapie() -> None:
    sets = pytest.importorskip("mapie.conformity_scores.sets", reason="extra test: pip install mapie")
    probabilities, labels = predictions(100, classes=9)
    plain = conformal.of_truth(conformal.aps(probabilities), labels)
    ranks = 1 + (probabilities > conformal.of_truth(probabilities, labels)[:, None]).sum(axis=1)
    theirs = sets.RAPSConformityScore._regularize_conformity_score(
        np.array([conformal.FREE_RANKS]), np.array([conformal.PENALTY]), plain[:, None], ranks
    )
    np.testing.assert_allclose(conformal.of_truth(conformal.raps(probabilities), labels), theirs[:, 0, 0])


@pytest.mark.parametrize("score", conformal.SCORES)
def test_coverage_over_many_calibrations(score: str) -> None:
    """The mean is the nominal one or above, and the spread that of the Beta distribution, not only that of test."""
    n, images, rounds = 99, 400, 400
    probabilities, labels = predictions(rounds * (n + images))
    scores = conformal.of_truth(conformal.SCORES[score](probabilities), labels).reshape(rounds, n + images)
    found = np.array([(one[n:] <= conformal.threshold(one[:n], COVERAGE)).mean() for one in scores])
    spread = conformal.expected_coverage(n, images, COVERAGE)
    assert found.mean() > COVERAGE - 3 * found.std() / math.sqrt(rounds)
    assert spread.mean == pytest.approx(0.9)
    if score == "lac":  # without ties the coverage is exact
        assert found.mean() == pytest.approx(spread.mean, abs=4 * found.std() / math.sqrt(rounds))
        inside = ((found >= spread.low) & (found <= spread.high)).mean()
        assert 0.92 < inside < 0.985
        of_test_alone = 1.96 * math.sqrt(0.9 * 0.1 / images)
        assert found.std() * 1.96 > 1.5 * of_test_alone, "the calibration images count"


def test_expected_coverage() -> None:
    whole = conformal.expected_coverage(999, None, COVERAGE)
    assert whole.mean == pytest.approx(0.9)
    assert (whole.low, whole.high) == pytest.approx(tuple(stats.beta(900, 100).ppf((0.025, 0.975))))
    some = conformal.expected_coverage(999, 100, COVERAGE)
    assert some.low < whole.low < whole.high < some.high
    assert conformal.expected_coverage(8, 100, COVERAGE) == (1, 1, 1), "too few images: every class is in the set"


def several(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, 5] of labels, and the labels, bool; some images have none."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 5)) * 1.5 - 1
    return 1 / (1 + np.exp(-1.3 * logits)), rng.random((n, 5)) < 1 / (1 + np.exp(-logits))


def test_the_threshold_of_labels_is_the_highest_one_that_is_allowed() -> None:
    probabilities, labels = several(80)
    n, most = len(labels), 0.1

    def allowed(limit: float) -> bool:
        missed = conformal.missed_shares(probabilities >= limit, labels)
        return (missed.sum() + 1) / (n + 1) <= most + 1e-12

    limit = conformal.label_threshold(probabilities, labels, most)
    assert 0 < limit < 1
    assert allowed(limit)
    assert not allowed(float(np.nextafter(limit, 1)))
    assert conformal.label_threshold(probabilities[:8], labels[:8], most) == 0, "8 images cannot promise it"
    tied = np.full((40, 2), 0.5)
    assert conformal.label_threshold(tied, np.ones((40, 2), bool), 0.3) == 0.5, "equal ones are taken together"


def test_the_share_of_missed_labels_over_many_calibrations() -> None:
    n, images, rounds, most = 60, 200, 300, 0.15
    probabilities, labels = (one.reshape(rounds, n + images, 5) for one in several(rounds * (n + images)))
    found = []
    for p, y in zip(probabilities, labels, strict=True):
        limit = conformal.label_threshold(p[:n], y[:n], most)
        found.append(conformal.missed_shares(p[n:] >= limit, y[n:]).mean())
    error = np.std(found) / math.sqrt(rounds)
    assert most - 1 / (n + 1) - 0.01 < np.mean(found) < most + 3 * error


def test_labels_as_mapie() -> None:
    """MAPIE looks for the threshold on a grid: its choice is the last grid point up to ours."""
    control = pytest.importorskip("mapie.risk_control", reason="extra test: pip install mapie")
    probabilities, labels = several(250)
    kept = labels.any(axis=1)  # MAPIE's recall of an image without labels is not defined
    probabilities, labels = probabilities[kept], labels[kept]
    theirs = control.MultiLabelClassificationController(
        predict_function=lambda images: images, risk="recall", method="crc", target_level=0.9
    )
    theirs.calibrate(probabilities, labels.astype(int))
    ours = conformal.label_threshold(probabilities, labels, 0.1)
    grid = np.ravel(theirs.predict_params)
    assert float(np.ravel(theirs.best_predict_param)[0]) == pytest.approx(grid[grid <= ours].max())
