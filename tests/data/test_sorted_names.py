"""Names in natural order, whether they fit into memory or not."""

import os
from pathlib import Path

import pytest

from kerascnn.data import sorted_names
from kerascnn.data.walking import Walk

NAMES = [*(f"{i}.jpg" for i in range(23)), "a\nb.jpg", "é.jpg", "x10", "x9", os.fsdecode(b"odd\xff.jpg")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"")
    for name in ("2", "10", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "in.jpg").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize("in_memory", [1, 4, 31, 1000])
def test_names_are_sorted_with_files_too(folder: Path, in_memory: int) -> None:
    with os.scandir(folder) as entries:
        found = list(sorted_names.in_order(entries, in_memory))
    expected = sorted([*NAMES, "1", "2", "10"], key=sorted_names.counted)
    assert [name for name, _ in found] == expected
    assert {name for name, is_folder in found if is_folder} == {"1", "2", "10"}


def test_a_walk_is_the_same_with_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(Walk().files(str(folder)))
    assert len(whole) == len(NAMES) + 3
    assert [Path(name).parent.name for name in whole[-3:]] == ["1", "2", "10"], "files of a folder before its folders"
    monkeypatch.setattr(sorted_names.in_order, "__defaults__", (5,))
    assert list(Walk().files(str(folder))) == whole
