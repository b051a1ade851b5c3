"""Images sorted by class: no name leaves the folder or hides another one, and a second run changes nothing."""

import os
from pathlib import Path

import pytest

from kerascnn.errors import UserError
from kerascnn.prediction import sorting
from kerascnn.prediction.sorting import Sorting
from kerascnn.runs.files import copy_file

NAMES = ("../../up", "a/b", "a-b", "cat", "Cat", "unsure", "con", "line\nbreak", ".hidden")


def image(path: Path, content: bytes = b"") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or os.fsencode(path))
    return str(path)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".kerascnn"
    }


@pytest.mark.parametrize("link", [False, True])
def test_every_class_has_a_folder_of_its_own_inside(tmp_path: Path, link: bool) -> None:
    out = Sorting(str(tmp_path / "out"), NAMES, 0.5, link=link)
    places = [out.put(image(tmp_path / "in" / f"{i}.jpg"), i, 0.9) for i in range(len(NAMES))]
    unsure = out.put(image(tmp_path / "in" / "low.jpg"), 3, 0.49)
    folders = [place.parent for place in (*places, unsure)]
    assert len({folder.name.casefold() for folder in folders}) == len(NAMES) + 1
    assert {folder.parent for folder in folders} == {tmp_path / "out"}
    assert not any(folder.name.startswith(".") or "\n" in folder.name for folder in folders)
    assert [place.name for place in places] == [f"{i}.jpg" for i in range(len(NAMES))]
    assert [place.is_symlink() for place in places] == [link] * len(NAMES)
    assert unsure.parent.name.startswith("unsure")
    assert places[5].parent.name == "unsure"
    assert out.summary().count(",") == len(NAMES)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("alike", [False, True], ids=["other content", "one content"])
def test_images_of_one_name_and_a_second_run_in_any_order(tmp_path: Path, link: bool, alike: bool) -> None:
    content = b"the same" if alike else b""
    images = [image(tmp_path / "in" / str(i) / "1.jpg", content) for i in range(3)]
    first = Sorting(str(tmp_path / "out"), ("cat",), link=link)
    places = {path: first.put(path, 0, 1.0) for path in images}
    assert len(set(places.values())) == 3
    for path, place in places.items():
        assert place.read_bytes() == Path(path).read_bytes()
    before = files(tmp_path / "out")
    times = {place: place.lstat().st_mtime_ns for place in places.values()}
    again = Sorting(str(tmp_path / "out"), ("cat",), link=link)
    for path in reversed(images):
        again.put(path, 0, 1.0)
        again.put(path, 0, 1.0)
    assert files(tmp_path / "out") == before
    assert {place: place.lstat().st_mtime_ns for place in places.values()} == times


def test_what_somebody_keeps_there_is_never_replaced(tmp_path: Path) -> None:
    mine = Path(image(tmp_path / "out" / "cat" / "1.jpg", b"mine"))
    (tmp_path / "out" / "cat" / "2.jpg").symlink_to("nowhere")
    out = Sorting(str(tmp_path / "out"), ("cat",))
    first, second = (out.put(image(tmp_path / f"{i}.jpg"), 0, 1.0) for i in (1, 2))
    assert mine.read_bytes() == b"mine"
    assert (tmp_path / "out" / "cat" / "2.jpg").is_symlink()
    assert not (tmp_path / "nowhere").exists()
    assert first.name.startswith("1-")
    assert second.name.startswith("2-")
    assert first.suffix == ".jpg"


def test_a_link_in_the_folder_leads_nobody_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "cat").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="would leave"):
        Sorting(str(tmp_path / "out"), ("cat",)).put(image(tmp_path / "1.jpg"), 0, 1.0)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_long_names_and_links_to_images(tmp_path: Path) -> None:
    name = "é" * 120 + ".jpg"  # 244 bytes
    first, second = image(tmp_path / "a" / name), image(tmp_path / "b" / name)
    (tmp_path / "c.jpg").symlink_to(first)
    out = Sorting(str(tmp_path / "out"), ("cat",), link=True)
    places = [out.put(path, 0, 1.0) for path in (first, second, str(tmp_path / "c.jpg"))]
    assert len(set(places)) == 3
    assert places[2].readlink() == Path(first), "the link leads to the image, not to another link"
    with pytest.raises(FileNotFoundError):
        out.put(str(tmp_path / "gone.jpg"), 0, 1.0)


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        copy_file(tmp_path, tmp_path / "copy")
    assert not list(tmp_path.iterdir())


def test_the_images_own_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos" / "more").mkdir(parents=True)
    photos, more = str(tmp_path / "photos"), str(tmp_path / "photos" / "more")
    for folder in (photos, str(tmp_path)):
        with pytest.raises(UserError, match="name another folder"):
            sorting.check_apart(folder, ["x.jpg", photos])
    sorting.check_apart(more, [photos, "x.jpg", "x" * 300])
    with pytest.raises(UserError, match="cannot be a folder"):
        Sorting(image(tmp_path / "file"), ("cat",))
