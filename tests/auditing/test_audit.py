"""`kerascnn audit` as a command: what it prints, writes and refuses; what fit and evaluate make of it."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from kerascnn import audit, evaluate, fit
from kerascnn.data import copies
from kerascnn.errors import CHECK_FAILED, DONE, USER_ERROR
from kerascnn.runs import Run
from tests.data.photos import jpeg, photo

SMALL = ["--arch", "resnet9", "--width", "0.125", "--epochs", "1", "--warmup", "0", "--batch-size", "8", "--no-export"]


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two classes with one fault of each kind; names need escaping."""
    root = tmp_path_factory.mktemp("data") / "photos"
    for place, (label, split, count) in enumerate(
        (label, split, count) for label in ("ant", "bee") for split, count in (("train", 20), ("val", 6), ("test", 8))
    ):
        for i in range(count):
            put(root / split / label / f"{i}.jpg", jpeg(photo(100 * place + i)))
    test = [Image.open(io.BytesIO((root / "test/ant" / f"{i}.jpg").read_bytes())) for i in range(3)]
    put(root / "train/ant/<b>same.jpg", (root / "test/ant/0.jpg").read_bytes())
    put(root / "train/ant/=smaller.jpg", jpeg(test[1].resize((72, 54)), 60))
    put(root / "val/ant/mirrored.jpg", jpeg(ImageOps.mirror(test[2]), 70))
    put(root / "train/bee/other label.jpg", (root / "train/ant/5.jpg").read_bytes())
    put(root / "train/bee/half.jpg", jpeg(photo(999))[:800])
    put(root / "train/bee/text.jpg", b"no image")
    put(root / "train/bee/9.png", (root / "train/bee/9.jpg").read_bytes())
    (root / "train/bee/9.jpg").unlink()
    return root


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run_audit(photos: Path, tmp_path: Path, *words: str) -> int:
    return audit.main([str(photos), "--image-size", "32", "--runs-dir", str(tmp_path / "runs"),
                       "--output", str(tmp_path / "audit"), *words])  # fmt: skip


@pytest.fixture
def audited(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    assert run_audit(photos, tmp_path, "--json") == CHECK_FAILED
    return json.loads(capsys.readouterr().out)


def test_everything_is_found(photos: Path, tmp_path: Path, audited: dict) -> None:
    folder = tmp_path / "audit"
    assert json.loads((folder / "audit.json").read_text(encoding="utf-8")) == audited
    assert audited["findings"] == {"undecodable": 1, "truncated": 1, "extension": 1}
    assert audited["leaks"] == {
        "test": ["test/ant/0.jpg", "test/ant/1.jpg"], "val": [], "test_in_val": ["test/ant/2.jpg"]
    }  # fmt: skip
    assert audited["conflicts"] == [["train/ant/5.jpg", "train/bee/other label.jpg"]]
    assert audited["copies"]["pairs"] == {
        "exact": {"train and test": 1, "within train": 1},
        "near": {"train and test": 1},
        "mirrored": {"val and test": 1},
    }
    assert audited["classes"]["ant"] == {"train": 22, "val": 7, "test": 8}
    excluded = {row["path"] for row in rows(folder / "exclude.csv")}
    assert excluded == {
        "train/ant/<b>same.jpg", "train/ant/=smaller.jpg", "val/ant/mirrored.jpg", "train/bee/half.jpg",
        "train/bee/text.jpg", "train/ant/5.jpg", "train/bee/other label.jpg",
    }  # fmt: skip
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;same.jpg" in page
    assert "<b>same" not in page
    assert page.count("data:image/") >= 8
    assert not [path for path in photos.rglob("*") if path.name.startswith(".")], "the data are not touched"


def test_its_lists_make_the_data_clean(photos: Path, tmp_path: Path, audited: dict, capsys) -> None:
    folder = tmp_path / "audit"
    words = ["--exclude", str(folder / "exclude.csv"), "--relabel", str(folder / "relabel.csv")]
    assert run_audit(photos, tmp_path, *words) == DONE
    again = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    assert again["fingerprint"] != audited["fingerprint"]
    assert again["findings"] == {"extension": 1}
    assert again["copies"]["images"] == 0
    assert {row["reason"] for row in rows(folder / "exclude.csv")} == {"left out before"}, "the list stays whole"
    out = capsys.readouterr().out
    assert f"python -m kerascnn.fit --dataset {photos} --image-size 32 --exclude {folder / 'exclude.csv'}" in out
    assert "0  of 16 test images have a copy in train" in out


def test_what_is_refused(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit/notes.txt").write_text("mine")
    assert run_audit(photos, tmp_path) == USER_ERROR
    assert "is not an audit" in capsys.readouterr().err
    assert audit.main([str(tmp_path / "nothing")]) == USER_ERROR
    assert audit.main([str(photos), "--run", "nothing", "--runs-dir", str(tmp_path)]) == USER_ERROR
    assert audit.main([str(photos), "--dataset", str(photos)]) == USER_ERROR
    assert "give one of the two" in capsys.readouterr().err


def test_a_folder_that_fit_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "photos"
    for label, split in (("ant", "train"), ("bee", "test"), ("ant", "test")):
        for i in range(3):
            put(root / split / label / f"{i}.jpg", jpeg(photo(i + 10 * len(label + split))))
    assert run_audit(root, tmp_path) == CHECK_FAILED
    out = capsys.readouterr().out
    assert "fit would refuse these data" in out
    assert "label conflicts" in out


def test_fit_warns_where_an_audit_is_there_and_strict_refuses(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(photos, tmp_path / "photos"))
    for name in ("half.jpg", "text.jpg"):
        (root / "train/bee" / name).unlink()
    words = [str(root), "--image-size", "32", "--runs-dir", str(tmp_path / "runs"), *SMALL]
    assert fit.main([*words, "--strict"]) == USER_ERROR
    said = capsys.readouterr().err
    assert "--strict: 1 test images have a copy in train, 2 images have a copy with another label" in said
    assert not list((tmp_path / "runs").glob("resnet*")), "nothing is half-written"
    assert run_audit(root, tmp_path) == CHECK_FAILED
    assert fit.main([*words, "--strict"]) == USER_ERROR
    assert "2 test images have a copy in train" in capsys.readouterr().err, "the audit knows near-copies too"


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the photos without the damaged ones; an audit of the same was there before."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "exclude.csv").write_text("path\ntrain/bee/half.jpg\ntrain/bee/text.jpg\n")
    words = [str(photos), "--image-size", "32", "--exclude", str(folder / "exclude.csv")]
    assert audit.main([*words, "--runs-dir", str(folder), "--output", str(folder / "audit")]) == CHECK_FAILED
    assert fit.main([*words, "--runs-dir", str(folder), "--run", "run", *SMALL]) == DONE
    return folder


@pytest.mark.training
def test_scores_with_and_without_copies(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "trained"))
    (folder / "exclude.csv").write_text("path\n")  # edited since: the run has its own
    run = Run(folder / "run")
    beside = run.metrics()["test"]["without_copies"]
    assert beside["copies"] == 2
    assert beside["accuracy"]["n"] == 14
    said = "without the 2 test images that have a near-copy in train"
    assert said in run.report_file.read_text(encoding="utf-8")
    for known in (folder / ".contents").glob("copies-*"):
        known.unlink()
    assert evaluate.main([str(run.path), "--dedupe"]) == DONE
    assert said in capsys.readouterr().out
    assert run.metrics()["test"]["without_copies"]["accuracy"] == beside["accuracy"]
    assert evaluate.main([str(run.path), "--dedupe", "--split", "train"]) == USER_ERROR


@pytest.mark.training
def test_an_audit_with_a_run(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(trained / "run")
    words = ["--runs-dir", str(trained), "--output", str(tmp_path / "audit"), "--json"]
    assert audit.main(["--run", run, *words]) == CHECK_FAILED
    found = json.loads(capsys.readouterr().out)
    assert found["suspects"]["judged"] == 13 + 16 - 2, "val and test, without the two whose copies were learned"
    assert found["suspects"]["copies_left_out"] == 2
    assert isinstance(found["neighbors"], list)
    (tmp_path / "relabel.csv").write_text("path,label\ntest/ant/3.jpg,bee\n")
    assert audit.main(["--run", run, "--relabel", str(tmp_path / "relabel.csv"), *words]) == USER_ERROR
    assert "was trained on other images, labels or corrections" in capsys.readouterr().err


@pytest.mark.slow
def test_the_embedded_images_have_no_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fashion_mnist_mini", "--runs-dir", str(tmp_path), "--output", str(tmp_path / "audit"), "--json"]
    assert audit.main(words) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["copies"]["pairs"].keys() <= {"near"}
    assert found["copies"]["images"] <= 8
    assert found["leaks"] == {"test": [], "val": [], "test_in_val": []}
    assert copies.known(tmp_path, found["fingerprint"]) is not None
    assert np.mean([row["train"] for row in found["classes"].values()]) == 540
