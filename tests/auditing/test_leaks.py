"""Copies that matter: leaks, conflicts, and which copies to leave out."""

import numpy as np

from kerascnn.auditing import leaks
from kerascnn.data.copies import Copies

# a = b (equal), c a near-copy of them; d = e; f = g.
WHERE = {"a": "train", "b": "test", "c": "val", "d": "train", "e": "train", "f": "val", "g": "test", "h": "test"}
LABELS = {"a": "ant", "b": "ant", "c": "ant", "d": "ant", "e": "bee", "f": "bee", "g": "bee", "h": "bee"}
COPIES = Copies(
    tuple("abcdefg"),
    np.array([0, 0, 1, 2, 2, 3, 3], np.int32),
    np.array([0], np.int32),
    np.array([1], np.int32),
    np.array([False]),
    np.array([0.98], np.float32),
    near=True,
)


def test_leaks_and_conflicts() -> None:
    found = leaks.leaks(COPIES, WHERE, LABELS)
    assert found.test == {"b"}
    assert found.val == {"c"}
    assert found.chosen == {"g"}
    assert [pair[:2] for pair in found.conflicts] == [("d", "e")]
    assert found
    assert found.line == "1 test images have a copy in train, 2 images have a copy with another label"
    assert not leaks.leaks(COPIES, {"f": "val", "g": "test"}, LABELS)


def test_one_of_each_picture_is_left_in_test_before_val_before_train() -> None:
    pixels = dict.fromkeys(WHERE, 100)
    proposed = dict(leaks.proposals(COPIES, WHERE, LABELS, pixels))
    assert set(proposed) == {"a", "c", "d", "e", "f"}
    assert proposed["a"] == "a copy of b, which is in test"
    assert "different labels: ant, bee" in proposed["d"]
    left = {name: split for name, split in WHERE.items() if name not in proposed}
    assert not leaks.leaks(COPIES, left, LABELS)


def test_the_larger_of_two_copies_in_a_split_stays() -> None:
    where, labels = {"d": "train", "e": "train"}, {"d": "ant", "e": "ant"}
    assert [name for name, _ in leaks.proposals(COPIES, where, labels, {"d": 10, "e": 20})] == ["d"]


def test_counts_and_order() -> None:
    assert leaks.counts(COPIES, WHERE) == {
        "exact": {"train and test": 1, "within train": 1, "val and test": 1},
        "near": {"train and val": 1, "val and test": 1},
    }
    pairs = leaks.by_importance(list(COPIES.pairs(WHERE)), WHERE, LABELS)
    assert [pair[:2] for pair in pairs[:2]] == [("d", "e"), ("a", "b")], "labels first, then test and train"
