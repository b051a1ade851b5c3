"""Each image is in one fold; folds are equal, stratified, groups together; a given test is apart; what is refused."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerascnn.config import Config, Data
from kerascnn.config.section import FieldError
from kerascnn.data import folds, load, preflight, split_file
from kerascnn.data.cut import cut, majority
from kerascnn.data.sources import Source
from kerascnn.errors import UserError
from tests.data.test_cut import CLASSES, kept, listing


def fold(found, number, count=5, **options):
    section = Data(folds=count, fold=number, **options)
    return cut(folds.applied(found, section), section, 32, "squash")


def test_each_image_is_test_once_and_never_trained_on_then():
    found = listing((103, 41))
    tested, seen = Counter(), Counter()
    for number in range(1, 6):
        splits = fold(found, number)
        tested.update(splits.test.ids())
        seen.update(splits.train.ids())
        assert not set(splits.test.ids()) & {*splits.train.ids(), *splits.val.ids()}
        assert sum(len(part) for part in splits.parts()) == 144
        assert len(splits.val) == pytest.approx(0.1 * (144 - len(splits.test)), abs=1.5)
    assert tested == Counter(found.source.ids)
    assert set(seen) == set(found.source.ids), "every image is trained on by some network of an ensemble"


@pytest.mark.parametrize("counts", [(11, 11, 11), (40, 7, 23), (100, 5, 5)])
def test_folds_are_stratified_and_equal(counts):
    numbers = [fold(listing(counts), number) for number in range(1, 6)]
    for label, count in enumerate(counts):
        of_class = [int((splits.test.labels == label).sum()) for splits in numbers]
        assert all(abs(each - count / 5) < 1 for each in of_class)
    sizes = [len(splits.test) for splits in numbers]
    assert max(sizes) - min(sizes) <= 2


def test_many_classes_with_a_remainder_fill_no_fold_first():
    labels = np.repeat(np.arange(50), 11)
    keys = [f"{label}/{i}" for i, label in enumerate(labels)]
    sizes = np.bincount(folds.fold_of(keys, labels, 5, 0))[1:]
    assert sizes.tolist() == [110] * 5


def test_groups_stay_together():
    ids = [f"{label}/film{i // 8}_{i}.jpg" for label in ("ant", "bee") for i in range(80)]
    found = listing((80, 80), ids=ids)
    lies = {}
    for number in range(1, 6):
        for path in fold(found, number, group_by=r"^\w+/film\d+_").test.ids():
            lies.setdefault(path.split("_")[0], set()).add(number)
    assert len(lies) == 20
    assert all(len(numbers) == 1 for numbers in lies.values())


def test_the_same_hash_cuts_folds_whatever_the_order_and_another_seed_cuts_others():
    keys, labels = [f"{i}.jpg" for i in range(60)], np.arange(60) % 2
    order = np.random.default_rng(0).permutation(60)
    here = folds.fold_of(keys, labels, 5, 0)
    there = folds.fold_of([keys[i] for i in order], labels[order], 5, 0)
    np.testing.assert_array_equal(here[order], there)
    assert (folds.fold_of(keys, labels, 5, 1) != here).any()


@pytest.mark.parametrize(
    ("given", "apart", "said"),
    [
        (["train"] * 80 + ["test"] * 20, 20, "the given test is apart: none of its 40 images is in a fold"),
        (["train"] * 80 + ["val"] * 20, 20, "the given val is used as test"),
        (["train"] * 60 + ["val"] * 20 + ["test"] * 20, 20, "the given val is in the folds"),
    ],
)
def test_a_given_test_is_apart(given, apart, said):
    found = listing((100, 100), given=given * 2)
    held = {path for path, where in zip(found.source.ids, given * 2, strict=True) if where == "test"}
    every = set()
    for number in range(1, 6):
        splits = fold(found, number)
        ids = {path for path, _, _ in splits.rows()}
        assert not ids & held
        assert len(ids) == 200 - 2 * apart
        every |= set(splits.test.ids())
        assert any(said in note for note in splits.notes)
    assert len(every) == 200 - 2 * apart
    whole = folds.whole(found, Data(folds=5), 32, "squash")
    assert (set(whole.train.ids()), len(whole.val), len(whole.test)) == (every, 0, 2 * apart)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"folds": 5, "fold": 6}, "--fold 6: there are 5 folds, counted from 1"),
        ({"folds": 5, "fold": 0}, "fold: expected greater than or equal to 1, got 0"),
        ({"fold": 2}, "--fold 2 of how many"),
        ({"folds": 1}, "folds: expected greater than or equal to 2"),
        ({"folds": 5, "val_is_val": True}, "--val-is-val and --folds"),
    ],
)
def test_what_contradicts_itself_is_refused(fields, said):
    with pytest.raises(FieldError, match=said):
        Data(**fields)


def test_more_folds_than_a_class_has_images_or_groups():
    with pytest.raises(UserError, match="--folds 5: 'bee' has 4 images, and each fold needs one: at most --folds 4"):
        fold(listing((100, 4)), 1)
    ids = [f"film{i // 25}_{i}.jpg" for i in range(100)]
    with pytest.raises(UserError, match="'ant' has 2 groups"):
        fold(listing((50, 50), ids=ids), 1, group_by=r"^film\d+_")
    with pytest.raises(UserError, match="expected a train split"):
        fold(listing((4, 4), given=["val", "test"] * 4), 1)


def test_a_split_file_with_val_contradicts_and_one_with_test_does_not(tmp_path):
    found = listing((30, 30))
    old = kept(cut(found, Data(), 32, "squash"), tmp_path)
    section = Data(folds=5, fold=1, split_file=old)
    contradicting = split_file.applied(found, section)
    with pytest.raises(UserError, match="has 10 images in val, but --folds cuts val from the other folds"):
        folds.applied(contradicting, section)
    file = Path(old)
    file.write_text(file.read_text(encoding="utf-8").replace(",val", ",train"), encoding="utf-8")
    splits = cut(folds.applied(split_file.applied(found, section), section), section, 32, "squash")
    assert any("the given test is apart: none of its 8 images" in note for note in splits.notes)


def test_folds_without_a_fold_are_refused_where_one_run_is_trained():
    with pytest.raises(UserError, match="--folds 5: which one"):
        preflight.check(Config(data={"folds": 5}))


def test_the_embedded_images():
    splits = load(Data(folds=10, fold=10, fraction=0.1))
    assert [len(part) for part in splits.parts()] == [490, 540, 600]
    assert load(Data(folds=10)).rows()[0][2] == "train"


def test_several_labels_are_stratified_and_each_image_is_test_once():
    labels = np.random.default_rng(0).random((200, 3)) < (0.5, 0.3, 0.1)
    found = listing((200,))
    ids = [f"{i}.jpg" for i in range(200)]
    found = replace(found, source=Source(ids, labels, CLASSES, 32, "squash"))
    tested = Counter()
    for number in range(1, 5):
        splits = fold(found, number, 4)
        tested.update(splits.test.ids())
        shares = splits.test.labels.sum(axis=0) / labels.sum(axis=0)
        assert shares == pytest.approx(0.25, abs=0.06)
    assert tested == Counter(ids)


def test_majority():
    assert majority(np.array([0, 1, 1, 1, 0]), np.array([7, 3, 3, 2, 5])).tolist() == [5, 3]
