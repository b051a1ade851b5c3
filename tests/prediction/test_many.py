"""`kerascnn predict --output`: parts that a second start continues, shards, joined files, and what is refused."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerascnn import artefacts, predict
from kerascnn.errors import CHECK_FAILED, DONE, USER_ERROR
from kerascnn.prediction.parts_job import PartsJob
from kerascnn.runs import Run, hold
from tests.data import make_shards
from tests.prediction.conftest import BROKEN, NAMES, words

pytestmark = pytest.mark.training


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_image_has_its_row(run: Run, photos: Path, single: Path) -> None:
    found = rows(single / "predictions.csv")
    assert [row["image"] for row in found] == [str(photos / f"{i}.jpg") for i in range(14)]
    good = [i for i in range(14) if i not in BROKEN]
    for i, probabilities in zip(good, artefacts.open(run.path).predict([found[i]["image"] for i in good]), strict=True):
        assert found[i]["class_1"] == NAMES[probabilities.argmax()]
        assert float(found[i]["probability_1"]) == pytest.approx(probabilities.max(), abs=1e-5)
        assert float(found[i]["probability_2"]) == pytest.approx(np.sort(probabilities)[-2], abs=1e-5)
        assert found[i]["problem"] == ""
    assert [found[i]["problem"].partition(" in ")[0] for i in BROKEN] == ["empty", "not an image"]
    assert {found[4][name] for name in ("class_1", "probability_1", "class_2", "probability_2")} == {""}
    assert sorted(path.name for path in single.iterdir()) == [
        ".kerascnn",
        ".lease",
        "images.jsonl",
        "job.json",
        "parts",
        "predictions.csv",
    ], "no work is left"


def test_shards_and_a_second_start_make_the_same_bytes(
    run: Run, photos: Path, single: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert predict.main([*words(run, folder, "--shard", "1/2"), str(photos)]) == DONE
    assert predict.main(["--merge", str(folder)]) == CHECK_FAILED
    said = capfd.readouterr().err
    assert "3 of 5 parts are missing" in said
    assert "8 images: 0, 2, 4." in said
    assert "--shard" not in said.rpartition("This makes them: ")[2]
    # What a process that was killed leaves: an aside file under a lease that nobody holds.
    left = folder / "work/00002"
    with hold(left, "part 2") as lease:
        lease_file = lease.file.read_bytes()
    (left / ".lease/1").write_bytes(lease_file)
    (left / ".part-00002.csv.0-1-0123456789abcdef.aside").write_text("image,half a r")
    assert predict.main([*words(run, folder, "--shard=0/2")]) == DONE, "the list is there: images need not be named"
    assert predict.main([*words(run, folder), str(photos)]) == DONE
    assert "nothing was left to do" in capfd.readouterr().out
    assert not (folder / "work").exists()
    assert predict.main(["--merge", str(folder)]) == DONE
    assert (folder / "predictions.csv").read_bytes() == (single / "predictions.csv").read_bytes()


def test_other_terms_images_and_flags_are_refused(
    run: Run, photos: Path, single: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(single, folder)
    other = Run(shutil.copytree(run.path, tmp_path / "other"))
    network = artefacts.open(other.path).network
    network.layers[-1].bias.assign(network.layers[-1].bias.value + 1.0)
    network.save(other.best_model)
    (tmp_path / "fewer").mkdir()
    shutil.copy(photos / "0.jpg", tmp_path / "fewer")
    image = str(photos / "0.jpg")
    for argv, said in (
        ([*words(other, folder), str(photos)], "network: "),
        ([*words(run, folder), str(photos), "--top", "3"], "top: 2 there, 3 now"),
        ([*words(run, folder), str(tmp_path / "fewer")], "images have changed"),
        ([*words(run, folder), str(photos), "--cam", "grad-cam"], "--cam is for images one by one"),
        ([*words(run, folder), str(photos), "--json"], "--json is for images one by one"),
        ([*words(run, tmp_path / "new"), "npz:photos.npz"], "expected files, folders, patterns"),
        ([*words(run, tmp_path / "new"), "s3://bucket/photos"], "of this machine"),
        ([*words(run, tmp_path / "new"), "list:missing.txt"], "expected a file with a path per line"),
        ([*words(run, tmp_path / "new"), str(tmp_path / "none-*.jpg")], "no file matches this pattern"),
        ([str(run.path), image, "--shard", "0/2"], "give --output DIR as well"),
        (["--merge", str(tmp_path)], "has no job.json"),
        (["--merge", str(folder), "--top", "2"], "takes nothing else"),
    ):
        assert predict.main(argv) == USER_ERROR, argv
        assert said in capfd.readouterr().err, argv
    (folder / "parts/part-00001.csv").write_text("image,problem\nx,\n")
    assert predict.main(["--merge", str(folder)]) == USER_ERROR
    assert "expected 3 rows, found 1. Remove it" in capfd.readouterr().err


def test_lists_tables_and_shards_have_the_rows_of_a_folder(
    run: Run, photos: Path, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [photos / f"{i}.jpg" for i in range(14)]
    contents = [file.read_bytes() for file in files]
    (tmp_path / "list.txt").write_bytes(b"\r\n".join(str(file).encode() for file in files))
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *(f"{file},x" for file in files)]))
    pq.write_table(
        pa.table({"image": [{"bytes": content, "path": None} for content in contents], "id": [f.name for f in files]}),
        tmp_path / "t.parquet",
        row_group_size=4,
    )
    members = [(file.name, content, 0) for file, content in zip(files, contents, strict=True)]
    make_shards.tar(tmp_path / "a.tar", members[:8])
    make_shards.tar(tmp_path / "b.tar", members[8:])
    make_shards.tfrecord(tmp_path / "c.tfrecord", [row for row in members if row[1]])  # no feature is empty
    monkeypatch.chdir(tmp_path)
    expected = [tuple(row.values())[1:] for row in rows(single / "predictions.csv")]
    network = artefacts.open(run.path)
    monkeypatch.setattr(artefacts, "open", lambda *args, **facts: network)  # loaded once
    for number, (source, first) in enumerate(
        {
            "list:list.txt": str(files[0]),
            "t.csv": str(files[0]),
            "table:t.parquet": "0.jpg",
            "wds:[ab].tar": str(tmp_path / "a.tar/0.jpg"),
        }.items()
    ):
        assert predict.main([*words(run, Path(f"out{number}")), source]) == DONE
        assert predict.main(["--merge", f"out{number}"]) == DONE
        found = rows(Path(f"out{number}/predictions.csv"))
        assert found[0]["image"] == first
        assert [tuple(row.values())[1:] for row in found] == expected, source
    parquet = [*words(run, Path("p"), "--format", "parquet", "--part", "4"), "tfrecord:c.tfrecord"]
    assert predict.main([*parquet, "--dry-run"]) == DONE
    assert not PartsJob(Path("p")).done()
    assert predict.main(parquet) == DONE
    assert predict.main(["--merge", "p"]) == DONE
    table = pq.read_table("p/predictions.parquet")
    assert table.num_rows == 13
    assert table["image"][0].as_py() == str(tmp_path / "c.tfrecord/0.jpg")
    assert table["class_1"].to_pylist() == [row[0] or None for row in expected if row[-1] != "empty"]
    assert [bool(problem) for problem in table["problem"].to_pylist()] == [i == 9 for i in range(14) if i != 4]
