"""Images count by their content, which is read once and remembered by path, size, times and inode."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import data
from kerascnn.config import Data
from kerascnn.data import Room, contents
from kerascnn.data.contents import ContentTable
from kerascnn.errors import Stopped

AGO = 1_600_000_000


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve BMP of one size in bytes and two JPEG, which have settled long ago."""
    rng = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for place in range(6):
            image = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype="uint8"))
            image.save(tmp_path / "photos" / label / f"{place}.bmp")
        image.save(tmp_path / "photos" / label / "turned.jpg", exif=turned(1))
    return tmp_path / "photos"


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def load(photos: Path, runs: Path | None = None) -> data.Splits:
    return data.load(Data(dataset=str(photos), image_size=12, cache="off"), Room(runs))


def _replaced(photos: Path) -> None:
    for number, path in enumerate(sorted(photos.rglob("*.bmp"))):
        size = path.stat().st_size
        Image.fromarray(np.random.default_rng(100 + number).integers(0, 256, (12, 12, 3), dtype="uint8")).save(path)
        assert path.stat().st_size == size


def _one_byte(photos: Path) -> None:
    path = photos / "ant" / "0.bmp"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _two_files_swapped(photos: Path) -> None:
    _swap(photos / "ant" / "0.bmp", photos / "bee" / "0.bmp")


def _two_classes_swapped(photos: Path) -> None:
    _swap(photos / "ant", photos / "bee")


def _swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside), other.rename(one), aside.rename(other)


def _orientation(photos: Path) -> None:
    path = photos / "ant" / "turned.jpg"
    content = path.read_bytes()
    at = content.index(b"\x01\x12\x00\x03\x00\x00\x00\x01\x00") + 9
    assert content[at] == 1
    path.write_bytes(content[:at] + b"\x06" + content[at + 1 :])


CHANGES = (_replaced, _one_byte, _two_files_swapped, _two_classes_swapped, _orientation)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_that_leaves_sizes_and_names_is_another_data_set(photos: Path, tmp_path: Path, change) -> None:
    """Also where the digests of before are remembered and the times are set back; who is in which split stays."""
    before = _settled(photos, tmp_path / "runs")
    times = {path: path.stat().st_mtime_ns for path in photos.rglob("*.*")}
    change(photos)
    for path, when in times.items():
        os.utime(path, ns=(when, when))
    after = load(photos, tmp_path / "runs")
    assert after.fingerprint != before.fingerprint
    if change is not _two_classes_swapped:
        assert after.former is not None
        assert before.former is not None
        assert after.former.fingerprint == before.former.fingerprint  # names and sizes say nothing
    assert after.rows() == before.rows()


def _settled(photos: Path, runs: Path) -> data.Splits:
    """The data set, once its digests are remembered: as if the files had not changed for a while."""
    found = load(photos, runs)
    contents.SETTLED_NS, kept = -(10**18), contents.SETTLED_NS
    try:
        assert load(photos, runs).fingerprint == found.fingerprint
    finally:
        contents.SETTLED_NS = kept
    return found


def test_what_is_remembered_is_not_read_again(photos: Path, tmp_path: Path, monkeypatch) -> None:
    before = _settled(photos, tmp_path / "runs")
    monkeypatch.setattr(contents, "_learned", lambda path, status: pytest.fail(f"{path} was read again"))
    assert load(photos, tmp_path / "runs").fingerprint == before.fingerprint
    assert not list(photos.rglob(".*")), "nothing is written among the images"


def test_a_file_that_changed_just_now_is_not_remembered(photos: Path, tmp_path: Path) -> None:
    load(photos, tmp_path / "runs")
    assert not list((tmp_path / "runs").rglob("*.npz"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", os.urandom(200)], ids=["empty", "a zip's start", "noise"])
def test_a_damaged_table_costs_time_and_nothing_else(photos: Path, tmp_path: Path, content: bytes) -> None:
    before = _settled(photos, tmp_path / "runs")
    (table,) = (tmp_path / "runs").rglob("*.npz")
    table.write_bytes(content)
    assert load(photos, tmp_path / "runs").fingerprint == before.fingerprint


def test_a_table_that_cannot_be_written_is_no_mistake(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    assert _settled(photos, tmp_path / "runs").fingerprint == load(photos).fingerprint


def test_other_runs_take_over_what_is_known(photos: Path, tmp_path: Path) -> None:
    _settled(photos, tmp_path / "runs")
    contents.carry(tmp_path / "runs", tmp_path / "trials")
    path = str(photos / "ant" / "0.bmp")
    assert ContentTable(tmp_path / "trials", photos).find(path, Path(path).stat()) is not None


def test_progress_counts_every_file(photos: Path) -> None:
    seen: list[int] = []
    paths = [str(path) for path in sorted(photos.rglob("*.*"))]
    assert len(list(contents.contents(paths, ContentTable(None, photos), seen.append))) == len(paths) == sum(seen)


def test_a_disk_that_fails_while_files_are_listed_stops_and_names_the_file(photos: Path, monkeypatch) -> None:
    """Not skipped as damaged: the rest would be another data set, trained anew without a word."""

    def fails(path: str) -> bytes:
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(contents, "digest", fails)
    with pytest.raises(Stopped, match=r"(?s)cannot be read.*bmp.*Input/output error"):
        load(photos)


def test_twenty_thousand_files_are_known_again(tmp_path: Path) -> None:
    """The table alone: every one of 20,000 rows is found, without a look at a file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0").write_bytes(b"x")
    status = (folder / "0").stat()
    known = contents.FileContent(b"d" * 16, 1, 1, None, 0)
    table = ContentTable(tmp_path, folder)
    for place in range(20_000):
        table.add(f"{folder}/{place}", status, known, time.time_ns())
    table.finish()
    again = ContentTable(tmp_path, folder)
    assert all(again.find(f"{folder}/{place}", status) is not None for place in range(20_000))
