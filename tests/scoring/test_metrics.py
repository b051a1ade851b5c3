"""The rows of scores fit together, and what is derived from them agrees with what is measured."""

import numpy as np
import pytest

from kerascnn.scoring import metrics
from kerascnn.scoring.metrics import SCORES
from kerascnn.scoring.task import SINGLE, of_column
from kerascnn.statistics import class_counts


def drawn(n: int = 200, classes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, classes, n), rng.normal(size=(n, classes))
    logits[np.arange(n), labels] += 1.5
    return (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype("float32"), labels


def test_every_score_has_an_interval() -> None:
    probabilities, labels = drawn()
    found = metrics.measured(SCORES.values(), probabilities, labels)
    assert found.keys() == SCORES.keys() | {"ece_null"}
    for name, score in SCORES.items():
        low, value, high, n = (found[name][key] for key in ("low", "value", "high", "n"))
        least, most = score.bounds
        assert least <= low < value < high <= (np.inf if most is None else most), name
        assert n == 200


def test_of_few_classes_some_say_nothing() -> None:
    probabilities, labels = drawn(classes=5)
    assert SCORES.keys() - metrics.measured(SCORES.values(), probabilities, labels).keys() == {"top5"}
    alone = metrics.measured(SCORES.values(), np.ones((3, 1), "float32"), np.zeros(3, int))
    assert alone["auroc"] is alone["average_precision"] is None


@pytest.mark.parametrize("name", [score.name for score in SCORES.values() if score.each or score.of_counts])
def test_what_is_resampled_is_what_is_measured(name: str) -> None:
    probabilities, labels = drawn()
    score = SCORES[name]
    value = metrics.measured([score], probabilities, labels)[name]["value"]
    sample = score.sample(probabilities, labels)
    assert score.resampled(labels[None], sample[None], 8)[0] == pytest.approx(value)
    if score.of_counts:
        counted = class_counts.from_counts(score.of_counts, labels[None], probabilities.argmax(axis=1)[None], 8)
        assert counted[0] == pytest.approx(value)


def test_each_is_known_where_it_is_shown() -> None:
    for score in SCORES.values():
        if score.epoch == "counts":
            assert score.of_counts, "the Keras metric needs it"
        if "compare" in score.places:
            assert score.each or score.of_counts or score.drawn, "differences are resampled"
            assert "run" in score.places, "val chooses among variants by it"
        assert score.measure or score.of_counts, "evaluate measures it"
    assert set(SINGLE.monitors) == {"val_accuracy", "val_loss", *(score.column for score in metrics.counted())}
    assert (SINGLE.monitors["val_loss"], SINGLE.monitors["val_macro_f1"]) == ("min", "max")


def test_text() -> None:
    assert SCORES["accuracy"].show_interval({"value": 0.9, "low": 0.85, "high": 1}, 8) == "  90.00%  [85.00%, 100.00%]"
    assert SCORES["loss"].show(0.5) == "0.5000"
    assert of_column("val_loss") is of_column("loss") is SCORES["loss"]
    assert of_column("seconds") is None
