"""Who is where: shares, order of arrival, groups, fractions, split files, and what is refused."""

import csv
import io
import unicodedata

import numpy as np
import pytest

from kerascnn.config import Data
from kerascnn.data import split_file
from kerascnn.data.cut import cut, numbers
from kerascnn.data.listing import Listing
from kerascnn.data.sources import Source
from kerascnn.errors import UserError

CLASSES = ("ant", "bee", "cicada")


def listing(counts, given="", prefix="", ids=None):
    """`counts` images of each class, all in the split `given` (or a list, one per image)."""
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = ids or [f"{prefix}{CLASSES[label]}/{place}.jpg" for place, label in enumerate(labels)]
    given = np.full(len(ids), given) if isinstance(given, str) else np.array(given)
    return Listing(Source(ids, labels, CLASSES[: len(counts)], 32, "squash"), given, "0" * 64, "insects")


def splits(found, **options):
    return cut(found, Data(**options), 32, "squash")


def where(result):
    return {path: split for path, _, split in result.rows()}


def test_a_flat_folder_gives_val_and_test_15_percent_each_of_every_class():
    result = splits(listing((2000, 200)))
    counts = result.summary()["counts"]
    assert sum(result.summary()["images"].values()) == 2200
    for name in ("val", "test"):
        assert counts[name]["ant"] == pytest.approx(300, abs=45)
        assert counts[name]["bee"] == pytest.approx(30, abs=14)


def test_only_val_is_cut_where_test_is_given():
    result = splits(listing((1000, 1000), given=["train"] * 900 + ["test"] * 200 + ["train"] * 900))
    assert len(result.test) == 200
    assert len(result.val) == pytest.approx(180, abs=40)
    assert len(result.train) + len(result.val) == 1800


def test_calibration_images_come_from_train_and_move_no_other():
    plain, found = splits(listing((1000, 200))), splits(listing((1000, 200)), calibration_fraction=0.1)
    assert found.calibration is not None
    assert [len(part) for part in found.parts()] == [len(plain.train) - 120, len(plain.val), 120, len(plain.test)]
    assert [part.name for part in found.parts()] == ["train", "val", "calibration", "test"]
    assert where(found) == where(plain) | dict.fromkeys(found.calibration.ids(), "calibration")
    assert np.bincount(found.calibration.labels).tolist() == [100, 20]
    assert found.arranged(where(found)).calibration.ids() == found.calibration.ids()


def test_calibration_images_of_a_split_file_stay(tmp_path):
    found, file = splits(listing((100, 50)), calibration_fraction=0.1), tmp_path / "split.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([("path", "label", "split"), *found.rows()])
    section = Data(split_file=str(file), calibration_fraction=0.2)
    again = cut(split_file.applied(listing((100, 50)), section), section, 32, "squash")
    assert where(again) == where(found)
    assert "calibration is given: --calibration-fraction has no effect" in again.notes


def test_a_calibration_split_that_leaves_no_train_is_refused():
    with pytest.raises(UserError, match=r"test and val and calibration would take 110% .* or --calibration-fraction"):
        splits(listing((60, 40)), calibration_fraction=0.8)


@pytest.mark.parametrize("counts", [(10, 11), (33, 47), (100, 7), (1000, 213)], ids=str)
def test_each_class_is_cut_within_one_image_of_its_share(counts):
    for seed in range(5):
        found = splits(listing(counts), split_seed=seed).summary()["counts"]
        for label, count in zip(CLASSES, counts, strict=False):
            for name, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
                assert abs(found[name][label] - share * count) <= 1, (name, label)


def test_a_cut_of_groups_is_within_half_a_group_of_its_share():
    ids = [f"{label}/film{i // 8}_{i}.jpg" for label in ("ant", "bee") for i in range(400)]
    found = splits(listing((400, 400), ids=ids), group_by=r"^\w+/film\d+_").summary()["counts"]
    for name in ("val", "test"):
        assert found[name]["ant"] == pytest.approx(60, abs=8)


def kept(result, folder):
    """A split file of what was cut."""
    file = folder / "old.csv"
    with file.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines).writerows([("path", "label", "split"), *result.rows()])
    return str(file)


def again(found, **options):
    section = Data(**options)
    return cut(split_file.applied(found, section), section, 32, "squash")


def test_a_split_file_keeps_its_images_and_each_new_one_goes_by_its_own_hash(tmp_path):
    """The same new image lands in the same split, whatever else came: doubled classes move nothing."""
    first = splits(listing((10, 12), ids=_ids(10, 12)))
    old = kept(first, tmp_path)
    few = where(again(listing((20, 24), ids=_ids(20, 24)), split_file=old))
    many = where(again(listing((400, 300), ids=_ids(400, 300)), split_file=old))
    assert where(first).items() <= few.items() <= many.items()
    new = [split for path, split in many.items() if path not in where(first)]
    for name in ("val", "test"):
        assert new.count(name) / len(new) == pytest.approx(0.15, abs=0.05)


def test_a_new_image_goes_where_its_group_lies(tmp_path):
    def ids(last):
        return [f"{label}/film{i}_{k}.jpg" for label in ("ant", "bee") for i in range(30) for k in range(last)]

    options = {"group_by": r"^\w+/film\d+_"}
    old = kept(splits(listing((60, 60), ids=ids(2)), **options), tmp_path)
    films = {}
    for path, split in where(again(listing((150, 150), ids=ids(5)), split_file=old, **options)).items():
        films.setdefault(path.split("_")[0], set()).add(split)
    assert all(len(names) == 1 for names in films.values())


def _ids(*counts):
    return [f"{CLASSES[label]}/{place}.jpg" for label, count in enumerate(counts) for place in range(count)]


def test_the_cut_does_not_depend_on_the_order_of_the_files():
    ids = _ids(50, 50)
    order = np.random.default_rng(0).permutation(100)
    found = listing((50, 50), ids=ids)
    shuffled = Listing(
        Source([ids[i] for i in order], found.source.labels[order], CLASSES[:2], 32, "squash"),
        found.given,
        "",
        "insects",
    )
    assert where(splits(found)) == where(splits(shuffled))


@pytest.mark.parametrize("smallest", [3, 4, 7])
def test_each_split_has_each_class_however_small(smallest):
    for seed in range(20):
        counts = splits(listing((100, smallest)), split_seed=seed).summary()["counts"]
        assert all(counts[name]["bee"] >= 1 for name in ("train", "val", "test"))


def test_the_seed_moves_the_cut_and_val_fraction_leaves_test_alone():
    found = listing((300, 300))
    assert where(splits(found)) != where(splits(found, split_seed=1))
    assert splits(found, val_fraction=0.3).test.ids() == splits(found).test.ids()


def test_numbers_are_sha256_of_seed_and_path():
    # echo -n '7,ant/1.jpg' | sha256sum
    assert numbers(["ant/1.jpg"], 7)[0] == pytest.approx(int("f771356a097f6489", 16) / 2**64, abs=1e-15)


def test_a_given_val_is_used_as_test_and_said_so():
    found = listing((100, 100), given=(["train"] * 80 + ["val"] * 20) * 2)
    result = splits(found)
    assert len(result.test) == 40
    assert len(result.train) + len(result.val) == 160
    assert len(result.val)
    assert any("val is used as test" in note for note in result.notes)
    assert not result.marked


def test_val_is_val_keeps_it_and_marks_the_scores():
    result = splits(listing((100, 100), given=(["train"] * 80 + ["val"] * 20) * 2), val_is_val=True)
    assert (len(result.train), len(result.val)) == (160, 40)
    assert result.test.ids() == result.val.ids()
    assert result.marked
    assert {split for _, _, split in result.rows()} == {"train", "val"}
    with pytest.raises(UserError, match="val-is-val"):
        splits(listing((100, 100)), val_is_val=True)


def test_all_three_given_stay_as_they_are():
    given = (["train"] * 80 + ["val"] * 10 + ["test"] * 10) * 2
    assert [split for _, _, split in sorted(splits(listing((100, 100), given=given)).rows())] == [
        split for _, split in sorted(zip(listing((100, 100)).source.ids, given, strict=True))
    ]


def test_val_fraction_0_trains_on_all():
    result = splits(listing((100, 100), given=(["train"] * 80 + ["test"] * 20) * 2), val_fraction=0)
    assert (len(result.train), len(result.val), len(result.test)) == (160, 0, 40)


def test_fractions_nest_and_keep_the_classes_shares():
    found = listing((1000, 100))
    whole, tenth, third = (splits(found, fraction=share) for share in (1.0, 0.1, 0.3))
    assert set(tenth.train.ids()) < set(third.train.ids()) < set(whole.train.ids())
    assert tenth.test.ids() == whole.test.ids()
    counts = {name: result.summary()["counts"]["train"] for name, result in (("whole", whole), ("tenth", tenth))}
    for label in ("ant", "bee"):
        assert counts["tenth"][label] == round(counts["whole"][label] / 10)


def test_a_group_lies_in_one_split():
    ids = [f"ant/film{i // 7}_{i}.jpg" for i in range(210)] + [f"bee/film{i // 7}_{i}.jpg" for i in range(210)]
    result = splits(listing((210, 210), ids=ids), group_by=r"film(\d+)_")
    films = {}
    for path, split in where(result).items():
        films.setdefault(path.split("film")[1].split("_")[0], set()).add(split)
    assert len(films) == 30
    assert all(len(names) == 1 for names in films.values())
    assert set.union(*films.values()) == {"train", "val", "test"}
    with pytest.raises(UserError, match="matches no path"):
        splits(listing((9, 9)), group_by="film")
    with pytest.raises(UserError, match="regular expression"):
        splits(listing((9, 9)), group_by="(")


def test_a_class_that_train_lacks_is_refused_by_name():
    given = ["train"] * 50 + ["val"] * 5 + ["test"] * 5
    with pytest.raises(UserError, match="'bee', which train lacks"):
        splits(listing((55, 5), given=given))


def test_one_class_is_refused():
    with pytest.raises(UserError, match="at least two classes"):
        splits(listing((50,)))


def test_an_empty_split_is_refused():
    with pytest.raises(UserError, match="has no images"):
        splits(listing((2, 2)))


def test_a_runs_split_csv_repeats_its_splits(tmp_path):
    found = listing((100, 100))
    first = splits(found)
    text = io.StringIO()
    csv.writer(text).writerows([("path", "label", "split"), *first.rows()[:-3]])
    file = tmp_path / "split.csv"
    file.write_text(text.getvalue())
    repeated = again(found, split_file=str(file), unlisted="out")
    assert where(repeated) == dict(list(where(first).items())[:-3])
    assert repeated.fingerprint != first.fingerprint
    assert again(found, split_file=str(file)).rows()[0] == first.rows()[0]
    assert len(again(found, split_file=str(file)).rows()) == 200


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_split_file_may_name_things_as_a_mac_or_windows_does(tmp_path, form):
    ids = [f"Käse/{i}.jpg" for i in range(9)] + [f"Brot/é {i}.jpg" for i in range(9)]
    labels = np.repeat([0, 1], 9)
    found = Listing(Source(ids, labels, ("Käse", "Brot"), 32, "squash"), np.full(18, ""), "0" * 64, "food")
    rows = [
        f"{name.replace('/', chr(92))},{name.split('/')[0]},{('train', 'val', 'test')[i % 3]}"
        for i, name in enumerate(ids)
    ]
    file = tmp_path / "split.csv"
    file.write_text(unicodedata.normalize(form, "\ufeffpath,label,split\r\n" + "\r\n".join(rows)), encoding="utf-8")
    assert len(again(found, split_file=str(file)).train) == 6
    file.write_text("path,label,split\nKäse/1.jpg,Käse,train\nKäse\\1.jpg,Käse,test\n", encoding="utf-8")
    with pytest.raises(UserError, match="twice"):
        again(found, split_file=str(file))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,split\na,train\n", "missing: label"),
        ("path,label,split\n", "no rows"),
        ("path,label,split\nant/0.jpg,ant,trian\n", "row 1: expected train, val, calibration or test, got 'trian'"),
        ("path,label,split\nant/0.jpg,bee,train\n", "is 'ant', the file says 'bee'"),
        ("path,label,split\nant/x.jpg,ant,train\n", "names 1 images that .* lacks, first 'ant/x.jpg'"),
        ("path,label,split\nant/0.jpg,ant,train\nant/0.jpg,ant,test\n", "row 2: .* each path once"),
    ],
)
def test_a_wrong_split_file_is_refused(tmp_path, content, message):
    file = tmp_path / "split.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=message):
        split_file.applied(listing((9, 9)), Data(split_file=str(file)))


def test_lines_and_rows_say_everything():
    result = splits(listing((1000, 100)))
    assert result.lines()[0].startswith("data    insects: ")
    assert "15 %" in " ".join(result.lines())
    assert len(result.rows()) == 1100
    assert result.summary()["class_names"] == ["ant", "bee"]
