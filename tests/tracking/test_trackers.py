"""MLflow and W&B, read back through their own stores: a run that is stopped and resumed, with its model."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn import tracking
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs.identity import identity
from kerascnn.tracking import wandb_log, wandb_runs
from kerascnn.tracking.tracker import FINISHED, STOPPED, TRAINING, Point, Subject
from tests.tracking import wandb_server

SMALL = ["--arch", "resnet20", "--width", "0.25", "--epochs", "2", "--fraction", "0.02"]
HAS_BOTH = all(importlib.util.find_spec(name) for name in ("mlflow", "wandb"))
needs_both = pytest.mark.skipif(not HAS_BOTH, reason="mlflow and wandb are not installed")


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder of its own, where MLflow's store lies."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parents[2]), **variables}
    command = [sys.executable, "-m", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=580, check=False
    )


def test_a_missing_package_is_named_with_its_line_of_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'kerascnn\[wandb\]'"):
        tracking.check(["tensorboard", "wandb"])
    tracking.check(["tensorboard"])


def test_trackers_are_not_part_of_the_identity() -> None:
    config = Config().replace(data={"image_size": 32})
    tracked = config.replace(logging={"track": ("mlflow", "wandb"), "track_group": "g"})
    assert identity(tracked, "f") == identity(config, "f")


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stopped after its first epoch and was resumed, with all trackers, and its export."""
    folder = tmp_path_factory.mktemp("tracked")
    words = ["kerascnn.fit", *SMALL, "--run", "a", "--runs-dir", "runs", "--track", "tensorboard", "mlflow", "wandb"]
    for further in (["--stop-epoch", "1"], []):
        done = run(folder, *words, *further)
        assert done.returncode == 0, done.stderr
        assert "note: mlflow" not in done.stdout + done.stderr
        assert "note: wandb" not in done.stdout + done.stderr
    return folder


READ_MLFLOW = """
import json, sys, mlflow, numpy as np
client, run = mlflow.MlflowClient(), json.load(open("runs/a/trackers.json"))["mlflow"]["run"]
found = client.get_run(run)
steps = {key: [point.step for point in client.get_metric_history(run, key)] for key in found.data.metrics}
(model,) = client.search_logged_models([found.info.experiment_id])
loaded = mlflow.pyfunc.load_model(model.model_uri)
answers = loaded.predict(np.zeros((2, 32, 32, 3), "float32"))
print("FOUND" + json.dumps({
    "status": found.info.status, "steps": steps, "metrics": found.data.metrics, "params": found.data.params,
    "files": [each.path for each in client.list_artifacts(run)], "signature": str(loaded.metadata.signature),
    "shape": answers.shape, "packages": "kerascnn" in sys.modules,
    "runs": len(client.search_runs([found.info.experiment_id]))}))
"""


@needs_both
@pytest.mark.training
@pytest.mark.slow
def test_mlflow_continues_its_run_and_keeps_the_model(tracked: Path) -> None:
    command = [sys.executable, "-c", READ_MLFLOW]
    done = subprocess.run(command, cwd=tracked, capture_output=True, text=True, timeout=300, check=False)
    assert "FOUND" in done.stdout, done.stderr
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert found["status"] == "FINISHED"
    assert found["runs"] == 1
    assert found["steps"]["validation/epoch_loss"] == [1, 2]
    assert all(len(steps) == len(set(steps)) for steps in found["steps"].values())
    assert found["params"]["arch"] == "resnet20"
    assert {"config.toml", "metrics.json", "report.html", "pictures"} <= set(found["files"])
    scores = json.loads((tracked / "runs/a/metrics.json").read_text())
    assert found["metrics"]["test_accuracy"] == pytest.approx(scores["test"]["accuracy"]["value"])
    assert "images" in found["signature"]
    assert "probabilities" in found["signature"]
    assert found["shape"] == [2, 10]
    assert not found["packages"]


@needs_both
@pytest.mark.training
@pytest.mark.slow
def test_wandb_continues_its_run_without_a_step_twice(tracked: Path) -> None:
    logs = sorted((tracked / "runs/a/wandb").glob("offline-run-*/run-*.wandb"))
    assert len(logs) == 2
    assert len({log.name for log in logs}) == 1
    rows = [row for log in logs for row in wandb_log.history(log)]
    assert [row["epoch"] for row in rows if "validation/epoch_loss" in row] == [1, 2]
    assert [row["_step"] for row in rows] == list(range(len(rows)))
    pictures = [key for row in rows for key in row if key.startswith("pictures/") and key.endswith("/path")]
    assert len(pictures) == len(set(pictures)) > 2


@needs_both
@pytest.mark.training
@pytest.mark.slow
def test_two_starts_are_one_run_after_wandb_sync(tmp_path: Path) -> None:
    """What `wandb sync` sends of a run that was stopped and resumed a moment later, which repeats an epoch and a step."""
    for steps, status in ([1, 2], STOPPED), ([2, 3], FINISHED):
        tracker = wandb_runs.WandbRun(Subject("a", tmp_path, TRAINING, "group"))
        tracker.start()
        tracker.points([Point("validation", "epoch_loss", 1 / step, step) for step in steps])
        tracker.points([Point("train", "step_loss", 1 / step, 10 * step) for step in steps])
        if status == FINISHED:
            tracker.values({"arch": "resnet20"}, {"test_accuracy": 0.5})
        tracker.end(status)
    starts = sorted(str(path) for path in (tmp_path / "wandb").glob("offline-run-*"))
    with wandb_server.loopback() as server:
        variables = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "k" * 40}
        done = run(tmp_path, "wandb", "sync", "--yes", *starts, **variables)
        assert done.returncode == 0, done.stderr
    rows = [row for _, row in sorted(server.history.items())]
    assert [row["epoch"] for row in rows if "epoch" in row] == [1, 2, 3]
    assert [row["step"] for row in rows if "step" in row] == [10, 20, 30]
    assert [row["_step"] for row in rows] == list(range(6))
    assert server.summary["test_accuracy"] == 0.5
    assert server.groups == {"group"}
    assert len(server.identifiers) == 1


@needs_both
@pytest.mark.training
@pytest.mark.slow
def test_a_server_that_is_down_stops_nothing(tmp_path: Path) -> None:
    words = ["kerascnn.fit", *SMALL, "--no-export", "--runs-dir", "runs", "--run", "a", "--track", "mlflow"]
    done = run(tmp_path, *words, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("note: mlflow") == 2
    assert (tmp_path / "runs/a/metrics.json").exists()
