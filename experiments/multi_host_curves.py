"""One training by one process and by two, on a part of CIFAR-10: scores by epoch.

    python experiments/multi_host_curves.py FOLDER --data-dir TFDS_FOLDER [--fraction 0.05] [--epochs 2]

A thin resnet20 in float32, without and with `--sync-bn`, by `kerascnn fit` itself; the two processes are workers on 127.0.0.1. A
second call only adds what is missing.
"""

import argparse
import csv
import socket
import subprocess
import sys
from pathlib import Path

COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "images_per_second", "input_wait")
FLAGS = (
    *("--arch", "resnet20", "--width", "0.5", "--batch-size", "64", "--low-res-epochs", "0", "--optimizer", "sgd"),
    *("--dtype", "float32", "--devices", "cpu", "--no-export", "--warmup", "0.5"),
)


def train(folder: Path, name: str, count: int, flags: list[str]) -> None:
    """Trains a run by `count` processes."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in opened)
    for one in opened:
        one.close()
    command = [sys.executable, "-m", "kerascnn.fit", *FLAGS, *flags, "--runs-dir", str(folder), "--run", name]
    workers = [[] if count == 1 else ["--workers-at", addresses, "--worker-index", str(i)] for i in range(count)]
    codes = [child.wait() for child in [subprocess.Popen([*command, *more]) for more in workers]]
    if any(codes):
        raise SystemExit(f"{name}: ended with {codes}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--fraction", default="0.05")
    parser.add_argument("--epochs", default="2")
    asked = parser.parse_args()
    flags = ["--dataset", "tfds:cifar10", "--data-dir", asked.data_dir, "--fraction", asked.fraction]
    flags += ["--epochs", asked.epochs]
    rows = {}
    for name, count, more in (
        ("one", 1, []),
        ("two", 2, []),
        ("two, --sync-bn", 2, ["--sync-bn"]),
    ):
        run = name.replace(", --", "-")
        if not (asked.folder / run / "metrics.json").exists():
            train(asked.folder, run, count, [*flags, *more])
        with (asked.folder / run / "history.csv").open(encoding="utf-8") as file:
            rows[name] = list(csv.DictReader(file))
    print(f"| processes | epoch | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for name, epochs in rows.items():
        for row in epochs:
            print(f"| {name} | {row['epoch']} | {' | '.join(f'{float(row[column]):.4g}' for column in COLUMNS)} |")


if __name__ == "__main__":
    main()
