"""Files, folders, patterns and lists on standard input become paths, in the order that a person expects."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerascnn.data import named


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "a/10.jpg",
        "a/2.JPG",
        "a/notes.txt",
        "a/.hidden.jpg",
        "a/deep/1.png",
        ".cache/1.jpg",
        "b/[x].jpg",
        "b/x.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "ring").symlink_to(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(*words: str, **options) -> tuple[list[str], list[tuple[str, str]]]:
    problems: list[tuple[str, str]] = []
    return list(named.files(words, lambda *problem: problems.append(problem), **options)), problems


def test_a_folder_is_read_as_people_count(tree: Path) -> None:
    assert listed("a") == (["a/2.JPG", "a/10.jpg", "a/deep/1.png"], [])
    assert listed("./a/")[0][0] == "./a/2.JPG"
    assert listed(".")[0] == ["./a/2.JPG", "./a/10.jpg", "./a/deep/1.png", "./b/[x].jpg", "./b/x.jpg"]


def test_files_are_taken_as_they_are(tree: Path) -> None:
    words = ("a/notes.txt", "missing.jpg", "a/10.jpg", "a/10.jpg", "-")
    assert listed(*words) == (list(words), [])


def test_patterns(tree: Path) -> None:
    assert listed("**/*.jpg")[0] == ["a/10.jpg", "b/[x].jpg", "b/x.jpg"]
    assert listed("*/[0-9]*")[0] == ["a/2.JPG", "a/10.jpg"]
    assert listed("b/[x].jpg")[0] == ["b/[x].jpg"]  # a file of that very name
    assert listed("*")[0] == []  # folders are no files: a pattern names files


def test_what_has_no_images_is_reported(tree: Path) -> None:
    files, problems = listed("empty", "a/2.JPG", "*.gif")
    assert files == ["a/2.JPG"]
    assert [word for word, _ in problems] == ["empty", "*.gif"]
    assert "no images" in problems[0][1]
    assert "no file matches" in problems[1][1]


def test_a_name_that_is_too_long_stops_nothing(tree: Path) -> None:
    long = "a" * 300
    files, problems = listed(long, f"{long}/*.jpg", f"*{long}", "a/2.JPG")
    assert files == [long, "a/2.JPG"]  # whoever reads it is told
    assert [word for word, _ in problems] == [f"{long}/*.jpg", f"*{long}"]


def test_the_output_is_not_looked_into(tree: Path) -> None:
    assert listed("a", leave_out=["b/../a/deep"])[0] == ["a/2.JPG", "a/10.jpg"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a/10.jpg\nb/x.jpg", ["a/10.jpg", "b/x.jpg"]),
        (b"a/10.jpg\r\n\r\nb/x.jpg\r\n", ["a/10.jpg", "b/x.jpg"]),
        (b"new\nline.jpg\0b/x.jpg\0", ["new\nline.jpg", "b/x.jpg"]),
        (b"\xef\xbb\xbfa/10.jpg\nb/x.jpg\n", ["a/10.jpg", "b/x.jpg"]),
        (b"\xff.jpg\n", [os.fsdecode(b"\xff.jpg")]),
        (b"", []),
    ],
)
def test_lists_on_standard_input(tree: Path, content: bytes, expected: list[str]) -> None:
    assert listed("first.jpg", "-", "last.jpg", stdin=io.BytesIO(content))[0] == ["first.jpg", *expected, "last.jpg"]


def test_a_list_is_read_as_it_comes() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as stdin:
        found: Iterator[str] = named.files(["-"], lambda *_: None, stdin=stdin)
        for name in ("one.jpg", "two.jpg"):
            os.write(write, f"{name}\n".encode())
            assert next(found) == name
        os.close(write)
        assert list(found) == []
