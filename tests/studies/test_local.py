"""A process of its own ends with the one that asked it, however that one ends, and what it does is shown there."""

import errno
import json
import math
import os
import platform
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import h5py
import pytest

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.screen import Screen
from kerascnn.config import Config
from kerascnn.errors import INTERRUPTED, STOPPED, Stopped, TrainingFailed, UserError
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import LocalExecutor

WAITS = """
import os, time

def wait():
    print(os.getpid(), flush=True)  # which goes where errors go: the answer has standard output
    time.sleep(60)
"""
ASKS = """
from kerascnn.cli.command import command
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import LocalExecutor
import waits

@command
def main(argv):
    LocalExecutor().call(waits.wait, slot=Slot())
    return 0

if __name__ == "__main__":
    raise SystemExit(main([]))
"""


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 75)])
def test_it_ends_with_its_parent(tmp_path, sent: signal.Signals, code: int) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    (tmp_path / "asks.py").write_text(ASKS)
    with subprocess.Popen([sys.executable, "asks.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as parent:
        child = int(parent.stderr.readline())
        assert runs(child)
        start = time.monotonic()
        parent.send_signal(sent)
        assert parent.wait(timeout=30) == code
        while runs(child) and time.monotonic() < start + 30:
            time.sleep(0.05)
        assert not runs(child)


def worked(count: int, phases: Phases = SILENT) -> int:
    with phases.phase("working far away", count) as phase:
        for _ in phase.over(range(count)):
            time.sleep(0.2)  # what begins and ends between two looks is not seen
    return count


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_its_phases_are_shown_here_and_its_death_is_a_message(capsys) -> None:
    screen = Screen(worth=0.0)
    with LocalExecutor(phases=screen) as executor:
        assert executor.call(worked, 3, slot=Slot()) == 3
        assert not screen.active()
        with pytest.raises(UserError, match="was killed by SIGKILL"):
            executor.call(killed, slot=Slot())
    assert "working far away ..." in capsys.readouterr().out


class Pair(NamedTuple):
    config: Config
    numbers: tuple[float, ...]


def given_back(pair: Pair, name: str) -> dict[str, Pair]:
    print("what is printed is none of the answer")
    return {name: pair}


def test_arguments_and_results_travel_by_their_types() -> None:
    """A path that is not UTF-8, an infinite number, more than a pipe holds at once."""
    pair = Pair(Config().replace(data={"dataset": "folder:/photos/caf\udce9"}), (0.1, math.inf, *range(50_000)))
    assert LocalExecutor().call(given_back, pair, "name", slot=Slot()) == {"name": pair}


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores cannot be chosen here")
def test_a_child_keeps_to_its_slot() -> None:
    last = cores()[-1]
    assert LocalExecutor().call(cores, slot=Slot((last,))) == [last]
    assert LocalExecutor().call(os.getenv, "CUDA_VISIBLE_DEVICES", slot=Slot(gpu="7")) == "7"


def raises(kind: str) -> None:
    errors: dict[str, BaseException] = {
        "mistake": UserError("no such arch"),
        "memory": MemoryError(),
        "disk": OSError(errno.ENOSPC, "No space left on device", "x.npz"),
        "stop": Stopped("time is up", INTERRUPTED),
        "fault": KeyError("missing"),
    }
    raise errors[kind]


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("mistake", UserError, "no such arch"),
        ("memory", TrainingFailed, "out of memory"),
        ("disk", Stopped, "x.npz: No space left on device: make room there"),
        ("stop", Stopped, "time is up"),
        ("fault", RuntimeError, r"raises failed in a process of its own:\n(?s:.*)KeyError: 'missing'"),
    ],
)
def test_what_is_raised_there_is_raised_here(kind: str, error: type[BaseException], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        LocalExecutor().call(raises, kind, slot=Slot())
    if isinstance(caught.value, Stopped):
        assert caught.value.code == (INTERRUPTED if kind == "stop" else STOPPED)


TRAINS = """
import json, os, signal, sys, threading
from pathlib import Path
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.config import Config
from kerascnn.devices import timing
from kerascnn.processes.fork_server import ForkedProcess, ForkServer
from kerascnn.runs import Run
from kerascnn.studies.executor import Slot
from kerascnn.studies.executors.local import PRELOADED, LocalExecutor

screen = Screen()
with starting(screen), quiet():
    server = ForkServer.here(PRELOADED)
config = Config().replace(
    model={"arch": "resnet20", "blocks": (1, 1, 1), "width": 0.25}, optim={"warmup": 0.0},
    data={"fraction": 0.05, "image_size": 16}, fit={"batch_size": 16, "epochs": 3}, devices={"dtype": "float32"},
)

def train(name, executor, kill=False):
    run = Run(Path(name) / "run")
    run.write_config(config.replace(logging={"runs_dir": Path(name)}))
    kinds = set()
    for row in executor.train(run.path, None, Slot(), candidate=False, stop=threading.Event()):
        child, = executor._children
        kinds.add(type(child).__name__)
        if kill and row["epoch"] == 1:
            os.kill(server.process, signal.SIGKILL)
            os.kill(child.pid, signal.SIGKILL)
    print(name, sorted(kinds), run.finished, flush=True)

train("started", LocalExecutor())
with LocalExecutor(server=server) as executor:
    train("forked", executor)
    train("killed", executor, kill=True)
"""


def weights(run: Path) -> list[bytes]:
    found: list[bytes] = []
    with (
        zipfile.ZipFile(run / "best.keras") as archive,
        archive.open("model.weights.h5") as inner,
        h5py.File(inner) as file,
    ):
        file.visititems(lambda name, node: found.append(node[()].tobytes()) if isinstance(node, h5py.Dataset) else None)
    return found


def environment(run: Path) -> dict[str, object]:
    """What the run keeps about its only start, but for its time and place."""
    (found,) = json.loads((run / "environment.json").read_text())
    return {key: value for key, value in found.items() if key not in ("started", "command")}


@pytest.mark.skipif(platform.system() != "Linux", reason="processes are forked on Linux only")
@pytest.mark.slow
def test_a_forked_training_gives_the_bits_of_a_started_one(tmp_path: Path) -> None:
    """Also if the server and the training are killed: another process continues it."""
    found = subprocess.run(
        [sys.executable, "-c", TRAINS], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=500
    )
    assert found.returncode == 0, found.stderr
    said = [line for line in found.stdout.splitlines() if line.endswith("True")]
    assert said == [
        "started ['Popen'] True",
        "forked ['ForkedProcess'] True",
        "killed ['ForkedProcess', 'Popen'] True",
    ]
    runs = [tmp_path / name / "run" for name in ("started", "forked", "killed")]
    assert len(weights(runs[0])) > 30
    assert weights(runs[0]) == weights(runs[1]) == weights(runs[2])
    assert environment(runs[0]) == environment(runs[1])
