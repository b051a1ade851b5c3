"""What a search costs beside its candidates: memory over many of them, seconds for each, one worker against two.

    python -m experiments.tuning.search_growth --work WORK [--candidates 100] [--rounds 3]    prints Markdown

Tiny candidates, one epoch of 1 % of the embedded images, so that what is not training shows. One worker runs on one core, two
on two: each has a core of its own. Linux, two cores or more, nothing else on the machine. About 20 minutes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SEARCH = ["--arch", "resnet", "--space", "resnet_filters", "--tuner", "random", "--max-macs", "6e6"]
TINY = ["--fraction", "0.01", "--epochs", "1", "--warmup", "0", "--batch-size", "16"]


class Measured(NamedTuple):
    """Of one search: seconds of the command, seconds in which its candidates and the baseline were trained (the rest is one
    start of TensorFlow and the pictures at the end), and memory of the search's own process in MB by candidates trained."""

    seconds: float
    training: float
    memory: dict[int, float]


def search(work: Path, name: str, trials: int, workers: int) -> Measured:
    """A fresh search of `trials` candidates with `workers`, each on a core of its own."""
    shutil.rmtree(work / name, ignore_errors=True)
    asked = ["--trials", str(trials), "--workers", str(workers), "--name", name, "--searches-dir", str(work)]
    cores = sorted(os.sched_getaffinity(0))[:workers]
    command = [
        "taskset",
        "-c",
        ",".join(map(str, cores)),
        sys.executable,
        "-m",
        "kerascnn.tune",
        *SEARCH,
        *TINY,
        *asked,
    ]
    start, memory = time.monotonic(), {}
    with (work / f"{name}.log").open("w") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
        while child.poll() is None:
            memory[len(list((work / name / "trials").glob("*/history.csv")))] = resident(child.pid)
            time.sleep(0.2)
    seconds = time.monotonic() - start
    if child.returncode:
        raise SystemExit(f"the search failed: {work / name}.log")
    return Measured(seconds, training_seconds(work / name / "log.txt"), memory)


def training_seconds(log: Path) -> float:
    """From the plan to the last candidate, by the times in a search's log."""
    lines = log.read_text(encoding="utf-8").splitlines()
    stamps = [line[:19] for line in lines if re.search(r"^.{21}(bracket| +\d+/\d+ )", line)]
    first, *_, last = (datetime.fromisoformat(stamp) for stamp in stamps)
    return (last - first).total_seconds()


def resident(pid: int) -> float:
    """Resident memory of a process in MB; 0 where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the searches")
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    few, pairs = 12, []
    for turn in range(args.rounds):
        one, two = (search(args.work, f"w{workers}_{turn}", few, workers) for workers in (1, 2))
        pairs.append(one.training / two.training)
        shown = f"1 worker {one.training:.0f} s, 2 workers {two.training:.0f} s: {pairs[-1]:.2f} x"
        whole = f"the whole command {one.seconds:.0f} s, {two.seconds:.0f} s: {one.seconds / two.seconds:.2f} x"
        row(f"{few} candidates and the baseline, round {turn + 1}", f"{shown}; {whole}")
    spread = f"[{min(pairs):.2f}, {max(pairs):.2f}]"
    row(f"two workers over one, median of {args.rounds} pairs", f"{median(pairs):.2f} x {spread}")
    found = search(args.work, "many", args.candidates, 2)
    each = 2 * found.training / (args.candidates + 1)
    row(f"{args.candidates} candidates, two workers", f"{found.training:.0f} s: {each:.1f} s of one core each")
    shown = [k for k in (1, 10, 25, 50, 75, args.candidates - 1) if k in found.memory]
    row("memory of the search's process, MB", ", ".join(f"{k}: {found.memory[k]:.0f}" for k in shown))


def row(what: str, value: str) -> None:
    """A row of the table."""
    print(f"| {what} | {value} |", flush=True)


if __name__ == "__main__":
    main()
