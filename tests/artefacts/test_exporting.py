"""A run becomes artefacts that are proven equal to it, or nothing at all."""

import json
import re
import shutil
import typing
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from markdown_it import MarkdownIt

from kerascnn import artefacts, data, export, predict
from kerascnn.artefacts import exporting, file_rules, folding, proof, requested, sample, savedmodel
from kerascnn.artefacts.exporting import ExportOptions
from kerascnn.cli import extras
from kerascnn.config import Config
from kerascnn.errors import CHECK_FAILED, USER_ERROR, UserError
from kerascnn.runs import Run
from kerascnn.scoring import prediction_sets
from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions
from tests.artefacts import networks

pytestmark = pytest.mark.training

NASTY = "<script>alert(1)</script> | `rm` [x](javascript:alert(1))"
CONFIG = Config(data={"fraction": 0.05, "image_size": 16}, model={"arch": "resnet20", "width": 0.25})


@pytest.fixture(scope="module")
def splits() -> data.Splits:
    return data.load(CONFIG.data)


@pytest.fixture(scope="module")
def run(splits, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, as much of it as an export reads; one class is named to break Markdown."""
    run = Run(tmp_path_factory.mktemp("runs") / "tiny")
    run.write_config(CONFIG)
    network = networks.tiny(size=16, classes=10)
    network.save(run.best_model)
    summary = splits.summary()
    summary["class_names"][3] = NASTY
    run.write_data(summary, splits.rows(), [])
    score = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 50}
    val = {"accuracy": score, "worst_class": {"name": NASTY, "f1": 0.1, "n": 5}, "temperature": 2.0}
    metrics = {"val": val, "test": {"accuracy": score}, "params": 1000, "macs": 2000, "epochs": 3, "best_epoch": 2}
    metrics |= {"monitor": "val_accuracy", "finished": "2026-01-01T00:00:00+00:00", "test_is_val": False}
    metrics["test"] |= trusted(run, network, splits)
    run.write_metrics(metrics)
    return run


def trusted(run: Run, network: keras.Model, splits: data.Splits) -> dict[str, Any]:
    """Writes predictions as a training does; returns the scores of test that further outputs come from."""
    largest = {}
    for split in (splits.val, splits.test):
        logits = network.predict(split.source.fetch(split.indices).numpy().astype("float32"), verbose=0)
        largest[split.name] = logits.max(axis=1)
        ids = np.array(split.ids())
        Predictions.of_logits(ids, np.arange(len(ids)), split.labels.astype("int64"), logits).save(run, split.name)
    names, test = splits.class_names, Predictions.load(run, "test")
    inside = file_rules.in_files(largest["val"], largest["test"], np.full(20, -50.0), 0.9, None)
    unknown = {"share": 0.9, "from": "val", "from_n": len(splits.val), "folder": "photos", "in_files": inside}
    return prediction_sets.scores(Calibration.of_run(run), test, names) | {"unknown": unknown}


ALL = ExportOptions(("all",), calibrate=True, allow_drop=0)


@pytest.fixture(scope="module")
def everything(run: Run, splits, tmp_path_factory: pytest.TempPathFactory) -> exporting.Exported:
    """All formats at once, at temperature 2; int8 is not allowed to change a single answer, and does."""
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("openvino", reason="needs the extra openvino")
    return exporting.export(run, tmp_path_factory.mktemp("saved_models"), ALL, splits=splits)


def cooled(probabilities: np.ndarray) -> np.ndarray:
    """softmax(logits / 2) of softmax(logits)."""
    roots = np.sqrt(probabilities.astype("float64"))
    return roots / roots.sum(1, keepdims=True)


def test_every_format_is_proven(everything: exporting.Exported) -> None:
    rows = {row["artefact"]: row for row in everything.rows}
    assert list(rows) == ["savedmodel", "litert float32", "litert float16", "litert int8", "onnx", "openvino", "keras"]
    for name, row in rows.items():
        assert row["images"]["n"] == 256
        assert (everything.version / row["file"]).is_file() == row["passed"]
        assert row["latency_ms"] > 0
        if name in ("savedmodel", "litert float32", "onnx", "openvino", "keras"):
            assert row["passed"]
            assert row["images"]["max_difference"] < 1e-5
        for output in ("in_set", "known"):
            assert row["further"][output]["otherwise"] == 0
            assert row["further"][output]["same"] == 1 or name.startswith("litert")
        assert (row["trust"]["sets"].get("own"), row["trust"]["unknown"].get("own")) == (
            (True, True) if name == "litert int8" else (None, None)
        )
    eight, four = (rows[name]["trust"] for name in ("litert int8", "litert float32"))
    assert eight["sets"]["threshold"] != four["sets"]["threshold"]
    assert rows["savedmodel"]["files"]["n"] == sample.FILES + 6 * sample.ODD
    assert rows["savedmodel"]["files"]["max_difference"] < 1e-5
    assert 1e-6 < rows["litert float16"]["images"]["max_difference"] < 0.02
    assert rows["litert int8"]["bytes"] < rows["litert float16"]["bytes"] < rows["litert float32"]["bytes"]
    kept = json.loads((everything.version / "parity.json").read_text(encoding="utf-8"))
    assert kept["artefacts"] == everything.rows


def test_a_temperature_that_val_could_not_say_changes_nothing(run: Run) -> None:
    said: list[str] = []
    metrics = {"val": {"temperature": 1.0, "temperature_reason": "no mistake among 50 images"}}
    assert exporting._temperature(run, metrics, said.append) is None
    assert "val has no mistake among 50 images" in said[0]


def test_the_sample_is_spread(splits: data.Splits, tmp_path: Path) -> None:
    drawn = sample.draw(splits, tmp_path)
    places = np.linspace(0, len(splits.val) - 1, sample.IMAGES).round().astype(int)
    np.testing.assert_array_equal(drawn.images, splits.val.source.fetch(splits.val.indices[places]))


def test_int8_that_answers_otherwise_fails_alone(everything: exporting.Exported, capsys) -> None:
    int8 = next(row for row in everything.rows if row["artefact"] == "litert int8")
    assert 0.8 < int8["images"]["top1"] < 1, "some answers should change in 8 bits: the test would not see a mistake"
    assert not int8["passed"]
    assert requested.report(everything) == CHECK_FAILED
    assert re.search(r"litert int8 was not kept: \d+\.\d+% of 256 predictions are the same", capsys.readouterr().err)


def test_each_file_answers_as_the_run(everything: exporting.Exported, run: Run, tmp_path: Path) -> None:
    files = sample.odd_files(np.random.default_rng(0).integers(0, 256, (20, 20, 3), "uint8"), tmp_path, "odd")
    asked = artefacts.open(run.path)
    expected = cooled(asked.predict(files))
    for name in ("model_float32.tflite", "model.onnx", "model.xml", "model.keras", ""):
        opened = artefacts.open(everything.version / name)
        described = (opened.class_names, opened.image_size, opened.resize)
        assert described == (asked.class_names, asked.image_size, asked.resize)
        np.testing.assert_allclose(opened.predict(files), expected, atol=1e-5)
        outputs = {prediction.item: prediction.further for prediction in opened.predictions(files)}
        assert all(found.keys() == {"in_set", "known", "known_score"} for found in outputs.values())
        assert opened.rules is not None
        taken = opened.rules.in_set(opened.predict(files))
        np.testing.assert_array_equal([found["in_set"] for found in outputs.values()], taken)
    # Away from their version they still tell.
    for name in ("model.onnx", "model.xml", "model.bin", "model_float16.tflite"):
        shutil.copy(everything.version / name, tmp_path / name)
    for name in ("model.onnx", "model.xml", "model_float16.tflite"):
        alone = artefacts.open(tmp_path / name)
        assert (alone.class_names, alone.image_size) == (asked.class_names, 16)
        assert alone.rules is not None
        assert alone.rules.sets is not None


@pytest.mark.slow
def test_without_thresholds_an_export_is_what_it_was_and_with_them_the_rest_stays(
    everything: exporting.Exported, run: Run, splits, tmp_path: Path
) -> None:
    """Every output that an export without further outputs has, bit for bit."""
    bare = Run(tmp_path / "runs" / "tiny")
    shutil.copytree(run.path, bare.path)
    bare.write_metrics({**run.metrics(), "test": {"accuracy": run.metrics()["test"]["accuracy"]}})
    options = ExportOptions(ALL.formats, calibrate=True, allow_drop=100)
    plain = exporting.export(bare, tmp_path / "plain", options, splits=splits)
    trusted = exporting.export(run, tmp_path / "trusted", options, splits=splits)
    assert not [row for row in plain.rows if "further" in row or "trust" in row]
    assert "trust" not in json.dumps(savedmodel.read_metadata(plain.version))
    assert (
        "Prediction sets"
        not in (plain.version / "README.md").read_text() + (plain.version / "MODEL_CARD.md").read_text()
    )
    images = np.random.default_rng(1).integers(0, 256, (64, 16, 16, 3)).astype("float32")
    for name in ("", *(row["file"] for row in plain.rows[1:])):
        before, after = (artefacts.open(each.version / name) for each in (plain, trusted))
        assert before.outputs(images).keys() == {"probabilities"}
        assert after.outputs(images).keys() == {"probabilities", "in_set", "known", "known_score"}
        np.testing.assert_array_equal(before.outputs(images)["probabilities"], after.outputs(images)["probabilities"])
        if before.pooled is not None:
            assert after.pooled is not None
            np.testing.assert_array_equal(before.pooled(images), after.pooled(images))


def test_predict_says_what_the_file_knows(
    everything: exporting.Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sample.odd_files(np.random.default_rng(0).integers(0, 256, (20, 20, 3), "uint8"), tmp_path, "odd")
    words = [str(everything.version / "model.onnx"), *map(str, files[:2]), "--json", "--sets", "--reject-unknown"]
    assert predict.main(words) == 0
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert all(isinstance(row["set"], list) and row["known"] in (True, False) for row in rows)
    assert "sets at 90%, approximate: val chose the checkpoint" in said.err
    assert predict.main([*words, "--coverage", "0.8"]) == USER_ERROR
    assert "are inside, made with 0.9: leave it out, or give the run" in capsys.readouterr().err


def test_readers_of_phones_and_of_intel_find_the_labels(everything: exporting.Exported) -> None:
    openvino = pytest.importorskip("openvino")
    names = artefacts.open(everything.version).class_names
    plain = [*names[:3], " ".join(NASTY.split()), *names[4:]]
    with zipfile.ZipFile(everything.version / "model_float32.tflite") as packed:
        assert packed.read("labels.txt").decode().splitlines() == plain
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    outputs = interpreter.Interpreter(str(everything.version / "model_float32.tflite")).get_output_details()
    assert outputs[0]["shape"].tolist() == [1, len(names)], "MediaPipe takes the first output for the scores"
    kinds = [(each["shape"].tolist(), each["dtype"]) for each in outputs[-3:]]
    assert kinds == [([1, len(names)], np.bool_), ([1], np.bool_), ([1], np.float32)]
    model = openvino.Core().read_model(everything.version / "model.xml")
    assert model.get_rt_info(["model_info", "labels"]).value.split(" ") == ["_".join(name.split()) for name in names]
    assert [value.get_any_name() for value in model.outputs] == [
        "probabilities",
        "features",
        "in_set",
        "known",
        "known_score",
    ]
    assert model.inputs[0].partial_shape[0].is_dynamic
    onnx = pytest.importorskip("onnx")
    file = onnx.load(everything.version / "model.onnx")
    assert file.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert [value.name for value in file.graph.output][-3:] == ["in_set", "known", "known_score"]
    assert {each.version for each in file.opset_import if not each.domain} == {exporting.onnx.OPSET}


def test_the_same_is_reused(everything: exporting.Exported, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    folder = everything.version.parents[1]
    words = ["--formats", *ALL.formats, "--calibrate", "--allow-drop", "0", "--exports-dir", str(folder)]
    assert export.main([str(run.path), *words]) == CHECK_FAILED  # again: int8 is missing still
    assert f"there already: {everything.version}" in capsys.readouterr().out
    assert [path.name for path in everything.version.parent.iterdir()] == ["1"]
    described = savedmodel.read_metadata(everything.version)["export"]
    assert described["temperature"] == 2.0
    assert exporting._same(everything.version.parent, described) == (everything.version, everything.rows)
    for other in ({"temperature": None}, {"formats": ["keras"]}, {"allow_drop": 1.0}, {"weights": "others"}):
        assert exporting._same(everything.version.parent, described | other) is None


@pytest.mark.parametrize("name", ["noise.onnx", "noise.tflite", "noise.xml"])
def test_a_damaged_file_is_a_message(everything: exporting.Exported, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"noise")
    with pytest.raises(UserError, match=f"{name} is not a.* file of kerascnn, or is damaged"):
        artefacts.open(tmp_path / name)


def test_pages_say_how_and_break_nothing(everything: exporting.Exported) -> None:
    readme = (everything.version / "README.md").read_text(encoding="utf-8")
    card = (everything.version / "MODEL_CARD.md").read_text(encoding="utf-8")
    for page in (readme, card):
        assert "<script>" not in page
        shown = MarkdownIt("commonmark").enable("table").render(page)
        assert 'href="javascript' not in shown
        assert "<script>" not in shown
        assert "script" in page, "the class is named all the same"
    assert "curl -s -d @- http://localhost:8501/v1/models/tiny:predict" in readme
    for word in ("image_bytes", "serving_default", "probabilities", "0 to 255", "INVALID_ARGUMENT", "classes.txt"):
        assert word in readme
    client = re.search(r"```python\n(.*?)```", readme, re.S)
    assert client
    compile(client[1], "client", "exec")
    assert "tensorflow" not in client[1]
    assert "temperature of 2" in card
    for word in ("25.00% to 75.00%", "| 50 |", "Intended use", "Limits", "Fingerprint"):
        assert word in card
    sums = dict(reversed(line.split(maxsplit=1)) for line in readme.split("## sha256")[1].strip().splitlines())
    assert sums.keys() == {
        str(path.relative_to(everything.version)) for path in everything.version.rglob("*") if path.is_file()
    } - {"README.md"}
    assert (everything.version / "assets" / "config.toml").is_file()
    assert (everything.version / "assets" / "metrics.json").is_file()


def test_what_disagrees_leaves_nothing_behind(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    folded = folding.folded

    def wrong(model: keras.Model) -> keras.Model:
        copy = folded(model)
        copy.get_layer("logits").bias.assign_add(np.linspace(0, 0.01, 10))
        return copy

    monkeypatch.setattr(folding, "folded", wrong)
    assert export.main([str(run.path), "--formats", "onnx", "--exports-dir", str(tmp_path)]) == CHECK_FAILED
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    said = capsys.readouterr().err
    assert "nothing was exported, and no version is left" in said
    assert re.search(
        r"onnx: [\d.]+% of 256 predictions are the same, the largest difference is .*; the limit is difference <= 0\.0001",
        said,
    )


def test_what_passed_is_kept_and_what_fails_is_tried_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A converter that raises, and a file that does not run: each is left out by itself."""
    for package in ("ai_edge_litert", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extras litert and onnx")

    def raises(*args: object) -> None:
        raise RuntimeError("no such operation\nat layer 3")

    monkeypatch.setattr(exporting.onnx, "write", raises)
    monkeypatch.setattr(exporting.litert, "write", lambda network, path, *rest: path.write_bytes(b"noise"))
    words = [str(run.path), "--formats", "onnx", "litert-int8", "keras", "--exports-dir", str(tmp_path)]
    assert export.main(words) == CHECK_FAILED
    said = capsys.readouterr()
    assert "kerascnn: onnx was not kept: no such operation at layer 3" in said.err
    assert "kerascnn: litert int8 was not kept:" in said.err
    assert "does not run in a fresh process" in said.err
    version = tmp_path / "tiny" / "1"
    assert f"exported: {version}" in said.out
    assert sorted(path.name for path in version.glob("model*")) == ["model.keras"]
    rows = {row["artefact"]: row["passed"] for row in json.loads((version / "parity.json").read_text())["artefacts"]}
    assert rows == {"onnx": False, "litert int8": False, "keras": True}
    assert "not kept: no such operation at layer 3" in (version / "README.md").read_text()
    described = savedmodel.read_metadata(version)["export"]
    assert exporting._same(version.parent, described) is None, "the same command tries it again"


def test_a_full_disk_is_no_artefacts_fault(run: Run, splits: data.Splits, tmp_path: Path, monkeypatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, f"{tmp_path}/part; No space left on device")

    monkeypatch.setattr(exporting.savedmodel, "write_served", full)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        exporting.export(run, tmp_path, ExportOptions(("savedmodel",)), splits=splits)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_single_forms_of_litert() -> None:
    names = [artefact.name for form in ("litert-float32", "litert-int8") for artefact in proof.FORMATS[form]]
    assert names == ["litert float32", "litert int8"]
    assert set(typing.get_args(export.Format)) == proof.FORMATS.keys()


def test_what_cannot_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("../elsewhere", "/tmp/x", "..", ".hidden", "a/b", ""):
        with pytest.raises(UserError, match="expected one folder's name"):
            exporting.folder_of(tmp_path, name)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="would leave"):
        exporting.folder_of(tmp_path / "saved", "link")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs ai_edge_litert, .*pip install 'kerascnn\[litert\]'"):
        exporting.export(run, tmp_path, ExportOptions(("litert",)))
    with pytest.raises(UserError, match=r"needs tf2onnx and onnx and onnxruntime.*kerascnn\[onnx\]"):
        exporting.export(run, tmp_path, ExportOptions(("savedmodel", "onnx")))
    young = Run(tmp_path / "young")
    shutil.copytree(run.path, young.path)
    metrics = run.metrics()
    del metrics["val"]["temperature"]
    young.write_metrics(metrics)
    with pytest.raises(
        UserError, match=r"--calibrate: run young has no temperature yet: `kerascnn evaluate .* --split val`"
    ):
        exporting.export(young, tmp_path, ExportOptions(calibrate=True))
    young.write_data({**run.data(), "fingerprint": "other"}, [], [])
    with pytest.raises(UserError, match="images of run young have changed"):
        exporting.export(young, tmp_path)
    young.metrics_file.unlink()
    with pytest.raises(UserError, match="young is not finished"):
        exporting.export(young, tmp_path)


def test_an_export_names_no_place_of_this_machine(tmp_path: Path) -> None:
    run = Run(tmp_path / "tiny")
    run.path.mkdir()
    weights = f"{tmp_path}/learned.pth#sha256={'0' * 64}"
    places = {"dataset": str(tmp_path / "photos"), "data_dir": str(tmp_path), "split_file": str(tmp_path / "split.csv")}
    run.write_config(Config(data=places, model={"weights": weights}, logging={"runs_dir": tmp_path}))
    run.write_data({"name": "photos", "image_size": 32}, [], [])
    assert str(tmp_path) in run.config_file.read_text(encoding="utf-8")
    written = exporting._placeless(run)
    assert str(tmp_path) not in written
    assert 'dataset = "photos"' in written
    assert "learned.pth#sha256=" in written
