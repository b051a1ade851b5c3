"""Runs' predictions, paired; verdicts from them."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from kerascnn.comparison.contrasts import ArchPredictions, contrast
from kerascnn.errors import UserError
from kerascnn.scoring.metrics import SCORES
from kerascnn.scoring.split_scores import score
from tests.comparison.make_runs import finished


def answers(tmp_path, arch, accuracy, seeds=(0, 1, 2), **options):
    return ArchPredictions.read(arch, {seed: finished(tmp_path, arch, seed, accuracy, **options) for seed in seeds})


def test_values_are_those_of_scoring(tmp_path):
    found = answers(tmp_path, "resnet20", 0.8)
    for seed, predictions in found.by_seed.items():
        scores = score(predictions, found.class_names)
        for metric in ("accuracy", "macro_f1", "balanced_accuracy", "loss"):
            assert found.values(metric)[seed] == pytest.approx(scores[metric]["value"])


def test_top5():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.random((300, 12)).astype("float32"), rng.integers(0, 12, 300)
    expected = top_k_accuracy_score(labels, probabilities, k=5, labels=range(12))
    assert SCORES["top5"].sample(probabilities, labels).mean() == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "balanced_accuracy", "loss"])
def test_contrast_finds_a_difference(tmp_path, metric):
    a, b = answers(tmp_path, "resnet20", 0.6), answers(tmp_path, "inception_small", 0.9)
    found = contrast(a, b, metric, rounds=300)
    difference, sign = found.difference, SCORES[metric].sign
    means = [np.mean(list(each.values(metric).values())) for each in (a, b)]
    assert difference.value == pytest.approx(means[1] - means[0])
    assert sign * difference.value > 0
    assert sign * (difference.low if sign > 0 else difference.high) > 0
    assert found.over_seeds is not None
    assert found.over_seeds.value == pytest.approx(difference.value)
    assert [pair.p < 1e-3 for pair in found.pairs] == [True] * 3
    assert [one.name for one in found.classes] == ["cat", "dog", "owl"]
    assert all(0 < one.p <= 1 and one.difference.value > 0.1 for one in found.classes)
    assert min(one.p for one in found.classes) < 0.05
    assert sum(one.images for one in found.classes) == 200


def test_a_rare_class_on_which_all_agree_is_no_certainty(tmp_path):
    """Five images of three classes each, or two: one arch is always right, the other never."""
    pair = [answers(tmp_path, arch, right, images=15) for arch, right in (("resnet20", 0), ("inception_small", 1))]
    found = contrast(*pair, "accuracy", rounds=50)
    assert [one.images for one in found.classes] == [5, 5, 5]
    # Five images of five on one side: 2 / 2**5 by an exact test, for three classes 3 times that.
    assert [one.p for one in found.classes] == pytest.approx([3 / 16] * 3)
    a, b = (answers(tmp_path, arch, right, images=6) for arch, right in (("resnet20", 0), ("inception_small", 1)))
    found = contrast(a, b, "accuracy", rounds=50)
    assert [one.images for one in found.classes] == [2, 2, 2]
    assert all(one.difference.value == 1 and one.p > 0.25 for one in found.classes)
    same = contrast(b, b, "macro_f1", rounds=50).difference
    assert same.low < -0.1 < same.value == 0 < 0.1 < same.high


def test_the_other_way_round_is_the_same(tmp_path):
    a, b = answers(tmp_path, "resnet20", 0.7), answers(tmp_path, "inception_small", 0.8)
    there, back = (contrast(*pair, "accuracy", rounds=300).difference for pair in ((a, b), (b, a)))
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_common_seeds_alone(tmp_path):
    a, b = answers(tmp_path, "resnet20", 0.7), answers(tmp_path, "inception_small", 0.7, seeds=(2, 1, 7))
    assert contrast(a, b, "accuracy", rounds=50).seeds == (1, 2)
    with pytest.raises(UserError, match="none in common"):
        contrast(answers(tmp_path, "resnet20", 0.7, seeds=(0,)), b, "accuracy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ("cat", "dog", "fox")}, "other classes than resnet20: these are in one only: fox, owl"),
        ({"names": ("dog", "cat", "owl")}, "their order differs"),
        ({"ids": "photo"}, "other images than resnet20: 200 against 200, 0 in both"),
        ({"images": 100}, "100 against 200, 100 in both"),
    ],
)
def test_other_data_is_an_error(tmp_path, options, message):
    a, b = answers(tmp_path, "resnet20", 0.7), answers(tmp_path, "inception_small", 0.7, **options)
    with pytest.raises(UserError, match=message):
        contrast(a, b, "accuracy")


def test_no_images_and_no_run(tmp_path):
    with pytest.raises(UserError, match="has no test images"):
        answers(tmp_path, "resnet20", 0.7, images=0)
    with pytest.raises(UserError, match="no finished run"):
        ArchPredictions.read("resnet20", {})
    run = finished(tmp_path, "resnet20", 0, 0.7)
    run.metrics_file.unlink()
    with pytest.raises(UserError, match="not finished"):
        ArchPredictions.read("resnet20", {0: run})
