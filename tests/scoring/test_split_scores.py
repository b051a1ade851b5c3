"""Scores of a split agree with scikit-learn; each has its interval."""

import json

import numpy as np
import pytest
from sklearn.metrics import (
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    recall_score,
    top_k_accuracy_score,
)

from kerascnn.errors import UserError
from kerascnn.scoring import split_scores
from kerascnn.scoring.measures import among_top
from kerascnn.scoring.metrics import SCORES
from kerascnn.scoring.predictions import Predictions

NAMES = [f"class {i}" for i in range(7)]


def score(probabilities, labels, names, groups=None):
    return split_scores.score(Predictions(np.arange(len(labels)), None, labels, probabilities), names, groups)


def random_answers(n, seed, classes=7, present=range(7)):
    rng = np.random.default_rng(seed)
    labels = rng.choice(list(present), n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities.astype("float32"), labels


def test_scores_agree_with_sklearn():
    probabilities, labels = random_answers(300, 0)
    predicted = probabilities.argmax(1)
    found = score(probabilities, labels, NAMES)
    assert found["accuracy"]["value"] == (predicted == labels).mean()
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["loss"]["value"] == pytest.approx(log_loss(labels, probabilities), abs=1e-6)
    assert found["top5"]["value"] == top_k_accuracy_score(labels, probabilities, k=5)
    assert found["majority"] == np.bincount(labels).max() / 300
    precision, recall, f1, n = precision_recall_fscore_support(labels, predicted)
    for c, row in enumerate(found["per_class"]):
        shares = (row["precision"]["value"], row["recall"]["value"], row["f1"])
        assert shares == pytest.approx((precision[c], recall[c], f1[c]))
        assert (row["name"], row["n"], row["recall"]["n"]) == (NAMES[c], n[c], n[c])
    assert found["worst_class"]["name"] == NAMES[f1.argmin()]


def test_intervals_hold_their_values():
    probabilities, labels = random_answers(300, 1)
    found = score(probabilities, labels, NAMES)
    for name in ("accuracy", "top5", "macro_f1", "balanced_accuracy", "loss"):
        low, value, high, n = (found[name][key] for key in ("low", "value", "high", "n"))
        assert low < value < high
        assert n == 300
        assert high - low < 0.5
    assert score(probabilities, labels, NAMES) == found, "a second reading gives the same intervals"


def test_classes_that_are_absent_or_never_answered():
    """Class 2 has no images and is never answered, class 1 is answered without images, class 0 never answered."""
    labels = np.array([0, 3, 3, 3])
    probabilities = np.eye(4, dtype="float32")[[1, 3, 3, 3]]
    found = score(probabilities, labels, NAMES[:4])
    zero, one, two, three = found["per_class"]
    assert zero["recall"]["value"] == 0
    assert zero["precision"] is None
    assert one["recall"] is None
    assert (one["precision"]["value"], one["f1"]) == (0, 0)
    assert (two["recall"], two["precision"], two["f1"]) == (None, None, None)
    assert (three["recall"]["value"], three["f1"]) == (1, 1)
    assert found["worst_class"]["name"] == "class 0"
    assert found["macro_f1"]["value"] == pytest.approx(1 / 3), "as sklearn: mean of classes 0, 1, 3"
    assert found["balanced_accuracy"]["value"] == pytest.approx(1 / 2)
    assert "top5" not in found
    json.dumps(found, allow_nan=False)


def test_vectorised_statistics_agree_with_sklearn_round_by_round():
    probabilities, labels = random_answers(40, 2, present=[0, 2, 5])
    predicted = probabilities.argmax(1)
    index = np.random.default_rng(0).integers(0, 40, (20, 40))
    f1 = SCORES["macro_f1"].resampled(labels[index], predicted[index], 7)
    balanced = SCORES["balanced_accuracy"].resampled(labels[index], predicted[index], 7)
    for i, rows in enumerate(index):
        true, answered = labels[rows], predicted[rows]
        assert f1[i] == pytest.approx(f1_score(true, answered, average="macro", zero_division=0))
        recall = recall_score(true, answered, labels=np.unique(true), average="macro")
        assert balanced[i] == pytest.approx(recall)


def test_top_5_counts_ties_as_argmax_does():
    """Of equal probabilities the first class comes first: a network that says nothing is right for five classes of ten."""
    silent = np.full((10, 10), 0.1, "float32")
    assert among_top(silent, np.arange(10)).tolist() == [True] * 5 + [False] * 5
    found = score(silent, np.arange(10), [str(i) for i in range(10)])
    assert found["top5"]["value"] == 0.5
    sample = SCORES["top5"].sample(silent, np.arange(10))
    compared = SCORES["top5"].resampled(np.arange(10)[None], sample[None], 10)
    assert compared == found["top5"]["value"], "evaluate and compare count alike"
    one_ahead = silent.copy()
    one_ahead[:, 9] = 0.2
    assert among_top(one_ahead, np.arange(10)).tolist() == [True] * 4 + [False] * 5 + [True]


def test_f1_of_a_class_has_an_interval_of_its_own():
    labels = np.array([0] * 10 + [1] * 10)
    found = split_scores.per_class(labels, labels, NAMES[:2])
    assert (found[0]["f1"], found[0]["f1_high"]) == (1, 1)
    assert 0.7 < found[0]["f1_low"] < 0.9, "ten right images are no certainty"
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        right = rng.random(20) < 0.9
        row = split_scores.per_class(labels, np.where(right, labels, 1 - labels), NAMES[:2])[0]
        held += row["f1_low"] <= 0.9 <= row["f1_high"]
    assert held >= 0.93 * 300


def test_groups_reach_every_interval():
    """Ten copies of each image say no more than the image."""
    probabilities, labels = random_answers(60, 5)
    groups = np.repeat(np.arange(60), 10)
    once = score(probabilities, labels, NAMES, np.arange(60))
    copied = score(np.repeat(probabilities, 10, axis=0), np.repeat(labels, 10), NAMES, groups)
    assert copied["groups"] == 60
    for name in ("accuracy", "top5", "macro_f1", "balanced_accuracy", "loss"):
        ends = [(found[name]["low"], found[name]["high"]) for found in (once, copied)]
        assert ends[1] == pytest.approx(ends[0], abs=1e-9), name
    blind = score(np.repeat(probabilities, 10, axis=0), np.repeat(labels, 10), NAMES)
    assert "groups" not in blind
    assert blind["accuracy"]["high"] - blind["accuracy"]["low"] < 0.5 * (ends[1][1] - ends[1][0])
    for one, many in zip(once["per_class"], copied["per_class"], strict=True):
        assert many["recall"]["low"] == pytest.approx(one["recall"]["low"])
        assert (many["f1_low"], many["f1_high"]) == pytest.approx((one["f1_low"], one["f1_high"]))


def test_refuses():
    with pytest.raises(UserError, match="nothing to score"):
        score(np.zeros((0, 7)), np.zeros(0, int), NAMES)
    with pytest.raises(ValueError, match=r"expected probabilities \[2, 7\]"):
        score(np.zeros((2, 3)), np.zeros(2, int), NAMES)
    with pytest.raises(ValueError, match="1 images have a probability that is no number"):
        score(np.array([[np.nan, 1], [0, 1]]), np.zeros(2, int), NAMES[:2])
