"""Prediction sets of calibration images: what is measured, kept and said."""

import json

import numpy as np
import pytest
from sklearn.metrics import recall_score

from kerascnn.scoring import prediction_sets, selective_answers
from kerascnn.scoring.prediction_sets import KEY, Calibration
from kerascnn.scoring.predictions import Predictions

NAMES = ("cat", "dog", "\x1b[31mred")


def predictions(n: int, seed: int = 0, several: bool = False, classes: int = 3) -> Predictions:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    labels = (
        rng.random((n, classes)) < 1 / (1 + np.exp(-logits))
        if several
        else (logits + rng.gumbel(size=logits.shape)).argmax(1)
    )
    return Predictions.of_logits(np.array([f"{i}.png" for i in range(n)]), np.arange(n), labels, logits)


def calibration(n: int = 300, split: str = "calibration", grouped: bool = False, several: bool = False) -> Calibration:
    return Calibration(split, predictions(n, 1, several), grouped)


@pytest.mark.parametrize("score", ["lac", "aps", "raps"])
def test_what_is_measured(score: str) -> None:
    found, new = calibration(), predictions(500)
    entry = prediction_sets.scores(found, new, NAMES, coverage=0.8, score=score)[KEY]
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert (entry["coverage"], entry["score"], entry["from"], entry["n"], entry["exact"]) == (
        0.8,
        score,
        "calibration",
        300,
        True,
    )
    marginal, by_class = entry["rules"]["marginal"], entry["rules"]["class"]
    sets = prediction_sets.rule(found, 0.8, score).sets(new.probabilities)
    covered = sets[np.arange(500), new.labels]
    assert marginal["coverage"]["value"] == covered.mean()
    assert marginal["size"]["value"] == pytest.approx(sets.sum(axis=1).mean())
    assert marginal["one"] == (sets.sum(axis=1) == 1).mean()
    assert sum(row["n"] * row["coverage"]["value"] for row in marginal["per_class"]) == pytest.approx(covered.sum())
    assert sum(row["calibration"] for row in marginal["per_class"]) == 300
    assert all(row["own"] for row in by_class["per_class"])
    assert len({row["threshold"] for row in by_class["per_class"]}) == 3
    assert {row["threshold"] for row in marginal["per_class"]} == {marginal["threshold"]}
    assert marginal["expected"]["low"] < 0.8 < marginal["expected"]["high"]
    if score != "lac":
        assert marginal["empty"] == 0


def test_strata_have_thresholds_of_their_own() -> None:
    found, new = calibration(), predictions(400)
    strata = (["day"] * 250 + ["night"] * 50, ["day"] * 200 + ["night"] * 150 + ["never seen"] * 50)
    entry = prediction_sets.scores(found, new, NAMES, strata=strata)[KEY]
    rows = {row["name"]: row for row in entry["rules"]["stratum"]["per_stratum"]}
    assert {name: (row["n"], row["own"]) for name, row in rows.items()} == {
        "day": (200, True),
        "night": (150, True),
        "never seen": (50, False),
    }
    one = prediction_sets.rule(found, strata=strata[0])
    assert one.by_stratum is not None
    limits = np.array([one.by_stratum.get(name, one.threshold) for name in strata[1]])
    covered = 1 - new.probabilities[np.arange(400), new.labels].astype("float64") <= limits
    assert rows["night"]["coverage"]["value"] == covered[200:350].mean()
    assert any(line.startswith("never seen") for line in prediction_sets.table(entry))


def test_several_labels_have_a_bound_on_what_is_missed() -> None:
    found, new = calibration(400, several=True), predictions(300, several=True)
    entry = prediction_sets.scores(found, new, NAMES, coverage=0.9)[KEY]
    assert entry["score"] == "labels"
    one = entry["rules"]["marginal"]
    taken = new.probabilities >= one["threshold"]
    kept = new.labels.any(axis=1)
    recall = recall_score(new.labels[kept], taken[kept], average="samples")
    assert one["missed"]["value"] == pytest.approx((1 - recall) * kept.mean())
    assert one["missed"]["value"] < 0.15
    line = prediction_sets.lines("test", entry)[0]
    assert line.startswith("sets: at most 10% of an image's labels missed; ")
    assert selective_answers.scores(found, new) == {}


def test_too_few_images_promise_nothing() -> None:
    entry = prediction_sets.scores(calibration(8), predictions(50), NAMES)[KEY]
    json.dumps(entry, allow_nan=False)
    one = entry["rules"]["marginal"]
    assert (one["threshold"], one["coverage"]["value"], one["size"]["value"]) == (None, 1, 3)
    assert prediction_sets.scores(None, predictions(50), NAMES) == {}


@pytest.mark.parametrize(
    ("found", "exact", "said"),
    [
        (calibration(), True, "guaranteed on average for images like these: 300 calibration images chose nothing"),
        (calibration(split="val"), False, "approximate: val chose the checkpoint (n = 300;"),
        (calibration(grouped=True), False, "approximate: images of a group are not independent"),
    ],
)
def test_the_guarantee_is_said_only_where_it_holds(found: Calibration, exact: bool, said: str) -> None:
    entry = prediction_sets.scores(found, predictions(200), NAMES)[KEY]
    assert entry["exact"] is exact
    assert said in prediction_sets.lines("test", entry)[1]
    assert "\x1b" not in "\n".join([*prediction_sets.lines("test", entry), *prediction_sets.table(entry)])


def test_answers_at_an_accuracy() -> None:
    found, new = calibration(), predictions(500)
    entry = selective_answers.scores(found, new, accuracy=0.9)[selective_answers.KEY]
    certain = new.probabilities.max(axis=1) >= entry["certainty"]
    assert entry["share"]["value"] == certain.mean()
    assert entry["accuracy"]["value"] == new.correct[certain].mean()
    chosen = found.predictions
    among = chosen.correct[chosen.probabilities.max(axis=1) >= entry["certainty"]]
    assert among.mean() >= 0.9
    assert selective_answers.line(entry).startswith(f"answers {certain.mean():.1%} of the images [")


def test_no_certainty_is_enough() -> None:
    wrong = predictions(60)
    wrong = Predictions(wrong.ids, wrong.indices, (wrong.predicted + 1) % 3, wrong.probabilities)
    entry = selective_answers.scores(Calibration("val", wrong), predictions(50))[selective_answers.KEY]
    json.dumps(entry, allow_nan=False)
    assert (entry["certainty"], entry["share"]["value"], entry["accuracy"]) == (None, 0, None)
    assert "answers no image at 99% accuracy" in selective_answers.line(entry)
