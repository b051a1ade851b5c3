"""How long until something happens: `kerascnn --help`, and from `fit` to its first step with the checkpoint on the disk.

    python -m experiments.speed.starting --rounds 3

Alone on the machine; the embedded images, so that nothing is read from elsewhere.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

FIT = ("fit", "--arch", "resnet20", "--checkpoint-every", "1", "--no-export", "--run", "start")


def help_seconds() -> float:
    """Until the command has printed its help and ended."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kerascnn", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def step_seconds() -> float:
    """Until the first step's checkpoint is there; the training is stopped then."""
    with tempfile.TemporaryDirectory() as runs:
        began = time.perf_counter()
        command = [sys.executable, "-m", "kerascnn", *FIT, "--runs-dir", runs]
        training = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not any(Path(runs).glob("start/checkpoints/step-*")):
                if training.poll() is not None:
                    raise SystemExit(f"fit ended with code {training.returncode} before its first checkpoint")
                time.sleep(0.02)
            return time.perf_counter() - began
        finally:
            training.send_signal(signal.SIGTERM)
            training.wait()


def main() -> None:
    """Measure both in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = [(help_seconds(), step_seconds()) for _ in range(parser.parse_args().rounds)]
    for name, took in zip(("kerascnn --help", "kerascnn " + " ".join(FIT)), zip(*rounds, strict=True), strict=True):
        print(f"{name}: {median(took):.2f} s [{min(took):.2f}, {max(took):.2f}], n = {len(took)}")


if __name__ == "__main__":
    main()
