"""A run of a network that is a function in a file, which changes, moves and goes away."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from kerascnn import data, evaluate, export, training
from kerascnn.architectures import own
from kerascnn.artefacts import folding
from kerascnn.artefacts.opening import load_keras
from kerascnn.config import Config
from kerascnn.devices.plan import setup
from kerascnn.errors import UserError
from kerascnn.fit import main as fit
from kerascnn.runs import Run

pytestmark = pytest.mark.training

FILE = Path(__file__).parents[1] / "models" / "own_networks.py"
SMALL = [
    "--fraction",
    "0.02",
    "--batch-size",
    "32",
    "--epochs",
    "2",
    "--warmup",
    "0",
    "--dtype",
    "float32",
    "--no-export",
]


def test_a_run_keeps_its_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.py"
    shutil.copyfile(FILE, file)
    words = ["--arch", f"{file}:build", *SMALL, "--runs-dir", str(tmp_path / "runs")]
    assert fit([*words, "--stop-epoch", "1"]) == 0
    (run,) = (Run(path) for path in (tmp_path / "runs").iterdir())
    assert run.name.startswith("net.py-build_fashion_mnist_mini_s0-")
    assert run.network_file.read_bytes() == FILE.read_bytes()
    file.write_text(FILE.read_text() + "# changed\n")
    assert fit([*words, "--run", run.name]) == 2
    assert "model.arch: 'build#sha256=" in capsys.readouterr().err
    file.unlink()
    assert fit(["--config", str(run.config_file), "--stop-epoch", "2"]) == 0
    assert "resuming after step" in capsys.readouterr().out
    assert run.finished
    assert evaluate.main([str(run.path), "--split", "val"]) == 0


@pytest.mark.slow
def test_every_format_agrees_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(FILE, "net.py")
    words = ["--arch", "net.py:build", *SMALL, "--runs-dir", "runs", "--run", "mine"]
    assert fit(words) == 0
    Path("net.py").unlink()
    formats = ["savedmodel", "litert", "onnx", "keras"]
    assert export.main(["runs/mine", "--formats", *formats]) == 0
    (version,) = Path("saved_models").glob("*/1")
    rows = json.loads((version / "parity.json").read_text())["artefacts"]
    assert all(row["passed"] for row in rows)
    assert {row["artefact"].split()[0] for row in rows} == set(formats)
    assert 'arch = "net.py:build#sha256=' in (version / "assets" / "config.toml").read_text()
    assert (version / "network.py").read_bytes() == FILE.read_bytes()
    model = load_keras(Run("runs/mine").best_model)
    images = np.random.default_rng(0).uniform(0, 256, (3, 32, 32, 3)).astype("float32")
    halved = folding.calibrated(model, 2.0)
    assert halved.layers[-1].name == "logits"
    np.testing.assert_allclose(halved(images) * 2, model(images), rtol=1e-4, atol=1e-5)


def test_replicas_share_statistics_or_are_refused() -> None:
    splits = data.load(Config(data={"fraction": 0.02}).data)

    def config(name: str) -> Config:
        return Config(
            data={"fraction": 0.02},
            model={"arch": f"{FILE}:{name}"},
            optim={"warmup": 0, "optimizer": "sgd"},
            fit={"epochs": 1, "batch_size": 32},
            devices={"devices": "cpu:2", "dtype": "float32"},
        )

    resolved = training.resolve(config("build"), splits)
    plan = setup(resolved.devices, 32)
    model = training.build_and_compile(resolved, splits, plan)
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    model.train_on_batch(images, np.eye(10, dtype="float32")[np.arange(32) % 10])
    means = [variable for variable in model.non_trainable_variables if variable.name == "moving_mean"]
    assert means
    for variable in means:
        first, second = (copy.numpy() for copy in variable.value.values)
        assert first.any()
        np.testing.assert_array_equal(first, second)
    with pytest.raises(UserError, match=r"2 replicas would each keep their own .*seen"):
        training.build_and_compile(training.resolve(config("counting"), splits), splits, plan)


def test_small_images_first_only_where_the_weights_fit() -> None:
    splits = data.load(Config(data={"fraction": 0.02}).data)
    assert training.resolve(Config(model={"arch": f"{FILE}:build"}), splits).fit.low_res_epochs == 0
    resolved = training.resolve(Config(model={"arch": f"{FILE}:build"}, fit={"low_res_epochs": 2}), splits)
    assert resolved.fit.low_res_epochs == 2
    assert resolved.model.arch == own.pinned(f"{FILE}:build")
    with pytest.raises(UserError, match=r"--low-res-epochs 2: the weights of own_networks.py:named have other shapes"):
        training.resolve(Config(model={"arch": f"{FILE}:named"}, fit={"low_res_epochs": 2}), splits)
