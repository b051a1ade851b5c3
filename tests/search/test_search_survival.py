"""A search that is killed at random moments ends with the candidates of an undisturbed one: real processes, real signals."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerascnn import models
from kerascnn.devices import timing
from kerascnn.runs import Run
from kerascnn.search.search_directory import SearchDirectory
from tests.search import make_search

TINY = ["--width", "0.25", "--blocks", "1", "1", "1", "--fraction", "0.02", "--epochs", "2", "--trials", "4"]
EXACT = ("epoch", "lr", "loss", "accuracy", "val_loss", "val_accuracy")


def tune(folder: Path, *flags: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    space = folder / "mine.toml"
    space.write_text(make_search.SPACE)
    command = [sys.executable, "-m", "kerascnn.tune", "--tuner", "random", "--space", str(space), *TINY]
    command += ["--dtype", "float32", "--searches-dir", str(folder), "--name", "one", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate(timeout=580)
    return child.returncode, out, err


def histories(folder: Path) -> dict[str, list[list[float]]]:
    """Of every candidate and the baseline, what must repeat to the last bit."""
    runs = [Run(path) for path in sorted(SearchDirectory(folder / "one").trials.iterdir())]
    return {run.name: [[row[name] for name in EXACT] for row in run.history()] for run in runs}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_three_times_ends_as_undisturbed(tmp_path: Path) -> None:
    code, _, err = finish(tune(tmp_path / "calm"))
    assert (code, err) == (0, "")
    rng = random.Random(int.from_bytes(os.urandom(4), "little"))
    for _ in range(3):
        child = tune(tmp_path / "cut")
        time.sleep(rng.uniform(5, 40))
        child.kill()
        finish(child)
    code, out, err = finish(tune(tmp_path / "cut"))
    assert (code, err) == (0, "")
    assert "best    " in out
    assert histories(tmp_path / "cut") == histories(tmp_path / "calm")
    code, out, _ = finish(tune(tmp_path / "cut"))
    assert code == 0
    assert "best    " in out


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two workers need two cores")
def test_one_ctrl_c_ends_two_workers_and_their_children(tmp_path: Path) -> None:
    child = tune(tmp_path, "--workers", "2", "--epochs", "300")
    trials = SearchDirectory(tmp_path / "one").trials
    while child.poll() is None and len([run for run in trials.glob("*") if Run(run).history()]) < 2:
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    code, _, err = finish(child)
    assert code == 130, err
    for path in trials.iterdir():
        with Run(path).lock():  # nobody trains it any more
            assert len(Run(path).history()) < 300


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_latency_budget_bounds_candidates_and_baseline(tmp_path: Path) -> None:
    """Every candidate and the uniform network were measured once and fit; the uniform one is as wide as may be."""
    begin = models.build("resnet20", (32, 32, 3), 10, width=0.25, blocks=(1, 1, 1))
    limit = round(3 * timing.latency(timing.inference(begin, 1, 32), calls=50).p50_ms, 2)  # of this machine
    code, out, err = finish(tune(tmp_path, "--max-latency-ms", str(limit)))
    assert (code, err) == (0, "")
    assert f"at most {limit:g} ms at batch 1" in out
    trained = [run for path in SearchDirectory(tmp_path / "one").trials.iterdir() if (run := Run(path)).history()]
    assert len(trained) == 5  # four candidates and the baseline
    assert all(run.latency_ms() <= limit for run in trained if run.name != "baseline")
    widths = {run.config().model.width: run.latency_ms() for run in all_runs(tmp_path) if run.latency_ms() is not None}
    (baseline,) = [run for run in trained if run.name == "baseline"]
    assert widths[baseline.config().model.width] <= limit
    assert baseline.config().model.width > 0.25  # where it began


def all_runs(folder: Path) -> list[Run]:
    return [Run(path) for path in SearchDirectory(folder / "one").trials.iterdir()]
