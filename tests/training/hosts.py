"""Several `kerascnn fit` on this machine, as if they were hosts of one training."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SMALL = [
    *("--arch", "resnet20", "--width", "0.25", "--blocks", "1", "1", "1", "--fraction", "0.02", "--batch-size", "12"),
    *(
        "--epochs",
        "2",
        "--low-res-epochs",
        "0",
        "--dtype",
        "float32",
        "--devices",
        "cpu",
        "--no-export",
        "--run",
        "run",
    ),
]


def addresses(count: int) -> str:
    """Addresses of this machine where nobody listens."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in opened)
    for one in opened:
        one.close()
    return found


class Hosts:
    """The processes of one training; each host has a folder of its own, so that only the chief has the run.

    Args:
        folder: Their folder.
        count: Their number; 1 trains without workers.
        flags: Further flags of all of them.
        own: Further flags of each, by its index.
    """

    def __init__(
        self, folder: Path, count: int, flags: Sequence[str] = (), own: dict[int, list[str]] | None = None
    ) -> None:
        self.folder, at = folder, addresses(count)
        self.run = folder / "host0" / "experiments" / "runs" / "run"
        self.children: list[subprocess.Popen] = []
        self.logs = [folder / f"host{index}.log" for index in range(count)]
        for index in range(count):
            place = folder / f"host{index}"
            place.mkdir(parents=True, exist_ok=True)
            worker = ["--workers-at", at, "--worker-index", str(index)] if count > 1 else []
            command = [sys.executable, "-m", "kerascnn.fit", *SMALL, *flags, *worker, *(own or {}).get(index, [])]
            with self.logs[index].open("w") as log:
                child = subprocess.Popen(command, cwd=place, env=_variables(), stdout=log, stderr=subprocess.STDOUT)
            self.children.append(child)

    def when(self, reached: Callable[[], bool], seconds: float = 300) -> None:
        """Waits until `reached` is true."""
        until = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < until, self.said()
            assert all(child.poll() is None for child in self.children), self.said()
            time.sleep(0.05)

    def codes(self, seconds: float = 300) -> list[int]:
        """Waits for all of them; returns their exit codes."""
        try:
            return [child.wait(seconds) for child in self.children]
        finally:
            for child in self.children:
                if child.poll() is None:
                    child.kill()

    def said(self) -> list[str]:
        """What each of them has printed."""
        return [log.read_text() for log in self.logs]


def _variables() -> dict[str, str]:
    gone = ("TF_CONFIG", "SLURM_STEP_NUM_TASKS")
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**{name: value for name, value in os.environ.items() if name not in gone}, "PYTHONPATH": path}
