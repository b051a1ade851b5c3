"""One listing rule for fit and predict: what is followed, what is passed over, and that it is said."""

import os
from pathlib import Path

import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import named
from kerascnn.data.walking import DROPPINGS, Walk, is_output
from kerascnn.errors import UserError
from kerascnn.runs.files import make_output


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for label, color in (("ant", 10), ("bee", 200)):
        fill(tmp_path / "photos" / label, color)
    return tmp_path / "photos"


def fill(folder: Path, color: int = 0, count: int = 8) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(count):
        Image.new("RGB", (9, 9), (color, place, 0)).save(folder / f"{place}.png")


def load(photos: Path, **options) -> data.Splits:
    return data.load(Data(dataset=str(photos), image_size=9, cache="off", **options))


def ids(splits: data.Splits) -> set[str]:
    return {path for path, _, _ in splits.rows()}


def predicted(*words: str) -> tuple[list[str], list[str], list[str]]:
    """Files, folders that cannot be opened, folders that are passed over: as `predict` lists them."""
    closed: list[str] = []
    passed: list[str] = []
    found = named.files(words, lambda path, _: closed.append(path), note=lambda path, _: passed.append(path))
    return list(found), closed, passed


@pytest.mark.parametrize("name", sorted(DROPPINGS))
def test_what_other_programs_leave_is_neither_a_class_nor_an_image(photos: Path, name: str) -> None:
    before = load(photos)
    for folder in (photos / name / "0.png", photos / "ant" / name.upper() / "deep"):
        fill(folder, 77)
    splits = load(photos)
    assert (ids(splits), splits.fingerprint) == (ids(before), before.fingerprint)
    assert any("skipped: 2 folders left by another program" in note for note in splits.notes)
    files, _, passed = predicted(str(photos))
    assert len(files) == 16
    assert len(passed) == 2
    assert len(predicted(f"{photos}/**/*.png")[0]) == 16
    assert len(predicted(str(photos / name))[0]) == 8  # named as such


def test_what_this_program_wrote_is_no_data(photos: Path) -> None:
    before = load(photos)
    for folder, names in {
        "runs/one": ("config.toml", "data.json"),
        "experiments/runs/killed": ("config.toml", ".lease"),
        "saved_models/one/1": ("saved_model.pb",),
        "ant/scores": ("metrics.json", "predictions"),
        "experiments/comparisons/x": ("comparison.toml",),
    }.items():
        fill(photos / folder / "plots", 50, 2)
        for name in names:
            (photos / folder / name).touch()
    make_output(photos / "bee" / "cam")
    fill(photos / "bee" / "cam", 60)
    splits = load(photos)
    assert splits.class_names == ("ant", "bee")
    assert (ids(splits), splits.fingerprint) == (ids(before), before.fingerprint)
    assert any("written by kerascnn" in note for note in splits.notes)
    assert len(predicted(str(photos))[0]) == 16


def test_a_folder_that_was_there_is_not_marked(photos: Path) -> None:
    make_output(photos / "ant")
    assert not is_output(photos / "ant")
    assert load(photos).class_names == ("ant", "bee")


def test_links_to_folders_are_followed_and_rings_are_not(photos: Path, tmp_path: Path) -> None:
    (photos / "ant").rename(tmp_path / "ant")
    (photos / "ant").symlink_to(tmp_path / "ant")
    (photos / "bee" / "ring").symlink_to(photos)
    assert len(ids(load(photos))) == 16
    assert len(predicted(str(photos))[0]) == 16
    assert len(set(predicted(str(photos))[0])) == 16


def closed(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        pytest.skip("this user opens every folder")
    return folder


@pytest.mark.parametrize("place", ["ant/batch2", "cicada"])
def test_a_folder_that_cannot_be_opened_is_said(photos: Path, place: str) -> None:
    folder = closed(photos / place)
    try:
        with pytest.raises(UserError, match=f"(?s)cannot be opened.*{place}.*Permission denied"):
            load(photos)
        assert len(ids(load(photos, leave_out=(Path(place).name,)))) == 16
        assert predicted(str(photos))[1] == [str(folder)]
        assert predicted(f"{photos}/*/*.png")[1] == ([str(folder)] if place == "cicada" else [])
        assert predicted(f"{photos}/**/*.png")[1] == [str(folder)]
    finally:
        folder.chmod(0o755)


def test_a_folder_that_fails_to_open_is_said(photos: Path, monkeypatch) -> None:
    """The same where every folder can be opened by this user."""
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("batch2"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    fill(photos / "ant" / "batch2")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"(?s)cannot be opened.*ant/batch2.*Permission denied"):
        load(photos)
    files, refused, _ = predicted(str(photos))
    assert len(files) == 16
    assert refused == [str(photos / "ant" / "batch2")]


def test_folders_are_left_out_on_request_by_name_pattern_or_path(photos: Path) -> None:
    fill(photos / "ant" / "raw" / "deep", 40)
    fill(photos / "bee" / "raw", 41)
    for leave_out, count in ((("raw",), 16), (("r?w",), 16), (("ant/raw",), 24), (("*/raw",), 16)):
        splits = load(photos, leave_out=leave_out)
        assert len(ids(splits)) == count, leave_out
        assert any("left out on request" in note for note in splits.notes)
    assert any("--leave-out rww: there is no such folder" in note for note in load(photos, leave_out=("rww",)).notes)


def test_a_test_folder_without_classes_can_be_left_out(tmp_path: Path) -> None:
    """Kaggle's: images to be answered lie below test/, in a folder that is no class."""
    for place in ("train/ant", "train/bee", "test/unknown"):
        fill(tmp_path / place, len(place))
    with pytest.raises(UserError, match=r"which train lacks.*--leave-out test"):
        load(tmp_path)
    assert load(tmp_path, leave_out=("test",)).class_names == ("ant", "bee")


def test_brackets_in_a_pattern_may_be_part_of_the_names(photos: Path) -> None:
    fill(photos / "walk [2020]" / "a[1]", 3, 2)
    for pattern in ("walk [2020]/*/*.png", "walk [2020]/a[1]/*.png", "*/a[1]/*.png", "walk [[]2020]/*/*.png"):
        assert len(predicted(f"{photos}/{pattern}")[0]) == 2, pattern


def test_two_files_of_one_name_in_two_forms_are_refused(photos: Path) -> None:
    for name in ("\u00e9.png", "e\u0301.png"):
        Image.new("RGB", (9, 9)).save(photos / "ant" / name)
    if len(list((photos / "ant").iterdir())) == 9:
        pytest.skip("this file system has one name for both")
    with pytest.raises(UserError, match="two files called"):
        load(photos)


def test_a_data_set_whose_folder_is_called_like_a_home(photos: Path, monkeypatch) -> None:
    photos.rename(photos.with_name("~old"))
    monkeypatch.chdir(photos.parent)
    assert len(ids(load(Path("~old")))) == 16


def test_a_walk_below_a_file_or_nothing_is_empty(photos: Path) -> None:
    walk = Walk()
    assert list(walk.files(str(photos / "nothing"))) == []
    assert walk.closed[0].why == "No such file or directory"
