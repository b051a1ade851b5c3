"""Images per second of one training by several processes of this machine, as JSON.

    python -m experiments.scaling.several --processes 2

`kerascnn fit` under TF_CONFIG, resnet20, 32 images for each process in a batch, the second of two epochs. Each process has a
core of its own as long as there are enough.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from experiments.scaling.collectives import free_ports

FLAGS = [
    "--arch",
    "resnet20",
    "--fraction",
    "0.1",
    "--epochs",
    "2",
    "--warmup",
    "0",
    "--low-res-epochs",
    "0",
    "--dtype",
    "float32",
]
FLAGS += ["--devices", "cpu", "--no-export", "--run", "several"]
BATCH = 32


def measure(processes: int) -> dict[str, float]:
    """Returns the images per second of all processes together, and the seconds of the epoch."""
    cores = sorted(os.sched_getaffinity(0))
    addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)]
    with tempfile.TemporaryDirectory() as folder:
        started = []
        for index in range(processes):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            variables = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_NUM_INTRAOP_THREADS": "1"}
            if processes > 1:
                variables["TF_CONFIG"] = json.dumps(task)
            command = ["taskset", "-c", str(cores[index % len(cores)]), sys.executable, "-m", "kerascnn.fit", *FLAGS]
            command += ["--runs-dir", folder, "--batch-size", str(BATCH * processes)]
            with Path(folder, f"{index}.txt").open("wb") as said:
                started.append(subprocess.Popen(command, env=variables, stdout=said, stderr=said))
        for index, one in enumerate(started):
            if one.wait():
                raise SystemExit(f"process {index} failed: {Path(folder, f'{index}.txt').read_text()[-500:]}")
        with Path(folder, "several/history.csv").open(newline="", encoding="utf-8") as file:
            *_, last = csv.DictReader(file)
        return {"images_per_second": float(last["images_per_second"]), "seconds": float(last["seconds"])}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    print(json.dumps(measure(parser.parse_args().processes)))


if __name__ == "__main__":
    main()
