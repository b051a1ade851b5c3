"""Trainings as tasks of Ray: three nodes on loopback, and what is killed in turn."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kerascnn.cli.progress import SILENT
from kerascnn.errors import UserError
from kerascnn.studies.placement import Placement, executor_of
from tests.studies.test_local import weights

pytest.importorskip("ray", reason="needs the extra ray")
# fmt: off
SMALL = ["--archs", "resnet20", "inception_small", "--match", "none", "--width", "0.25", "--fraction", "0.02",
         "--image-size", "16", "--batch-size", "16", "--epochs", "4", "--seeds", "1", "--dtype", "float32", "--name", "small",
         "--checkpoint-every", "2"]
# fmt: on


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", "nobody answers there"),
        ("127.0.0.1", "expected ray:HOST:PORT"),
        ("127.0.0.1:99999", "nobody answers"),
    ],
)
def test_an_address_nobody_listens_at(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        executor_of(Placement(executor=f"ray:{address}"), SILENT, None)


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two nodes with two cores each, and a head without cores: nothing survives the driver's own node."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # Ray writes a token there
    (tmp_path / "home").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "node_ip_address": "127.0.0.2"})
    try:
        for host in (3, 4):
            cluster.add_node(num_cpus=2, node_ip_address=f"127.0.0.{host}")
        yield cluster.address
    finally:
        cluster.shutdown()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def compare() -> Iterator[Start]:
    """Starts a comparison in a folder; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        with (folder / "said.txt").open("ab") as said:
            command = [sys.executable, "-m", "kerascnn.compare", *SMALL, *words]
            started.append(subprocess.Popen(command, cwd=folder, stdout=said, stderr=said))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def parents(folder: Path, run: str) -> list[int]:
    """The processes that train a run, from `fit` to the raylet: a task's worker is its parent."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().decode(errors="replace")
            if "kerascnn.fit" in words and str(folder / "experiments/runs") in words and run in words:
                worker = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                raylet = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
                return [int(place.name), worker, raylet]
    return []


def until(ready: Callable[[], Any], driver: subprocess.Popen[bytes], seconds: float = 400) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end and driver.poll() is None:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s, or the driver ended with {driver.poll()}")


def saved(folder: Path, run: str, others: int = 0) -> bool:
    """Whether a run has been saved after its first step."""
    return any(folder.glob(f"experiments/runs/{run}*/checkpoints/step-*"))


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_worker_a_node_and_the_driver_are_killed(address: str, compare: Start, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    assert compare(here, "--dry-run").wait(600) == 0, (here / "said.txt").read_text()
    shutil.copytree(here, there)  # with what it has measured
    assert compare(here).wait(900) == 0, (here / "said.txt").read_text()
    driver = compare(there, "--executor", f"ray:{address}")
    until(lambda: saved(there, "resnet20"), driver)
    os.kill(until(lambda: parents(there, "resnet20"), driver)[1], signal.SIGKILL)
    until(lambda: saved(there, "inception"), driver)
    for process in reversed(until(lambda: parents(there, "inception"), driver)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    until(lambda: parents(there, "inception"), driver)  # on another node
    driver.kill()
    driver.wait()
    assert compare(there, "--executor", f"ray:{address}").wait(600) == 0, (there / "said.txt").read_text()
    runs = sorted(path.name for path in (here / "experiments/runs").glob("*_s0-*"))
    assert len(runs) == 2
    for run in runs:
        one, other = (folder / "experiments/runs" / run for folder in (here, there))
        assert weights(one) == weights(other)
        a, b = (np.load(folder / "predictions/test.npz")["probabilities"] for folder in (one, other))
        assert np.array_equal(a, b)
