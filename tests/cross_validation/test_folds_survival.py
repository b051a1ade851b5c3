"""All folds, killed twice and stopped once, end as all folds that were not: `pytest -m slow` and this file, minutes."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kerascnn.errors import INTERRUPTED, STOPPED
from kerascnn.runs import Run
from kerascnn.studies.folds_directory import FoldsDirectory

# fmt: off
SMALL = ["fashion_mnist_mini", "--folds", "2", "--arch", "resnet9", "--width", "0.125", "--fraction", "0.1", "--image-size", "16",
         "--epochs", "3", "--batch-size", "32", "--checkpoint-every", "2", "--no-export", "--run", "small"]
# fmt: on


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "kerascnn.fit", *SMALL, *flags]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}


def end_when(folder: Path, ready, sent: signal.Signals) -> tuple[int, str]:
    """Start all folds and send a signal once `ready()`; returns the exit code and what was said."""
    log = folder / "ended.log"
    with log.open("wb") as out:
        started = subprocess.Popen(command(), cwd=folder, stdout=out, stderr=out, env=environment())
        until = time.monotonic() + 600
        while not ready() and started.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert started.poll() is None, log.read_text()
        started.send_signal(sent)
        code = started.wait(timeout=120)
    return code, log.read_text()


def epochs(folder: Path) -> list[int]:
    """Epochs done, run by run."""
    files = sorted(folder.glob("experiments/runs/*/history.csv"))
    return [len(list(csv.DictReader(file.read_text().splitlines()))) for file in files]


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.timeout(3000)
def test_killed_and_stopped_ends_as_undisturbed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    subprocess.run(command(), cwd=whole, check=True, env=environment(), capture_output=True, timeout=1200)

    end_when(killed, lambda: any(0 < done < 3 for done in epochs(killed)), signal.SIGKILL)
    code, said = end_when(killed, lambda: len(epochs(killed)) == 2, signal.SIGINT)
    assert (code, "Traceback" in said) == (INTERRUPTED, False), said
    up = command("--max-hours", "0.0001")
    stopped = subprocess.run(up, cwd=killed, env=environment(), capture_output=True, text=True, timeout=600)
    assert stopped.returncode == STOPPED, stopped.stderr
    assert "--max-hours" in stopped.stderr
    out = subprocess.run(
        command(), cwd=killed, check=True, env=environment(), capture_output=True, text=True, timeout=1200
    ).stdout
    assert "finished and reused" in out
    assert "out-of-fold accuracy" in out

    runs = sorted(path.name for path in (whole / "experiments/runs").iterdir() if not path.name.startswith("."))
    again = sorted(path.name for path in (killed / "experiments/runs").iterdir() if not path.name.startswith("."))
    assert runs == again
    assert len(runs) == 2
    ours, theirs = (FoldsDirectory(folder / "experiments/folds/small") for folder in (killed, whole))
    for mine, other in zip(ours.read_out_of_fold(), theirs.read_out_of_fold(), strict=True):
        np.testing.assert_array_equal(mine, other)
    tests = [Run(directory.ensemble).read_predictions("test")["probabilities"] for directory in (ours, theirs)]
    np.testing.assert_array_equal(*tests)
