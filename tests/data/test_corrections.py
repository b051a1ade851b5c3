"""--exclude and --relabel: what they change, what counts as the same data, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Config, Data
from kerascnn.data.corrections import applied
from kerascnn.data.listing import Listing
from kerascnn.data.sources import Source
from kerascnn.errors import UserError
from kerascnn.runs.identity import identity
from tests.data.photos import jpeg, photo

IDS = ["ant/1.jpg", "ant/2.jpg", "bee/1.jpg", "bee/2.jpg"]


def listing(labels: np.ndarray | None = None) -> Listing:
    labels = np.array([0, 0, 1, 1]) if labels is None else labels
    return Listing(Source(IDS, labels, ("ant", "bee"), 32, "squash"), np.full(4, ""), "2-" + "0" * 64, "insects")


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_lists_change_the_data_and_their_fingerprint(tmp_path: Path) -> None:
    before = listing()
    exclude = written(tmp_path / "e.csv", "path,reason\nant/2.jpg,blurred\n")
    relabel = written(tmp_path / "r.csv", "path,label,given\nbee\\1.jpg,ant,bee\n")
    out = applied(before, Data(exclude=exclude))
    assert out.given.tolist() == ["", "out", "", ""]
    named = applied(before, Data(relabel=relabel))
    assert named.source.labels.tolist() == [0, 0, 0, 1]
    assert before.source.labels.tolist() == [0, 0, 1, 1], "the listing that was given is not changed"
    both = applied(before, Data(exclude=exclude, relabel=relabel))
    assert len({one.fingerprint for one in (before, out, named, both)}) == 4
    moved = written(tmp_path / "other.csv", "path\n./ant/2.jpg\n")
    assert applied(before, Data(exclude=moved)).fingerprint == out.fingerprint, "the content counts, not the file"
    assert identity(Config(), "f") == identity(Config().replace(data={"exclude": exclude, "relabel": relabel}), "f")


def test_lists_without_effect_change_nothing(tmp_path: Path) -> None:
    empty = written(tmp_path / "e.csv", "path\n")
    same = written(tmp_path / "r.csv", "path,label\nant/1.jpg,ant\n")
    assert applied(listing(), Data(exclude=empty, relabel=same)).fingerprint == listing().fingerprint


def test_several_labels(tmp_path: Path) -> None:
    labels = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], bool)
    relabel = written(tmp_path / "r.csv", "path,label\nant/1.jpg,bee|ant\nbee/1.jpg,bee\n")
    assert applied(listing(labels), Data(relabel=relabel)).source.labels.tolist()[::2] == [[True, True], [False, True]]


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("exclude", "file\nant/1.jpg\n", "expected the columns path"),
        ("exclude", "path\nant/9.jpg\n", "names 1 images that .* lacks, first 'ant/9.jpg'"),
        ("exclude", "path\nant/1.jpg\nant/2.jpg\n", "leave no images of 'ant'"),
        ("relabel", "path,label\nant/1.jpg,wasp\n", "there is no class 'wasp'"),
        ("relabel", "path,label\nant/1.jpg,\n", "row 1: expected a path and a label"),
        ("relabel", "path,label,given\nant/1.jpg,bee,wasp\n", "there is no class 'wasp'"),
        ("relabel", "path,label,given\nbee/1.jpg,ant,ant\n", None),
        ("relabel", "path,label,given\nant/1.jpg,bee,bee\n", "is 'ant', where the file expects 'bee'"),
    ],
)
def test_what_is_refused(tmp_path: Path, field: str, text: str, message: str | None) -> None:
    section = Data(**{field: written(tmp_path / "list.csv", text)})
    if message is None:
        message = "is 'bee', where the file expects 'ant'"
    with pytest.raises(UserError, match=message):
        applied(listing(), section)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--relabel .*none\.csv: cannot be read"):
        applied(listing(), Data(relabel=str(tmp_path / "none.csv")))


def test_damaged_files_that_are_excluded_do_not_count(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for label, seeds in (("ant", range(12)), ("bee", range(20, 32))):
        (root / label).mkdir(parents=True)
        for seed in seeds:
            (root / label / f"{seed}.jpg").write_bytes(jpeg(photo(seed)))
    for name in ("ant/3.jpg", "bee/21.jpg"):
        (root / name).write_bytes((root / name).read_bytes()[:500])
    section = Data(dataset=str(root), image_size=32)
    with pytest.raises(UserError, match=r"2 of 24 files .* cannot be decoded"):
        data.load(section)
    listed = data.listed(section, data.Room(strict=False))
    assert [name for name, _ in listed.skipped] == ["ant/3.jpg", "bee/21.jpg"]
    exclude = written(tmp_path / "exclude.csv", "path\nant/3.jpg\nbee/21.jpg\n")
    splits = data.load(section.model_copy(update={"exclude": exclude}))
    assert sum(map(len, splits.parts())) == 22
