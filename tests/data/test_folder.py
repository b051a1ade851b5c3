"""Folders as they come: layouts, odd entries, and what is refused with one clear message."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import folder, pipeline
from kerascnn.errors import UserError
from tests.data import odd_files
from tests.data.make_folder import COUNTS, make


def fill(path: Path, count: int, start: int = 0) -> None:
    path.mkdir(parents=True, exist_ok=True)
    for place in range(start, start + count):
        Image.new("RGB", (12, 10), (place % 256, 80, 160)).save(path / f"{place}.jpg")


def load(path: Path, **options) -> data.Splits:
    return data.load(Data(dataset=str(path), image_size=32, cache="off", **options))


@pytest.fixture
def flat(tmp_path):
    root = tmp_path / "insects"
    fill(root / "ant", 30), fill(root / "bee", 20)
    return root


def test_a_flat_folder(flat):
    splits = load(flat)
    assert splits.class_names == ("ant", "bee")
    assert splits.name == "insects"
    assert sum(len(split) for split in splits.parts()) == 50
    label_of = {path: label for path, label, _ in splits.rows()}
    assert label_of["ant/7.jpg"] == "ant"
    assert label_of["bee/7.jpg"] == "bee"


def test_the_fingerprint_is_the_contents_not_the_places(flat, tmp_path):
    first = load(flat).fingerprint
    shutil.move(flat, tmp_path / "moved")
    os.utime(tmp_path / "moved/ant/0.jpg", (0, 0))
    assert load(tmp_path / "moved").fingerprint == first
    assert load(tmp_path / "moved", split_seed=3).fingerprint == first
    fill(tmp_path / "moved/ant", 1, start=99)
    assert load(tmp_path / "moved").fingerprint != first


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Train", "Valid", "TESTING")])
def test_split_folders_by_any_of_their_names(tmp_path, names):
    for name, count in zip(names, (8, 3, 2), strict=True):
        fill(tmp_path / name / "ant", count), fill(tmp_path / name / "bee", count)
    splits = load(tmp_path)
    assert [len(split) for split in splits.parts()] == [16, 6, 4]
    assert splits.train.ids()[0] == f"{names[0]}/ant/0.jpg"


def test_classes_called_train_and_test_are_classes(tmp_path):
    for name in ("train", "plane", "test"):
        fill(tmp_path / name, 9)
    assert load(tmp_path).class_names == ("plane", "test", "train")


def test_what_is_no_image_is_passed_over(flat):
    (flat / "ant" / ".DS_Store").write_bytes(b"x")
    (flat / "ant" / "notes.txt").write_text("six legs")
    (flat / "__MACOSX" / "ant").mkdir(parents=True)
    (flat / ".git").mkdir()
    fill(flat, 2)
    fill(flat / "ant" / "deeper" / "still", 3, start=200)
    splits = load(flat)
    assert sum(len(split) for split in splits.parts()) == 53
    assert splits.skipped == ()
    assert any("1 .txt" in note for note in splits.notes)
    assert any("2 images that lie in insects/ itself" in note for note in splits.notes)


def test_links_that_loop_pipes_and_folders_called_jpg_are_listed(flat):
    fill(flat / "ant", 970, start=1000)
    (flat / "ant" / "loop.jpg").symlink_to(flat / "ant")
    (flat / "ant" / "self.jpg").symlink_to(flat / "ant" / "self.jpg")
    (flat / "bee" / "gone.jpg").symlink_to(flat / "nowhere")
    (flat / "bee" / "folder.jpg").mkdir()
    os.mkfifo(flat / "bee" / "pipe.jpg")
    splits = load(flat)
    assert {path for path, _ in splits.skipped} == {
        "ant/loop.jpg", "ant/self.jpg", "bee/gone.jpg", "bee/folder.jpg", "bee/pipe.jpg"
    }  # fmt: skip
    assert all(reason for _, reason in splits.skipped)
    assert sum(len(split) for split in splits.parts()) == 1020


def test_names_of_any_kind(tmp_path):
    fill(tmp_path / "d'été", 5), fill(tmp_path / 'a "b"\nc', 5)
    with open(os.fsencode(tmp_path / "d'été") + b"/\xff\xfe.jpg", "wb") as file:  # noqa: PTH123 - no text
        file.write((tmp_path / "d'été" / "0.jpg").read_bytes())
    splits = load(tmp_path)
    assert "d'été/\\xff\\xfe.jpg" in [path for path, _, _ in splits.rows()]
    images = np.concatenate([split.source.fetch(split.indices).numpy() for split in splits.parts()])
    assert images.shape == (11, 32, 32, 3)


def test_one_per_cent_of_damaged_files_is_skipped_and_more_refused(flat):
    fill(flat / "ant", 50, start=100)
    (flat / "ant" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    assert [path for path, _ in load(flat).skipped] == ["ant/bad.jpg"]
    (flat / "bee" / "empty.png").touch()
    with pytest.raises(
        UserError, match=r"(?s)2 of 102 files .* cannot be decoded .*'ant/bad.jpg'.*'bee/empty.png': empty"
    ):
        load(flat)


def test_a_missing_folder(tmp_path):
    with pytest.raises(
        UserError, match=r"no data set called .*nothing.*expected fashion_mnist_mini .*tfds:NAME or a folder"
    ):
        load(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"no data set called 'cifar10'.*perhaps you meant 'tfds:cifar10'"):
        data.load(Data(dataset="cifar10"))
    (tmp_path / "photos.zip").touch()
    with pytest.raises(UserError, match=r"is a file: .*unpack"):
        load(tmp_path / "photos.zip")


def test_an_empty_class(flat):
    (flat / "cicada").mkdir()
    with pytest.raises(UserError, match="without a valid image: cicada"):
        load(flat)


def test_one_class_only(tmp_path):
    fill(tmp_path / "photos" / "ant", 5), fill(tmp_path / "photos" / "bee", 5)
    with pytest.raises(UserError, match=r"only one class, 'photos'.*did you mean --dataset .*photos"):
        load(tmp_path)


def test_no_images_at_all(tmp_path):
    with pytest.raises(UserError, match="no images in class folders"):
        load(tmp_path)
    fill(tmp_path, 3)
    with pytest.raises(UserError, match="no images in class folders"):
        load(tmp_path)


def test_a_class_in_val_that_train_lacks(tmp_path):
    for name in ("train/Ant", "train/bee", "val/ant", "val/bee"):
        fill(tmp_path / name, 12)
    with pytest.raises(UserError, match=r"images of 'ant', which train lacks .*'Ant'"):
        load(tmp_path)


def test_classes_that_differ_in_case_only_are_pointed_out(tmp_path):
    fill(tmp_path / "A", 9), fill(tmp_path / "a", 9)
    assert any("only in case: A, a" in note for note in load(tmp_path).notes)


def test_a_split_file_may_bring_the_labels(flat, tmp_path):
    rows = [
        f"{'ant' if i < 10 else 'bee'}/{i}.jpg,{('odd', 'even')[i % 2 == 0]},{('train', 'test')[i > 15]}"
        for i in range(20)
    ]
    (tmp_path / "who.csv").write_text("path,label,split\n" + "\n".join(rows))
    splits = load(flat, split_file=str(tmp_path / "who.csv"))
    assert splits.class_names == ("even", "odd")
    assert sum(len(split) for split in splits.parts()) == 20
    assert splits.test.ids() == ["bee/16.jpg", "bee/17.jpg", "bee/18.jpg", "bee/19.jpg"]


def test_photos_as_people_have_them(tmp_path):
    splits = load(make(tmp_path / "photos"))
    assert dict(zip(splits.class_names, np.bincount(splits.train.source.labels), strict=True)) == COUNTS
    images = splits.test.source.fetch(splits.test.indices).numpy()
    assert len(images) == len(splits.test)
    assert images.std(axis=(1, 2, 3)).min() > 5


@pytest.mark.training
def test_every_odd_file_is_used_or_listed(tmp_path):
    root = tmp_path / "folder"
    made = odd_files.make(root / "odd")
    fill(root / "fine", 1)
    for place in range(1, 100 * sum(file.pixels is None for file in made)):
        os.link(root / "fine" / "0.jpg", root / "fine" / f"{place}.jpg")
    splits = data.load(Data(dataset=str(root), image_size=8, cache="off"))
    for split in splits.parts():
        pipeline.scoring(split, splits, 256)  # decodes each once, to know their number
    listed = dict((*splits.skipped, *splits.failures()))
    used = {path for path, _, _ in splits.rows()} - listed.keys()
    for file in made:
        name = folder.identity(root, os.fspath(file.path))
        assert (name in used) == (file.pixels is not None), name
        assert (name in listed) == (file.pixels is None), name
