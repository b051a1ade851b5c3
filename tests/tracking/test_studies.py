"""Comparisons and searches in MLflow, through a server on loopback, and in W&B, and a training that is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerascnn import tracking
from kerascnn.config import Config
from kerascnn.runs import Run
from kerascnn.tracking import kept, untold, wandb_log
from tests.tracking.test_trackers import SMALL, needs_both, run

pytestmark = [needs_both, pytest.mark.training, pytest.mark.slow]
SECONDS = 120  # for the server of MLflow to start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of MLflow's own server."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("w") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=5)
            break
        except OSError:
            assert child.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.5)
    yield address
    os.killpg(child.pid, signal.SIGTERM)
    child.wait(30)


READ_RUNS = """
import json, mlflow
client = mlflow.MlflowClient()
(experiment,) = [each for each in client.search_experiments() if each.name == "kerascnn"]
print("FOUND" + json.dumps([{
    "id": run.info.run_id, "name": run.info.run_name, "status": run.info.status,
    "parent": run.data.tags.get("mlflow.parentRunId"), "kind": run.data.tags["kerascnn.kind"],
    "group": run.data.tags.get("kerascnn.group"), "files": [each.path for each in client.list_artifacts(run.info.run_id)],
    "models": [each.model_id for each in (run.outputs.model_outputs if run.outputs else [])],
    "steps": {key: [point.step for point in client.get_metric_history(run.info.run_id, key)] for key in run.data.metrics},
} for run in client.search_runs([experiment.experiment_id])]))
"""


SET_RUNNING = """
import mlflow, sys
mlflow.MlflowClient().update_run(sys.argv[1], status="RUNNING")
"""


def mlflow_runs(folder: Path, **variables: str) -> list[dict]:
    """What MLflow's own client finds."""
    command, environment = [sys.executable, "-c", READ_RUNS], {**os.environ, **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert "FOUND" in done.stdout, done.stderr
    return json.loads(done.stdout.partition("FOUND")[2])


def groups(folder: Path) -> set[tuple[str, str]]:
    """Group and kind of each run of W&B below a folder, from its logs."""
    from wandb.proto import wandb_internal_pb2

    found = set()
    for log in folder.rglob("offline-run-*/run-*.wandb"):
        for content in wandb_log.records(log):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "run":
                found.add((record.run.run_group, record.run.job_type))
    return found


@pytest.mark.parametrize("command", ["compare", "tune"])
def test_runs_of_a_study_are_nested_below_it(command: str, server: str, tmp_path: Path) -> None:
    words = {
        "compare": ["--archs", "resnet20", "inception_small", "--match", "none", "--seeds", "1"],
        "tune": ["--arch", "resnet20", "--space", "resnet_filters", "--trials", "2", "--tuner", "random"],
    }[command]
    small = ["--epochs", "2", "--fraction", "0.02", "--width", "0.25", "--name", command]
    variables = {"MLFLOW_TRACKING_URI": server, "MLFLOW_EXPERIMENT_NAME": "kerascnn"}
    done = run(tmp_path, f"kerascnn.{command}", *words, *small, "--track", "mlflow", "wandb", **variables)
    assert done.returncode == 0, done.stderr
    assert "note: mlflow" not in done.stdout + done.stderr
    found = [each for each in mlflow_runs(tmp_path, **variables) if each["group"] == command]
    (study,) = [each for each in found if each["kind"] == "study"]
    below = [each for each in found if each is not study]
    assert len(below) == {"compare": 2, "tune": 3}[command]
    assert {each["parent"] for each in below} == {study["id"]}
    assert {each["status"] for each in found} == {"FINISHED"}
    assert all(each["steps"]["validation/epoch_loss"] == [1, 2] for each in below)
    assert "report.html" in study["files"]
    assert groups(tmp_path) == {(command, "study"), (command, "training")}

    # The command was killed after a training had its scores, before the training's trackers were told the end.
    one = next(file for file in sorted(tmp_path.glob("**/trackers.json")) if (file.parent / "metrics.json").exists())
    facts = kept.read(one.parent, "mlflow")
    kept.write(one.parent, "mlflow", {"run": facts["run"], "uri": facts["uri"]})
    subprocess.run([sys.executable, "-c", SET_RUNNING, facts["run"]], env={**os.environ, **variables}, check=True)
    again = run(tmp_path, f"kerascnn.{command}", *words, *small, "--track", "mlflow", "wandb", **variables)
    assert again.returncode == 0, again.stderr
    after = [each for each in mlflow_runs(tmp_path, **variables) if each["group"] == command]
    assert {each["id"] for each in after} == {each["id"] for each in found}
    assert {each["status"] for each in after} == {"FINISHED"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_training_that_ends_in_its_export_is_finished_by_the_same_command(
    number: signal.Signals, tmp_path: Path
) -> None:
    words = ["-m", "kerascnn.fit", *SMALL, "--run", "a", "--runs-dir", "runs", "--track", "mlflow", "wandb"]
    environment = {**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parents[2])}
    child = subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    while not (tmp_path / "runs/a/metrics.json").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(number)
    assert child.wait(300) == (75 if number == signal.SIGTERM else -number)
    logging = Config().logging.model_copy(update={"track": ("mlflow", "wandb")})
    assert untold.waiting(logging, Run(tmp_path / "runs/a")) == ("mlflow", "wandb")
    (found,) = mlflow_runs(tmp_path)
    assert found["status"] == ("SCHEDULED" if number == signal.SIGTERM else "RUNNING")
    for _ in range(2):  # the second time there is nothing left to tell
        done = run(tmp_path, *words[1:])
        assert done.returncode == 0, done.stderr
        assert "note: mlflow" not in done.stdout + done.stderr
        assert "note: wandb" not in done.stdout + done.stderr
        (found,) = mlflow_runs(tmp_path)
        assert found["status"] == "FINISHED"
        assert {"metrics.json", "report.html"} <= set(found["files"])
        assert found["steps"]["test_accuracy"] == [0]
        assert len(found["models"]) == 1
        assert untold.waiting(logging, Run(tmp_path / "runs/a")) == ()


def test_a_training_that_is_killed_has_no_step_twice(tmp_path: Path) -> None:
    words = ["-m", "kerascnn.fit", *SMALL, "--epochs", "4", "--run", "a", "--runs-dir", "runs", "--no-export"]
    words += ["--batch-size", "8", "--checkpoint-every", "5", "--steps-per-log", "1", "--track", "mlflow", "wandb"]
    environment = {**os.environ, "PYTHONPATH": str(Path(tracking.__file__).parents[2])}
    history = tmp_path / "runs/a/history.csv"
    child = subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    while not history.exists() or len(history.read_text().splitlines()) < 3:
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    child.wait()
    done = run(tmp_path, *words[1:])
    assert done.returncode == 0, done.stderr
    (found,) = mlflow_runs(tmp_path)
    assert found["status"] == "FINISHED"
    assert found["steps"]["validation/epoch_loss"][-1] == 4
    assert all(steps == sorted(set(steps)) for steps in found["steps"].values())
    logs = sorted((tmp_path / "runs/a/wandb").glob("offline-run-*/run-*.wandb"))
    assert len(logs) == 2
    rows = [row for log in logs for row in wandb_log.history(log)]
    for axis in ("step", "epoch"):
        steps = [row[axis] for row in rows if f"train/{axis}_loss" in row]
        assert steps == sorted(set(steps))
        assert len(steps) > 2
    assert [row["_step"] for row in rows] == list(range(len(rows)))
