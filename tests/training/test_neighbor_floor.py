"""The vote of nearest neighbors, beside scikit-learn's, and which runs have a floor."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from kerascnn.artefacts.features import normalized
from kerascnn.training import neighbor_floor


@pytest.mark.parametrize("neighbors", [1, 3, 20])
def test_the_vote_is_scikit_learns(neighbors: int) -> None:
    random = np.random.default_rng(3)
    truth = random.integers(4, size=60)
    centers = random.normal(size=(4, 8))
    known = normalized(centers[truth] + random.normal(size=(60, 8))).astype(np.float32)
    asked = normalized(random.normal(size=(40, 8))).astype(np.float32)
    reference = KNeighborsClassifier(
        neighbors, metric="cosine", algorithm="brute", weights=lambda away: np.exp((1 - away) / 0.07)
    ).fit(known, truth)
    found = neighbor_floor.vote(known, truth, asked, neighbors, classes=5)
    assert np.array_equal(found, reference.predict(asked))
    assert len(set(found.tolist())) > 1


@pytest.mark.parametrize(
    ("train", "val", "weights", "several", "wanted"),
    [
        (200, 20, "imagenet", False, True),
        (200, 20, None, False, False),
        (5_001, 20, "imagenet", False, False),
        (200, 0, "imagenet", False, False),
        (200, 20, "imagenet", True, False),
    ],
)
def test_fine_tuning_on_few_images_has_a_floor(train, val, weights, several, wanted) -> None:
    splits = SimpleNamespace(train=range(train), val=range(val), task=SimpleNamespace(several=several))
    assert neighbor_floor.wanted(splits, weights) is wanted


def test_the_line_says_when_nothing_was_gained() -> None:
    floor = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 100, "neighbors": 5, "train": 1_200}
    worse = neighbor_floor.line({"accuracy": {"value": 0.8}, neighbor_floor.KEY: floor})
    better = neighbor_floor.line({"accuracy": {"value": 0.81}, neighbor_floor.KEY: floor})
    assert worse.startswith(better)
    assert better.endswith(
        "5 nearest of 1,200 training images, by the starting weights' features: 80.00%  [70.00%, 90.00%]"
    )
    assert "gained nothing" in worse
