"""Contrasts of archs on several labels per image: the verdict's score is mAP, classes differ by average precision."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from kerascnn.comparison.compare_config import Compare, judged
from kerascnn.comparison.contrasts import ArchPredictions, contrast
from kerascnn.errors import UserError
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import MULTI, SINGLE

NAMES = ("a", "b", "c")
LABELS = np.random.default_rng(0).random((120, 3)) < (0.5, 0.3, 0.2)
IDS = np.array([f"{i}.jpg" for i in range(120)])


def arch(name: str, skill: tuple[float, ...], seeds: int = 3) -> ArchPredictions:
    by_seed = {}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, len(name)])
        logits = rng.normal(size=LABELS.shape) + LABELS * skill
        probabilities = (1 / (1 + np.exp(-logits))).astype("float32")
        by_seed[seed] = Predictions(IDS, None, LABELS, probabilities, Thresholds((0.5, 0.6, 0.7), 0.6, "val"))
    return ArchPredictions(name, NAMES, by_seed)


def test_the_difference_is_that_of_mean_average_precision() -> None:
    first, second = arch("resnet", (2, 2, 0)), arch("inception", (2, 2, 4))
    found = contrast(first, second, "mean_average_precision", rounds=300)
    means = [
        np.mean([average_precision_score(LABELS, one.probabilities) for one in side.by_seed.values()])
        for side in (first, second)
    ]
    assert found.difference.value == pytest.approx(means[1] - means[0])
    assert found.difference.low > 0
    assert [one.images for one in found.classes] == LABELS.sum(axis=0).tolist()
    assert found.classes[2].p < 0.05 < found.classes[0].p
    gap = [
        np.mean([average_precision_score(LABELS[:, 2], one.probabilities[:, 2]) for one in side.by_seed.values()])
        for side in (first, second)
    ]
    assert found.classes[2].difference.value == pytest.approx(gap[1] - gap[0])
    for seed, test in zip(found.seeds, found.pairs, strict=True):
        right = [side.by_seed[seed].correct for side in (first, second)]
        assert test.only_second == (right[1] & ~right[0]).sum()


@pytest.mark.parametrize("metric", [row.name for row in MULTI.shown_in("compare")])
def test_every_score_of_the_task_is_compared(metric: str) -> None:
    one = arch("resnet", (2, 2, 2))
    same = contrast(one, one, metric, rounds=50).difference
    assert (same.value, same.low <= 0 <= same.high) == (0, True)


def test_a_random_order_is_weak_and_a_failed_run_is_chance() -> None:
    assert arch("resnet", (2, 2, 2)).weak() == []
    (said,) = arch("resnet", (0, 0, 0)).weak()
    assert said.startswith("resnet cannot be told from a random order of the images by mAP: seeds 0 1 2")
    failed = arch("resnet", (2, 2, 2), seeds=1).with_failed([7])
    assert failed.values("mean_average_precision")[7] == pytest.approx(LABELS.mean())


def test_the_other_task_is_another_comparison() -> None:
    single = ArchPredictions(
        "old", NAMES, {0: Predictions(IDS, None, LABELS.argmax(axis=1), np.full((120, 3), 1 / 3, "float32"))}
    )
    with pytest.raises(UserError, match="of images with several labels"):
        contrast(single, arch("resnet", (1, 1, 1)), "loss")
    assert judged(Compare(), MULTI, 3).metric == "mean_average_precision"
    assert judged(Compare(), SINGLE, 3).metric == "accuracy"
    with pytest.raises(UserError, match="--metric accuracy: a score of the other task"):
        judged(Compare(metric="accuracy"), MULTI, 3)
