"""What the driver of a search costs: its own program with trainings that write their files and do nothing else, as JSON.

    python -m experiments.scaling.driver --candidates 1000 --workers 32 [--tuner hyperband] [--calls]

Trainings are processes of their own that take a run's lease and write its history, so that the driver waits for files of others,
as with Ray and Slurm. With --calls strace counts the driver's system calls on files, which makes it slow. Linux.
"""

import argparse
import contextlib
import json
import os
import queue
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerascnn.cli.screen import Screen
from kerascnn.runs import Run
from kerascnn.search import tune_config
from kerascnn.studies import far_training
from kerascnn.studies.executor import Row, Slot

EPOCHS = 3
CALLS = "%file,fsync"  # traced calls: those that name a file, and syncs; reads and writes need an open each
SEARCH = ["--arch", "resnet", "--space", "resnet_filters", "--max-macs", "20e6", "--epochs", str(EPOCHS)]
SEARCH += ["--fraction", "0.01", "--warmup", "0", "--dtype", "float32"]


class TrivialTrainings:
    """An `Executor` whose trainings are processes that only write.

    Args:
        workers: Trainings at the same time.
        seconds: Of each training.
    """

    forks = False

    def __init__(self, workers: int, seconds: float) -> None:
        self.slots = (Slot(),) * workers
        self._free: queue.Queue[Any] = queue.Queue()
        self._all = []
        for _ in range(workers):
            command = [sys.executable, "-m", "experiments.scaling.trivial", str(seconds)]
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            self._all.append(child)
        for child in self._all:  # it has imported everything
            assert child.stdout
            child.stdout.readline()
            self._free.put(child)

    def train(
        self, run_dir: Any, until: int | None, slot: Slot, *, candidate: bool, stop: threading.Event, label: str = ""
    ) -> Iterator[Row]:
        """Trains a run; see `Executor.train`."""
        run, child, over = Run(run_dir), self._free.get(), threading.Event()

        def wait() -> None:
            child.stdin.write(f"{json.dumps([str(run.path), until])}\n")
            child.stdout.readline()
            over.set()

        threading.Thread(target=wait, daemon=True).start()
        yield from far_training.rows(run, over.is_set, stop)
        self._free.put(child)

    def call(self, function: Any, *args: Any, slot: Slot, alone: bool = False) -> Any:
        """Refuses: a search without a budget of milliseconds measures nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends all processes."""
        for child in self._all:
            child.stdin.close()
            child.wait()


def measure(candidates: int, workers: int, tuner: str, seconds: float, calls: bool) -> dict[str, float]:
    """Returns seconds, CPU seconds and memory of a driver, for all candidates, for the last tenth, and for the end."""
    with tempfile.TemporaryDirectory() as work, contextlib.closing(TrivialTrainings(workers, seconds)) as executor:
        flags = ["--trials", str(candidates), "--tuner", tuner, "--searches-dir", work, "--name", "many"]
        request = tune_config.parse([*SEARCH, *flags], prog="kerascnn tune", description="")
        from kerascnn.search import results, search_execution
        from kerascnn.search.search import Search

        search = Search(request, Screen())
        search.executor = executor
        with search.directory.lock():
            search.directory.claim(search.request())
            before, marks = _now(), []

            def after() -> None:
                results.keep(search)
                marks.append(_now())

            execution = search_execution.Execution(search, after)
            with strace(Path(work, "calls.txt")) if calls else contextlib.nullcontext():
                execution.run(lambda: None)
            trained = _now()
            if not calls:  # the end is not traced
                results.keep(search, whole=True)
            ended = _now()
        found = {
            "trainings": float(len(marks)),
            "seconds": trained["seconds"] - before["seconds"],
            "cpu": trained["cpu"] - before["cpu"],
            "cpu.last_tenth": marks[-1]["cpu"] - marks[-1 - max(1, len(marks) // 10)]["cpu"],
            "megabytes.begin": before["megabytes"],
            "megabytes.end": trained["megabytes"],
            "conclusion.cpu": ended["cpu"] - trained["cpu"],
            "conclusion.megabytes": ended["megabytes"],
            "directory.megabytes": sum(f.stat().st_size for f in search.directory.path.rglob("*") if f.is_file()) / 1e6,
            "directory.files": float(sum(f.is_file() for f in search.directory.path.rglob("*"))),
        }
        return found | (counted(Path(work, "calls.txt").read_text(), work) if calls else {})


def _now() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "seconds": time.monotonic(),
        "cpu": used.ru_utime + used.ru_stime,
        "megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    }


@contextlib.contextmanager
def strace(log: Path) -> Iterator[None]:
    """Has this process traced."""
    command = ["strace", "-f", "-y", "-qq", "-e", f"trace={CALLS}", "-o", str(log), "-p", str(os.getpid())]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        time.sleep(1)  # until it is attached
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()


def counted(text: str, folder: str) -> dict[str, float]:
    """Returns how often each system call was made on a file below a folder."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        named = re.match(r"\d+ +(\w+)\(", line)
        if named and folder in line:
            found[f"calls.{named[1]}"] = found.get(f"calls.{named[1]}", 0) + 1
    return found | {"calls": sum(found.values())}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--tuner", default="random")
    parser.add_argument("--training-seconds", type=float, default=0.0)
    parser.add_argument("--calls", action="store_true")
    given = parser.parse_args()
    found = measure(given.candidates, given.workers, given.tuner, given.training_seconds, given.calls)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
