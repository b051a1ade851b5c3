"""`kerascnn evaluate` on a small real run: what it prints, keeps and refuses."""

import contextlib
import csv
import json
import re
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score

import kerascnn
from kerascnn import data, evaluate, fit, predict
from kerascnn.data import corruptions
from kerascnn.errors import DONE, USER_ERROR, UserError
from kerascnn.evaluation import evaluated_model
from kerascnn.runs import Run, lease
from kerascnn.scoring import class_maps

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    words = "--arch resnet9 --width 0.125 --fraction 0.05 --calibration-fraction 0.1 --epochs 1 --warmup 0"
    assert fit.main([*words.split(), "--run", "learned", "--no-export", "--runs-dir", str(folder)]) == DONE
    return folder / "learned"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "learned"))


def photos(folder: Path, names: tuple[str, ...], each: int = 8) -> Path:
    for k, name in enumerate(names):
        for i in range(each):
            path = folder / name.replace("/", "-") / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([k, i]).integers(0, 256, (32, 32, 3), "uint8")
            Image.fromarray(pixels).save(path)
    return folder


def test_everything_of_a_run(run, tmp_path, capsys) -> None:
    before = Run(run).metrics()
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("image,left,top,width,height\ntest/1,0,0,28,28\n7,0,0,28,28\ntest/5,-9,0,9,28\n")
    words = ["--tta", "flip", "--corruptions", "--resolutions", "--explain", "--most", "16", "--boxes", str(boxes)]
    assert evaluate.main([str(run), *words, "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    scores, kept = found["scores"], Run(run).metrics()
    answers = Run(run).read_predictions("test")
    labels, probabilities = answers["labels"], answers["probabilities"]
    assert scores["accuracy"]["value"] == pytest.approx(accuracy_score(labels, probabilities.argmax(1)))
    assert scores["accuracy"] == before["test"]["accuracy"], "the very images and the very network of the run's end"
    true = probabilities[np.arange(len(labels)), labels].astype("float64")
    assert scores["loss"]["value"] == pytest.approx(-np.log(true).mean(), rel=1e-4)
    assert scores["calibrated"]["loss"]["value"] <= scores["loss"]["value"] + 0.01
    assert kept["val"]["temperature"] == scores["calibrated"]["temperature"]
    assert len(found["corruptions"]) == len(corruptions.CORRUPTIONS) * 5
    assert all(row["n"] == 16 for row in found["corruptions"])
    assert [row["pixels"] for row in found["resolutions"]] == [32, 24, 16, 12, 8, 4]
    assert {"stage1", "stage2"} <= set(found["explanation"]["stages"])
    methods = found["explanation"]["methods"]
    assert (methods["n"], list(methods["rows"])) == (16, list(class_maps.METHODS))
    assert methods["boxes"]["n"] == 3
    for row in methods["rows"].values():
        assert row["deletion"]["low"] <= row["deletion"]["value"] <= row["deletion"]["high"]
        assert row["hits"]["value"] <= 2 / 3, "one box lies beside its image"
    assert kept["finished"] == before["finished"]
    assert kept["test"]["brier"]["n"] == 1000
    plots = {path.name for path in Run(run).plots.iterdir()}
    assert plots >= {
        f"test_{name}.png"
        for name in ("reliability", "ranking", "corruptions", "resolutions", "maps", "maps_by_method")
    }
    assert kept["test"]["auroc"]["low"] <= kept["test"]["auroc"]["value"] <= kept["test"]["auroc"]["high"]
    assert all(row["f1_low"] <= row["f1_high"] for row in kept["test"]["per_class"] if row["f1"] is not None)
    page = Run(run).report_file.read_text(encoding="utf-8")
    for words in (
        "worst of",
        "Grad-CAM",
        "Which maps show what matters?",
        "Accuracy under corruptions",
        "Most confused pairs",
        "Several looks at each image",
    ):
        assert words in page
    assert len(page) < 1_000_000
    suffixes = {path.suffixes[-2] for path in (run / "tensorboard").rglob("events*")}
    assert {".pr-curves-test", ".layout"} <= suffixes


def test_the_screen_says_what_n_is_and_scores_wait_for_who_holds_the_run(run, capsys, monkeypatch) -> None:
    with contextlib.ExitStack() as held:
        held.enter_context(Run(run).lock())
        slept = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=lambda seconds: held.close())
        monkeypatch.setattr(lease, "time", slept)  # whoever holds it lets go once somebody waits
        assert evaluate.main([str(run), "--split", "val"]) == DONE
    assert "brier" in Run(run).metrics()["val"]
    out = capsys.readouterr().out
    assert "n = 600 images" in out
    assert "temperature" in out
    assert "ECE (equal mass)" in out
    assert re.search(r"with chance's part +\d+\.\d\d%  a calibrated network: \d+\.\d\d%, below", out)


def test_images_that_are_cut_together_are_resampled_together(run, capsys) -> None:
    before = Run(run).metrics()["test"]
    Run(run).write_config(Run(run).config().replace(data={"group_by": r"^(.*)\d$"}))  # test/12? is a group
    words = ["--resolutions", "--explain", "--most", "16"]
    assert evaluate.main([str(run), *words]) == DONE
    assert "n = 1,000 images in 100 groups, 1 network" in capsys.readouterr().out
    metrics = Run(run).metrics()["test"]
    assert metrics["groups"] == 100
    for name in ("accuracy", "macro_f1", "balanced_accuracy", "loss"):
        assert metrics[name]["value"] == pytest.approx(before[name]["value"], rel=1e-6)
        assert metrics[name]["low"] != before[name]["low"], name
    assert metrics["per_class"][0]["recall"] != before["per_class"][0]["recall"]
    assert "whole groups of images (100 of test)" in Run(run).report_file.read_text(encoding="utf-8")


def test_a_temperature_that_val_cannot_say_is_1(run, capsys) -> None:
    val = Run(run).read_predictions("val")
    val["probabilities"] = np.eye(10, dtype="float32")[val["labels"]] * 0.9 + 0.01
    Run(run).write_predictions("val", **val)
    assert evaluate.main([str(run)]) == DONE
    assert "at temperature 1.000, kept: val has no mistake among 600 images:" in capsys.readouterr().out
    metrics = Run(run).metrics()
    assert (metrics["val"]["temperature"], metrics["test"]["calibrated"]["temperature"]) == (1, 1)
    assert metrics["test"]["calibrated"]["loss"]["value"] == pytest.approx(metrics["test"]["loss"]["value"], rel=1e-5)
    assert "The temperature stays 1: val has no mistake among 600 images." in Run(run).report_file.read_text(
        encoding="utf-8"
    )


def test_a_run_that_cannot_be_written_is_told_before_the_scoring(run, tmp_path, capsys, monkeypatch) -> None:
    shutil.rmtree(run / ".lease")
    (run / ".lease").touch()  # as on a disk that may only be read: also for root
    kept = Run(run).metrics()
    words = [str(run), "--split", "test", "--output", str(tmp_path / "own")]
    assert evaluate.main(words) == DONE
    assert f"its scores are kept only in {tmp_path / 'own'}" in capsys.readouterr().out
    assert Run(tmp_path / "own").has_predictions("test")
    assert Run(run).metrics() == kept
    monkeypatch.setattr(
        evaluated_model.EvaluatedModel, "predictions", lambda *_: pytest.fail("it was scored for nothing")
    )
    assert evaluate.main(words[:3]) == USER_ERROR
    assert "run learned cannot take the scores: --output FOLDER keeps them elsewhere" in capsys.readouterr().err


def test_other_images_of_the_same_classes(run, tmp_path, capsys) -> None:
    names = Run(run).data()["class_names"]
    folder = photos(tmp_path / "photos", tuple(name for name in names if "/" not in name), each=3)
    code = evaluate.main([str(run), "--dataset", str(folder), "--output", str(tmp_path / "out"), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == DONE
    assert found["scores"]["accuracy"]["n"] == 3 * (len(names) - 1), "a flat folder is wholly test"
    assert "calibrated" in found["scores"]
    assert Run(tmp_path / "out").has_predictions("test")
    assert Run(run).metrics()["test"]["accuracy"]["n"] == 1000, "the run's own scores stay"


@pytest.fixture
def by_file(run, tmp_path) -> tuple[Path, Path]:
    """The run as if a split file had cut a folder of photos for it: that folder, and the file."""
    folder, file = photos(tmp_path / "photos", ("Bag", "Coat")), tmp_path / "who.csv"
    given = ("train", "train", "train", "train", "val", "val", "test", "test")
    with file.open("w", newline="", encoding="utf-8") as opened:
        rows = [(f"{name}/{i}.png", name, split) for name in ("Bag", "Coat") for i, split in enumerate(given)]
        csv.writer(opened).writerows([("path", "label", "split"), *rows])
    there = {
        "dataset": str(folder),
        "split_file": str(file),
        "image_size": 32,
        "fraction": 1.0,
        "calibration_fraction": 0,
    }
    config = Run(run).config().replace(data=there)
    splits = data.load(config.data)
    Run(run).write_config(config)
    Run(run).write_data({**Run(run).data(), "fingerprint": splits.fingerprint}, splits.rows(), [])
    return folder, file


@pytest.mark.parametrize("deleted", [False, True])
def test_other_images_than_a_split_file_names(run, by_file, tmp_path, deleted) -> None:
    _, file = by_file
    if deleted:
        file.unlink()
    others = photos(tmp_path / "others", ("Bag", "Coat", "Sandal"), each=3)
    found = evaluated_model.find(run, str(others), None, "test")
    assert (found.own, len(found.split)) == (False, 9)
    with pytest.raises(UserError, match="no data set called"):
        evaluated_model.find(run, str(tmp_path / "nowhere"), None, "test")


@pytest.mark.parametrize("deleted", [False, True])
def test_the_run_s_own_images_elsewhere_keep_their_split_file(run, by_file, tmp_path, deleted) -> None:
    folder, file = by_file
    if deleted:
        file.unlink()
    found = evaluated_model.find(run, str(folder.rename(tmp_path / "moved")), None, "test")
    assert found.own
    assert found.split.ids() == ["Bag/6.png", "Bag/7.png", "Coat/6.png", "Coat/7.png"]


def test_nothing_is_kept_of_other_images_unless_asked(run, tmp_path, capsys) -> None:
    folder = photos(tmp_path / "photos", ("Bag", "Coat"), each=2)
    before = sorted(path.name for path in run.rglob("*"))
    assert evaluate.main([str(run), "--dataset", str(folder)]) == DONE
    assert "nothing: --output FOLDER keeps" in capsys.readouterr().out
    assert sorted(path.name for path in run.rglob("*")) == before


def test_a_keras_file_elsewhere_needs_images(run, tmp_path, capsys) -> None:
    copy = tmp_path / "model.keras"
    copy.write_bytes(Run(run).best_model.read_bytes())
    assert evaluate.main([str(copy)]) == USER_ERROR
    assert "--dataset" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "which network?"),
        (["nowhere"], "there is no"),
        (["RUN", "--dataset", "OTHER"], "has classes that the artefact does not know: cat"),
        (["RUN", "--spilt", "val"], "--split"),
        (["RUN", "--dataset", "EMPTY"], "no images"),
        (["RUN", "--dataset", "OTHER", "--output", "RUN"], "is a run"),
        (["RUN", "--dataset", "KNOWN", "--split", "val"], "has no such images; it has test (4)"),
        (["RUN", "--output", "FILE"], "is a file"),
        (["RUN", "--split", "val", "--condition-on", "x"], "thresholds need the test images"),
        (["RUN", "--split", "val", "--unknown", "RUN"], "leave out --dataset and --split"),
        (["RUN", "--unknown", "FILE"], "expected a folder of images"),
        (["RUN", "--condition-on", "("], "is not a regular expression"),
        (["RUN", "--dataset", "KNOWN", "--condition-on", "x"], "strata are known of the run's own images"),
        (["UNFINISHED"], "not finished"),
    ],
)
def test_mistakes(run, tmp_path, capsys, words, message) -> None:
    unfinished = Path(shutil.copytree(run, tmp_path / "unfinished"))
    Run(unfinished).metrics_file.unlink()
    places = {"RUN": str(run), "UNFINISHED": str(unfinished)}
    (tmp_path / "empty").mkdir()
    places["EMPTY"] = str(tmp_path / "empty")
    places["FILE"] = str(run / "log.txt")
    if "KNOWN" in words:
        places["KNOWN"] = str(photos(tmp_path / "known", ("Bag", "Coat"), each=2))
    if "OTHER" in words:
        places["OTHER"] = str(photos(tmp_path / "other", ("cat", "dog")))
    assert evaluate.main([places.get(word, word) for word in words]) == USER_ERROR
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    results = [line for line in out.splitlines() if not line.startswith(" " * 8)]  # a slow machine shows its phases
    assert not results, "said before anything was scored"


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_sample_is_what_it_says(run, split) -> None:
    found = evaluated_model.find(run, None, None, split)
    whole = np.concatenate([images for images, _ in found.images()])
    truth = found.split.source.fetch(found.split.indices).numpy()
    np.testing.assert_array_equal(whole, truth)
    [(images, places)] = found.images(most=7)
    assert (places[0], places[-1], len(places)) == (0, len(whole) - 1, 7)
    np.testing.assert_array_equal(images, truth[places])
    np.testing.assert_array_equal(found.at(np.array([9, 2])), truth[[9, 2]])


def test_prediction_sets_of_a_run(run, capsys) -> None:
    counts = {name: len(Run(run).read_predictions(name)["labels"]) for name in ("val", "calibration", "test")}
    assert counts == {"val": 600, "calibration": 600, "test": 1000}
    at_the_end = Run(run).metrics()["test"]["prediction_sets"]
    assert (at_the_end["coverage"], at_the_end["from"], at_the_end["exact"]) == (0.9, "calibration", True)
    words = ["--coverage", "0.7", "--set-score", "aps", "--condition-on", r"(?<=/)\d", "--target-accuracy", "0.5"]
    assert evaluate.main([str(run), *words]) == DONE
    out = capsys.readouterr().out
    assert "sets: 70% asked; " in out
    assert "guaranteed on average for images like these: 600 calibration images chose nothing" in out
    assert re.search(r"^stratum in its sets +n", out, re.M)
    assert "of the images [" in out
    kept = Run(run).metrics()["test"]
    assert sum(row["n"] for row in kept["prediction_sets"]["rules"]["stratum"]["per_stratum"]) == 1000
    assert kept["selective"]["asked"] == 0.5
    page = Run(run).report_file.read_text(encoding="utf-8")
    for words in ("Prediction sets", "Error of the most certain predictions"):
        assert words in page
    assert (Run(run).plots / "test_risk_coverage.png").exists()


def test_images_of_unknown_classes(run, tmp_path, capsys) -> None:
    folder = photos(tmp_path / "noise", ("static",), each=20)
    (folder / "static" / "broken.png").write_bytes(b"no image")
    assert evaluate.main([str(run), "--unknown", str(folder), "--accept", "0.9", "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)["unknown"]
    assert (found["folder"], found["n"], found["broken"], found["from"], found["from_n"]) == (
        "noise",
        20,
        1,
        "calibration",
        600,
    )
    assert found["accepted"]["value"] == pytest.approx(0.9, abs=0.06)
    assert found["accepted"]["n"] == 1000
    assert set(found["detection"]) == {"max_logit", "energy", "neighbor", "mahalanobis"}
    assert Run(run).metrics()["test"]["unknown"] == found
    images = [str(path) for path in sorted((folder / "static").glob("[0-9]*.png"))]
    told, plain = [], []
    for rows, words in ((told, ["--reject-unknown"]), (plain, [])):
        assert predict.main([str(run), *images, *words, "--json"]) == DONE
        rows += [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["class"] for one in told] == [one["class"] for one in plain]
    assert np.mean([not one["known"] for one in told]) == pytest.approx(found["rejected"]["value"])


def test_as_a_library(run) -> None:
    scores = kerascnn.load(run).evaluate("val")
    assert scores["accuracy"]["n"] == 600
