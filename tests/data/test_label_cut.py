"""The cut of images with several labels: shares of each label, order, groups, and one label each as without it."""

import numpy as np
import pytest

from kerascnn.config import Data
from kerascnn.data import labels as of_images
from kerascnn.data import split_file
from kerascnn.data.cut import cut
from kerascnn.data.listing import Listing
from kerascnn.data.sources import Source
from kerascnn.errors import UserError

NAMES = tuple("abcdefgh")
SHARES = (0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


def listing(n: int = 1000, seed: int = 0, labels: np.ndarray | None = None, ids: list[str] | None = None) -> Listing:
    rng = np.random.default_rng(seed)
    if labels is None:
        labels = rng.random((n, len(NAMES))) < SHARES
    ids = ids or [f"images/{i:05}.jpg" for i in range(len(labels))]
    return Listing(Source(ids, labels, NAMES, 32, "squash"), np.full(len(ids), ""), "0" * 64, "several")


def splits(found: Listing, **options):
    return cut(found, Data(**options), 32, "squash")


def where(result) -> dict[str, str]:
    return {path: split for path, _, split in result.rows()}


@pytest.mark.parametrize("seed", range(5))
def test_each_label_has_its_share_of_each_split(seed: int) -> None:
    found = splits(listing(seed=seed), split_seed=seed)
    counts = {split.name: split.labels.sum(axis=0) for split in found.parts()}
    whole = sum(counts.values())
    for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        off = np.abs(counts[name] - share * whole)
        assert (off <= np.maximum(2, 0.04 * share * whole)).all(), (name, counts[name], share * whole)
    sizes = [len(split) for split in found.parts()]
    assert sizes == pytest.approx([700, 150, 150], abs=20)


def test_it_is_as_even_as_random_cuts_are_not() -> None:
    found = listing(400)
    off = splits(found).test.labels.sum(axis=0) - 0.15 * found.source.labels.sum(axis=0)
    draws = [np.random.default_rng(i).permutation(400)[:60] for i in range(200)]
    by_chance = [found.source.labels[at].sum(axis=0) - 0.15 * found.source.labels.sum(axis=0) for at in draws]
    assert np.abs(off).mean() < 0.4 * np.abs(by_chance).mean()


def test_one_label_each_is_cut_as_without_several() -> None:
    one = np.random.default_rng(0).integers(0, len(NAMES), 500)
    rows = np.arange(len(NAMES)) == one[:, None]
    assert where(splits(listing(labels=rows))) == where(splits(listing(labels=one)))


def test_the_cut_does_not_depend_on_the_order_of_the_images() -> None:
    found = listing(300)
    order = np.random.default_rng(1).permutation(300)
    ids = [found.source.ids[i] for i in order]
    assert where(splits(found)) == where(splits(listing(labels=found.source.labels[order], ids=ids)))


def test_few_images_move_when_one_more_comes() -> None:
    labels = np.random.default_rng(0).random((1001, len(NAMES))) < SHARES
    before, after = where(splits(listing(labels=labels[:-1]))), where(splits(listing(labels=labels)))
    assert sum(before[name] != after[name] for name in before) < 20


def test_groups_stay_together() -> None:
    ids = [f"film{i // 4}_{i}.jpg" for i in range(400)]
    found = where(splits(listing(400, ids=ids), group_by=r"^film\d+_"))
    films: dict[str, set[str]] = {}
    for path, split in found.items():
        films.setdefault(path.split("_")[0], set()).add(split)
    assert all(len(names) == 1 for names in films.values())
    assert {"train", "val", "test"} == set(found.values())


def test_images_without_a_label_are_cut_too() -> None:
    found = splits(listing(600))
    lacking = {split.name: int((~split.labels.any(axis=1)).sum()) for split in found.parts()}
    assert lacking["val"] == pytest.approx(0.15 * sum(lacking.values()), abs=2)


def test_smaller_fractions_are_subsets_with_every_label() -> None:
    found = listing()
    parts = [set(splits(found, fraction=share).train.ids()) for share in (1.0, 0.5, 0.1)]
    assert parts[2] < parts[1] < parts[0]
    few = splits(found, fraction=0.02)
    assert (few.train.labels.any(axis=0) == splits(found).train.labels.any(axis=0)).all()


def test_rows_and_counts_name_all_labels() -> None:
    labels = np.zeros((40, len(NAMES)), bool)
    labels[::2, 0] = labels[::4, 2] = True
    found = splits(listing(labels=labels))
    rows = {path: label for path, label, _ in found.rows()}
    assert (rows["images/00000.jpg"], rows["images/00001.jpg"], rows["images/00002.jpg"]) == ("a|c", "", "a")
    summary = found.summary()
    assert summary["task"] == "multi"
    assert sum(count["a"] for count in summary["counts"].values()) == 20
    assert sum(summary["images"].values()) == 40
    assert found.lines()[0].endswith("0.75 labels per image")


def test_a_split_file_of_several_labels_is_taken_back(tmp_path) -> None:
    found = splits(listing(200), split_seed=3)
    file = tmp_path / "split.csv"
    file.write_text("path,label,split\n" + "".join(",".join(row) + "\n" for row in found.rows()))
    section = Data(split_file=str(file))
    assert where(cut(split_file.applied(listing(200), section), section, 32, "squash")) == where(found)
    file.write_text(file.read_text().replace("a|b", "a|c"))
    with pytest.raises(UserError, match=r"is 'a\|b.*', the file says 'a\|c"):
        split_file.applied(listing(200), section)


def test_the_task_is_that_of_the_labels_or_what_was_asked_for() -> None:
    one = np.random.default_rng(0).integers(0, len(NAMES), 50)
    found = listing(labels=one)
    of_images.for_task(found, "auto")
    assert not found.source.several
    of_images.for_task(found, "multi")
    assert (found.source.labels.sum(axis=1) == 1).all()
    assert (found.source.labels.argmax(axis=1) == one).all()
    with pytest.raises(UserError, match="the images of several have several labels each"):
        of_images.for_task(found, "single")


def test_a_label_that_train_lacks_is_refused() -> None:
    found = listing(100)
    found.source.labels[:, 7] = False
    given = np.array(["train"] * 60 + ["val"] * 20 + ["test"] * 20)
    found.source.labels[-1, 7] = True
    with pytest.raises(UserError, match="test has images of 'h', which train lacks"):
        splits(Listing(found.source, given, found.fingerprint, found.name))
