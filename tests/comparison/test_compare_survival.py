"""A comparison that is killed twice ends as one that was not: `pytest -m slow` and this file, minutes."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

# fmt: off
SMALL = ["--archs", "resnet", "inception", "--match", "macs", "--seeds", "2", "--width", "0.25", "--fraction", "0.1",
         "--epochs", "3", "--batch-size", "32"]
# fmt: on


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "kerascnn.compare", *SMALL, "--name", "small", "--checkpoint-every", "2", *flags]


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}


def kill_when(folder: Path, ready, flags: tuple[str, ...] = ()) -> str:
    """Start the comparison, kill it with SIGKILL once `ready()`; returns what it had said."""
    log = folder / "killed.log"
    with log.open("wb") as out:
        started = subprocess.Popen(command(*flags), cwd=folder, stdout=out, stderr=out, env=environment())
        until = time.monotonic() + 400
        while not ready() and started.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert started.poll() is None, log.read_text()
        started.send_signal(signal.SIGKILL)
        started.wait()
    return log.read_text()


def histories(folder: Path) -> list[int]:
    """Epochs done, run by run."""
    files = sorted(folder.glob("experiments/runs/*/history.csv"))
    return [len(list(csv.DictReader(file.read_text().splitlines()))) for file in files]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_twice_ends_as_undisturbed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    subprocess.run(command(), cwd=whole, check=True, env=environment(), capture_output=True, timeout=900)

    kill_when(killed, lambda: any(0 < epochs < 3 for epochs in histories(killed)))
    kill_when(killed, lambda: len(histories(killed)) >= 3)
    out = subprocess.run(
        command(), cwd=killed, check=True, env=environment(), capture_output=True, text=True, timeout=900
    ).stdout
    assert "solved  earlier" in out
    assert "reused" in out

    runs = sorted(path.name for path in (whole / "experiments/runs").iterdir())
    assert sorted(path.name for path in (killed / "experiments/runs").iterdir()) == runs
    assert len(runs) == 4
    for run in runs:
        a, b = (np.load(folder / "experiments/runs" / run / "predictions/test.npz") for folder in (whole, killed))
        for key in ("ids", "labels", "probabilities"):
            assert np.array_equal(a[key], b[key]), f"{run}: {key}"
        scores = [
            json.loads((f / "experiments/runs" / run / "metrics.json").read_text())["test"] for f in (whole, killed)
        ]
        assert scores[0] == scores[1]
    tables = [(f / "experiments/comparisons/small/tables/scores.csv").read_text() for f in (whole, killed)]
    assert tables[0] == tables[1]
    verdicts = [(f / "experiments/comparisons/small/comparison.md").read_text().split("**")[1] for f in (whole, killed)]
    assert verdicts[0] == verdicts[1]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_out_of_time_concludes_from_the_seeds_that_are_complete(tmp_path: Path) -> None:
    """Time for some of the runs: exit 75, and the verdict says how many seeds it rests on."""
    first = subprocess.run(
        command("--max-hours", "0.0001"), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900
    )
    assert first.returncode == 75, first.stderr
    assert "no seed is finished for every arch yet: no verdict" in first.stdout
    assert "--max-hours 0.0001 is up: the same command continues" in first.stderr
    done = command("--seeds", "1")
    subprocess.run(done, cwd=tmp_path, env=environment(), check=True, capture_output=True, timeout=900)
    again = subprocess.run(
        command("--max-hours", "0.0001"), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900
    )
    assert again.returncode == 75, again.stderr
    assert "1 of 2 seeds" in again.stdout
    assert "images alone resampled" in again.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_what_chooses_never_reads_test(tmp_path: Path) -> None:
    """Two rates, chosen by one seed and judged by another; the second start reuses all of it."""
    flags = ("--lr-grid", "0.05", "0.1", "--seeds", "1", "--choose-seeds", "1", "--epochs", "1", "--match", "none")
    first = subprocess.run(
        command(*flags), cwd=tmp_path, env=environment(), check=True, capture_output=True, text=True, timeout=900
    )
    assert "choose  by val of 4 further runs, seeds 1000, whose test is not read: " in first.stdout
    assert "as val's mean accuracy of seeds 1000 prefers, which judge nothing: " in first.stdout
    choosing = sorted((tmp_path / "experiments/comparisons/small/choosing").iterdir())
    assert len(choosing) == 4
    for run in choosing:
        assert "test" not in json.loads((run / "metrics.json").read_text())
        assert not (run / "predictions/test.npz").exists()
    assert len(list((tmp_path / "experiments/runs").glob("*/predictions/test.npz"))) == 4
    again = subprocess.run(
        command(*flags), cwd=tmp_path, env=environment(), check=True, capture_output=True, text=True, timeout=900
    )
    assert again.stdout.count("reused") >= 8
