"""Scores of several labels agree with scikit-learn, and their intervals with a bootstrap of images."""

import numpy as np
import pytest
from sklearn import metrics as sk

from kerascnn.scoring.label_metrics import ROWS, Thresholds
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import MULTI
from kerascnn.statistics import several_labels

SCORES = {row.name: row for row in ROWS}


def drawn(n: int = 300, classes: int = 5, seed: int = 0, skill: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random((n, classes)) < np.linspace(0.6, 0.1, classes)
    logits = rng.normal(size=(n, classes)) + skill * labels - 1
    return (1 / (1 + np.exp(-logits))).astype("float32"), labels


def predictions(n: int = 300, seed: int = 0, **options) -> Predictions:
    probabilities, labels = drawn(n, seed=seed, **options)
    thresholds = Thresholds.chosen(*drawn(200, seed=seed + 1, **options), "val")
    return Predictions(np.arange(n).astype(str), np.arange(n), labels, probabilities, thresholds)


def test_scores_agree_with_sklearn() -> None:
    found = predictions()
    scores = {name: entry["value"] for name, entry in MULTI.measured(ROWS, found).items()}
    own, one = (found.thresholds.decide(found.probabilities, which) for which in ("each", "one"))
    assert scores == pytest.approx(
        {
            "mean_average_precision": sk.average_precision_score(found.labels, found.probabilities, average="macro"),
            "auroc": sk.roc_auc_score(found.labels, found.probabilities, average="macro"),
            "micro_f1": sk.f1_score(found.labels, one, average="micro"),
            "macro_f1": sk.f1_score(found.labels, own, average="macro"),
            "micro_f1_each": sk.f1_score(found.labels, own, average="micro"),
            "macro_f1_one": sk.f1_score(found.labels, one, average="macro"),
            "exact_match": sk.accuracy_score(found.labels, own),
            "hamming_loss": sk.hamming_loss(found.labels, own),
            "loss": np.mean([sk.log_loss(found.labels[:, c], found.probabilities[:, c]) for c in range(5)]),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("name", SCORES)
def test_an_interval_is_that_of_a_bootstrap_of_images(name: str) -> None:
    found, rule = predictions(400), SCORES[name]
    if name == "auroc":
        pytest.skip("no comparison draws it")
    index = np.random.default_rng(3).integers(0, 400, (1500, 400))
    values = rule.sampler(found)(index)
    entry = MULTI.measured([rule], found)[name]
    assert rule.sampler(found)(np.arange(400)[None])[0] == pytest.approx(entry["value"])
    low, high = np.quantile(values, (0.025, 0.975))
    assert entry["high"] - entry["low"] == pytest.approx(high - low, rel=0.2)
    assert entry["n"] == 400


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    """Of 250 samples 92 to 96 % hold the score of a large one, with 20 positives of the rarest class."""
    truth = MULTI.measured(ROWS, predictions(40_000, seed=99))
    fixed = predictions(seed=99).thresholds
    held = dict.fromkeys(("mean_average_precision", "auroc", "exact_match", "hamming_loss", "loss", "macro_f1"), 0)
    for seed in range(250):
        probabilities, labels = drawn(200, seed=1000 + seed)
        found = Predictions(np.arange(200).astype(str), None, labels, probabilities, fixed)
        for name, entry in MULTI.measured([SCORES[name] for name in held], found).items():
            held[name] += entry["low"] <= truth[name]["value"] <= entry["high"]
    assert all(count >= 0.91 * 250 for count in held.values()), held


def test_groups_widen_an_interval() -> None:
    found = predictions(100)
    twice = Predictions(
        np.arange(200).astype(str),
        None,
        np.repeat(found.labels, 2, axis=0),
        np.repeat(found.probabilities, 2, axis=0),
        found.thresholds,
    )
    groups = np.repeat(np.arange(100), 2)
    for name, entry in MULTI.measured(ROWS, found).items():
        grouped = MULTI.measured(ROWS, twice, groups)[name]
        assert grouped["value"] == pytest.approx(entry["value"])
        assert grouped["high"] - grouped["low"] == pytest.approx(entry["high"] - entry["low"], rel=0.25), name


def test_a_class_without_images_of_both_kinds_is_left_out() -> None:
    probabilities, labels = drawn()
    labels[:, 1], labels[:, 2] = False, True
    found = several_labels.ranking(probabilities, labels)
    assert found.classes[1] is found.classes[2] is None
    kept = [0, 3, 4]
    expected = sk.average_precision_score(labels[:, kept], probabilities[:, kept], average="macro")
    assert found.average_precision is not None
    assert found.average_precision.value == pytest.approx(expected)
    assert several_labels.ranking(probabilities, np.zeros_like(labels)).average_precision is None


def test_thresholds_have_the_highest_f1() -> None:
    probabilities, labels = drawn()
    each, one = several_labels.best_thresholds(probabilities, labels)
    tried = np.unique(probabilities)
    for c in range(5):
        best = max(sk.f1_score(labels[:, c], probabilities[:, c] >= at) for at in np.unique(probabilities[:, c]))
        assert sk.f1_score(labels[:, c], probabilities[:, c] >= each[c]) == pytest.approx(best)
        assert each[c] not in probabilities
    best = max(sk.f1_score(labels, probabilities >= at, average="micro") for at in tried[::7])
    assert sk.f1_score(labels, probabilities >= one, average="micro") >= best


def test_thresholds_without_positives() -> None:
    probabilities, labels = drawn()
    labels[:, 0] = False
    each, one = several_labels.best_thresholds(probabilities, labels)
    assert each[0] == one
    assert several_labels.best_thresholds(probabilities, np.zeros_like(labels)) == ([0.5] * 5, 0.5)


def test_a_perfect_network_is_not_certain() -> None:
    _, labels = drawn(60)
    found = Predictions(np.arange(60).astype(str), None, labels, labels * np.float32(0.8) + np.float32(0.1), None)
    for name, entry in MULTI.measured(ROWS, found).items():
        row = SCORES[name]
        assert entry["low"] < entry["high"], name
        if row.unit == "share":
            assert entry["value"] == (1 if row.better == "max" else 0)


def test_precisions_of_positives_have_the_average_precision_as_their_mean() -> None:
    probabilities, labels = drawn()
    mean = several_labels.precisions(probabilities[:, 0], labels[:, 0]).mean()
    assert mean == pytest.approx(sk.average_precision_score(labels[:, 0], probabilities[:, 0]))
