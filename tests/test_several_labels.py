"""Several labels per image through the commands: fit, evaluate, predict, export and compare on a table of tiny images."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kerascnn
from kerascnn import artefacts
from kerascnn.__main__ import main
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions
from tests import several

pytestmark = [pytest.mark.training, pytest.mark.slow]

FLAGS = [
    *("--class-names", *several.NAMES),
    *("--label-separator", "|", "--image-size", "16", "--width", "0.25", "--blocks", "1", "1", "1", "--epochs", "2"),
    *("--low-res-epochs", "0", "--batch-size", "16", "--augment", "none", "--warmup", "0", "--dtype", "float32"),
]
FORMATS = ("savedmodel", "litert", "onnx", "keras")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def table(place: Path) -> Path:
    return several.folder(place / "images")


def fit(place: Path, table: Path, arch: str, *more: str) -> Run:
    where = ["--runs-dir", str(place / "runs"), "--run", arch, "--exports-dir", str(place / "exports")]
    assert main(["fit", "--dataset", str(table), "--arch", arch, *where, *FLAGS, *more]) == 0
    return Run(place / "runs" / arch)


@pytest.fixture(scope="module")
def run(place: Path, table: Path) -> Run:
    return fit(place, table, "resnet20", "--no-export")


@pytest.fixture(scope="module")
def version(place: Path, run: Run) -> Path:
    words = ["export", str(run.path), "--formats", *FORMATS, "--exports-dir", str(place / "exports"), "--name", "all"]
    assert main([*words, "--allow-drop", "10"]) == 0
    return place / "exports" / "all" / "1"


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_evaluate_scores_and_names_what_each_label_has(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    said = asked(capsys, "evaluate", str(run.path), "--tta", "flip", "--explain", "--most", "8")
    assert "mAP" in said
    assert "Hamming loss" in said
    assert "mAP of a random order" in said
    assert "temperature" not in said
    metrics = run.metrics()["test"]
    assert metrics["tta"]["mean_average_precision"]["n"] == metrics["mean_average_precision"]["n"]
    assert {"auroc", "micro_f1_each", "exact_match"} <= metrics.keys()
    assert not {"confused", "ece", "top5"} & metrics.keys()
    assert (run.plots / "test_reliability.png").exists()
    assert (run.plots / "test_maps.png").exists()
    page = run.report_file.read_text()
    assert "Share with the label by probability" in page
    assert "most probable labels (Grad-CAM)" in page


def test_predictions_are_labels_over_their_thresholds(
    run: Run, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(map(str, table.parent.glob("*.png")))[:20]
    predictor = kerascnn.load(run.path)
    assert (predictor.task.name, predictor.thresholds) == ("multi", run.thresholds)
    probabilities = predictor.predict(files)
    rows = [json.loads(line) for line in asked(capsys, "predict", str(run.path), *files, "--json").splitlines()]
    for row, each in zip(rows, probabilities, strict=True):
        there = [several.NAMES[c] for c in np.argsort(-each) if each[c] >= run.thresholds.each[c]]
        assert [one["class"] for one in row["labels"]] == there
    lines = asked(capsys, "predict", str(run.path), *files, "--csv", "--threshold", "0.5")
    for row, each in zip(csv.DictReader(io.StringIO(lines)), probabilities, strict=True):
        there = [several.NAMES[c] for c in np.argsort(-each) if each[c] >= 0.5]
        assert row["labels"] == "|".join(there)
        assert row["probabilities"].count("|") == max(len(there) - 1, 0)
    assert "no label (most probable: " in asked(capsys, "predict", str(run.path), files[0], "--threshold", "1")


def test_images_are_sorted_and_explained_by_each_label(
    run: Run, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(map(str, table.parent.glob("*.png")))[:6]
    words = [
        "--sort-into",
        str(tmp_path / "sorted"),
        "--cam",
        "layer-cam",
        "--cam-into",
        str(tmp_path / "maps"),
        "--threshold",
        "0.3",
        "--json",
    ]
    rows = [json.loads(line) for line in asked(capsys, "predict", str(run.path), *files, *words).splitlines()]
    for row in rows:
        name = Path(row["image"]).name
        folders = {path.parent.name for path in (tmp_path / "sorted").glob(f"*/{name}")}
        assert folders == ({one["class"] for one in row["labels"]} or {"unsure"})
        assert Path(row["cam"]).exists()
    shown = sum(max(1, min(3, len(row["labels"]))) for row in rows)
    assert len(list((tmp_path / "maps").glob("*.png"))) == shown


@pytest.mark.parametrize("file", ["", "model_float32.tflite", "model.onnx", "model.keras"])
def test_every_format_has_sigmoids_and_thresholds(version: Path, run: Run, table: Path, file: str) -> None:
    files = sorted(map(str, table.parent.glob("*.png")))[:12]
    expected = kerascnn.load(run.path).predict(files)
    assert (np.abs(expected.sum(axis=1) - 1) > 1e-3).any()
    opened = artefacts.open(version / file if file else version)
    assert np.abs(opened.predict(files) - expected).max() < 1e-4
    assert (opened.task.name, opened.class_names) == ("multi", several.NAMES)
    assert opened.thresholds == run.thresholds


def test_the_proof_compares_labels(version: Path) -> None:
    rows = json.loads((version / "parity.json").read_text())["artefacts"]
    assert all(row["passed"] for row in rows), rows
    assert {row["artefact"] for row in rows} >= {"savedmodel", "litert float32", "litert int8", "onnx", "keras"}
    assert all(0.9 <= row["images"]["same_labels"] <= 1 for row in rows)
    assert all(row["images"]["same_labels"] == 1 for row in rows if row["limit"].startswith("difference"))


def test_the_saved_model_answers_labels(version: Path, run: Run, table: Path) -> None:
    loaded = tf.saved_model.load(str(version))
    content = tf.constant([(table.parent / "0000.png").read_bytes()])
    answer = loaded.signatures["serving_default"](image_bytes=content)
    probabilities = answer["probabilities"].numpy()
    assert (answer["labels"].numpy() == (probabilities >= np.float32(run.thresholds.each))).all()


def test_the_pages_of_an_export(version: Path) -> None:
    card, readme = (version / "MODEL_CARD.md").read_text(), (version / "README.md").read_text()
    assert "sigmoid of each logit" in card
    assert "any number of labels per image" in card
    assert "an image may get none" in card
    assert "| test | mAP |" in card
    assert "same labels" in readme
    assert "| index | class | threshold |" in readme


def test_a_keras_file_alone_takes_the_task_from_the_caller(version: Path, tmp_path: Path, table: Path) -> None:
    alone = tmp_path / "alone.keras"
    alone.write_bytes((version / "model.keras").read_bytes())
    files = [str(table.parent / "0000.png")]
    assert artefacts.open(alone).predict(files).sum() == pytest.approx(1)
    told = artefacts.open(alone, task="multi").predict(files)
    assert told == pytest.approx(artefacts.open(version / "model.keras").predict(files), abs=1e-6)


def test_what_fits_one_label_only_is_refused(
    run: Run, table: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run.path), "--calibrate", "--exports-dir", str(place / "exports")]) == 2
    assert "a temperature is fitted to one label per image" in capsys.readouterr().err
    words = ["fit", "--dataset", str(table), "--task", "single", "--runs-dir", str(place / "runs"), *FLAGS]
    assert main(words) == 2
    assert "have several labels each" in capsys.readouterr().err


def test_evaluate_an_artefact_on_a_table(
    version: Path, run: Run, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = json.loads(asked(capsys, "evaluate", str(run.path), "--dataset", str(table), "--split", "val", "--json"))
    assert said["task"] == "multi"
    kept = Predictions.load(run, "val")
    assert said["scores"]["mean_average_precision"]["n"] == len(kept)
