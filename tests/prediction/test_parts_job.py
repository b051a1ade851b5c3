"""A folder of predictions: its list, its terms, and the order of its parts."""

import os
from pathlib import Path

import pytest

from kerascnn.data.listed_image import ListedImage
from kerascnn.errors import UserError
from kerascnn.prediction import image_list, many
from kerascnn.prediction.part_work import order_of
from kerascnn.prediction.parts_job import PartsJob
from kerascnn.prediction.predict_flags import ManyImages

IMAGES = [
    ListedImage("a b.jpg"),
    ListedImage("line\nbreak.jpg"),
    ListedImage(os.fsdecode(b"odd\xff.jpg")),
    ListedImage("inside", "/shard.tar", (512, 99)),
    ListedImage("row", "/table.parquet", (7,)),
    ListedImage("named", "/elsewhere.jpg"),
    ListedImage("图.jpg"),
]
TERMS = {"part": 3, "format": "csv", "network": "n" * 64}


def pinned(folder: Path, images: list[ListedImage] | None = IMAGES, **terms: object) -> PartsJob:
    job = PartsJob(folder)
    job.pin({**TERMS, **terms}, None if images is None else lambda: iter(images), "the command", lambda holder: None)
    return job


def test_a_list_comes_back_part_by_part(tmp_path: Path) -> None:
    job = pinned(tmp_path / "out")
    assert (job.images, job.count, [job.size(number) for number in range(3)]) == (7, 3, [3, 3, 1])
    assert [image for number in range(3) for image in job.listed(number)] == IMAGES
    assert image_list.facts(iter(IMAGES), 3)._asdict() == {
        key: job.kept[key] for key in ("images", "sha256", "offsets", "relative")
    }


def test_a_second_start_finds_its_folder_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned(tmp_path / "out")
    before = (tmp_path / "out/job.json").read_bytes()
    assert pinned(tmp_path / "out").images == 7
    assert pinned(tmp_path / "out", images=None).images == 7
    assert (tmp_path / "out/job.json").read_bytes() == before
    with pytest.raises(UserError, match=r"network: nnnnnnnnnnnn\.\.\. there, mmmmmmmmmmmm\.\.\. now"):
        pinned(tmp_path / "out", network="m" * 64)
    with pytest.raises(UserError, match=r"images have changed .* 7 in its list, 6 now"):
        pinned(tmp_path / "out", images=IMAGES[1:])
    with pytest.raises(UserError, match="by other names"):
        pinned(tmp_path / "out", images=[ListedImage("c.jpg"), *IMAGES[1:]])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="start the command there"):
        pinned(tmp_path / "out")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"other files \(notes.txt\)"):
        pinned(tmp_path)
    with pytest.raises(UserError, match="no images to predict"):
        pinned(tmp_path / "empty", images=[])
    assert pinned(tmp_path / "empty").images == 7, "a start that found nothing claims nothing"
    with pytest.raises(UserError, match="no list of images yet"):
        pinned(tmp_path / "new", images=None)


@pytest.mark.parametrize("damage", ["", "[1, 2", "{}\n" * 7])
def test_a_damaged_list_is_one_message(tmp_path: Path, damage: str) -> None:
    job = pinned(tmp_path / "out")
    job.list_file.write_text(damage)
    with pytest.raises(UserError, match="is damaged"):
        job.listed(0)


@pytest.mark.parametrize("shards", [1, 2, 3, 8])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_part_is_in_one_shard_and_in_the_order_of_each_worker(shards: int, workers: int) -> None:
    found = []
    for index in range(shards):
        orders = [order_of(7, index, shards, worker, workers) for worker in range(workers)]
        assert len({tuple(sorted(order)) for order in orders}) == 1
        firsts = [order[0] for order in orders if order]
        assert len(set(firsts)) == min(workers, len(orders[0])), (
            "no two begin with the same part while there are others"
        )
        found += orders[0]
    assert sorted(found) == list(range(7))


@pytest.mark.parametrize(
    ("numbers", "text"), [([3], "3"), ([0, 1, 2, 7], "0-2, 7"), ([0, 2, 4, 6], "0, 2, 4 and others")]
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert many._ranges(numbers, most=3) == text


@pytest.mark.parametrize("shard", ["8/8", "1", "-1/2", "a/b", "1/0"])
def test_a_shard_is_one_of_several(shard: str) -> None:
    with pytest.raises(UserError, match="expected I/N with I from 0 to N-1"):
        ManyImages(shard=shard)
    assert ManyImages(shard="7/8").share == (7, 8)
