"""Predicts many small images in shards whose processes are killed, and in one process that is not, and compares the files.

    python experiments/predict_many.py WORK [--images 200000] [--output experiments/results/predict_many.md]

WORK gets the images, a network and both folders of predictions; the same command continues after a stop. Killed with SIGKILL
are processes of shards that work on a part (found by the part's lease), a random time after they took it; some while they
start. The network is a thin resnet20 with random weights: what is shown does not depend on its accuracy.
"""

import argparse
import csv
import hashlib
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import kerascnn

SHARDS, PART, KILLS, FOLDER = 3, 2000, 9, 1000
BROKEN = 997  # every so many images one is broken
PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


def make_images(folder: Path, count: int) -> None:
    """Writes the embedded clothes, moved and brightened in a different way each, half of them JPEG and half PNG."""
    with np.load(Path(kerascnn.__file__).parent / "data/fashion_mnist_mini/fashion_mnist_mini.npz") as arrays:
        images = arrays["x_train"]
    for start in range(0, count, FOLDER):
        place = folder / f"{start // FOLDER:03d}"
        if (place / "whole").exists():
            continue
        place.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(start)
        for number in range(start, min(count, start + FOLDER)):
            pixels = np.roll(images[rng.integers(len(images))], rng.integers(-4, 5, 2), (0, 1))
            pixels = np.clip(pixels * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
            path = place / f"{number}.{'jpg' if number % 2 else 'png'}"
            Image.fromarray(pixels).save(path)
            if number % BROKEN == BROKEN - 1:
                path.write_bytes(path.read_bytes()[:-20])
        (place / "whole").write_bytes(b"")


def make_network(path: Path) -> None:
    """Writes the network."""
    import keras

    from kerascnn import models

    keras.utils.set_random_seed(0)
    models.build("resnet20", (32, 32, 3), 10, width=0.25).save(path)


class Process:
    """A `kerascnn predict` with its log; its peak memory is watched."""

    def __init__(self, work: Path, name: str, words: list[str]) -> None:
        self.name = name
        self.log = work / f"{name}.log"
        self._kill_after: float | None = None
        command = [sys.executable, "-m", "kerascnn.predict", "network.keras", "images", "--top", "3"]
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [*command, "--part", str(PART), *words], cwd=work, stdout=log, stderr=subprocess.STDOUT
            )

    def moment(self, works: bool, rng: random.Random) -> str:
        """Returns where it is, at the moment when it shall be killed, else nothing.

        Args:
            works: Whether it holds a part.
            rng: Chooses the moment: up to 20 seconds after it took its first part, now and then before.
        """
        if self._kill_after is None and (works or rng.random() < 2e-4):
            self._kill_after = time.monotonic() + rng.uniform(0.1, 20)
            self._worked = works
        if self._kill_after is None or time.monotonic() < self._kill_after:
            return ""
        return "on a part" if works else "between two parts" if self._worked else "while it started"

    def peak(self) -> int:
        """Peak resident bytes so far, or 0 once it has ended."""
        try:
            found = PEAK.search(Path(f"/proc/{self.child.pid}/status").read_text())
        except OSError:
            return 0
        return int(found[1]) << 10 if found else 0


def holders(folder: Path) -> set[int]:
    """Processes that work on a part."""
    found = set()
    for lease in folder.glob("work/*/.lease/*"):
        try:
            found.add(int(json.loads(lease.read_text())["process"]))
        except (OSError, ValueError, KeyError):  # it ends just now
            continue
    return found


def run(work: Path) -> dict[str, Any]:
    """Runs all processes until both folders are whole; returns the state, which is kept in a file."""
    file = work / "state.json"
    state = json.loads(file.read_text()) if file.exists() else {"kills": [], "peaks": {}, "done": [], "starts": 0}
    rng = random.Random(len(state["kills"]))
    words = {"single": ["--output", "single"]}
    words |= {f"shard {i}": ["--output", "shards", "--shard", f"{i}/{SHARDS}"] for i in range(SHARDS)}
    running: dict[str, Process] = {}
    try:
        while len(state["done"]) < len(words):
            for name in words.keys() - running.keys() - set(state["done"]):
                running[name] = Process(work, name, words[name])
                state["starts"] += 1
            at_work = holders(work / "shards")
            for name, process in list(running.items()):
                state["peaks"][name] = max(state["peaks"].get(name, 0), process.peak())
                code = process.child.poll()
                if code is not None:
                    del running[name]
                    if code == 0:
                        state["done"].append(name)
                    elif code != -signal.SIGKILL:
                        raise SystemExit(f"{name} ended with code {code}: {process.log}")
                elif name != "single" and len(state["kills"]) < KILLS:
                    where = process.moment(process.child.pid in at_work, rng)
                    if where:
                        process.child.kill()
                        process.child.wait()
                        state["kills"].append({"process": name, "where": where})
            file.write_text(json.dumps(state, indent=1))
            time.sleep(0.1)
    finally:
        for process in running.values():
            process.child.terminate()
            process.child.wait()
    return state


def table(work: Path, state: dict[str, Any], count: int) -> str:
    """Joins both folders and returns the results as Markdown."""
    for folder in ("single", "shards"):
        subprocess.run([sys.executable, "-m", "kerascnn.predict", "--merge", folder], cwd=work, check=True)
    digests = [
        hashlib.sha256((work / folder / "predictions.csv").read_bytes()).hexdigest() for folder in ("single", "shards")
    ]
    with (work / "shards/predictions.csv").open(newline="") as rows:
        found = list(csv.DictReader(rows))
    names = [row["image"] for row in found]
    bad = sum(bool(row["problem"]) for row in found)
    lines = [
        "# Predictions of many images",
        "",
        f"`python experiments/predict_many.py WORK --images {count} --output experiments/results/predict_many.md`",
        "",
        f"{count:,} images of 28 x 28 pixels, half JPEG, half PNG, {count // BROKEN} of them cut off; a resnet20 of a quarter of"
        f" the width at 32 px. {SHARDS} shards and one process alone at the same time, parts of {PART:,} images, on"
        f" {platform.machine()}, {os.cpu_count()} cores of a shared machine: rates are those of {SHARDS + 1} processes that"
        " share these cores with other programs.",
        "",
        f"- {len(state['kills'])} processes killed with SIGKILL: "
        + ", ".join(f"{n} {where}" for where, n in sorted(_counted(state["kills"]).items()))
        + f"; {state['starts']} starts in all.",
        f"- Rows of the shards: {len(found):,}, of {len(set(names)):,} images, {bad} with a problem. No row twice, none lost:"
        f" **{'yes' if len(found) == len(set(names)) == count and bad == count // BROKEN else 'NO'}**.",
        f"- Equal to the file of the process that was not killed, byte for byte:"
        f" **{'yes' if digests[0] == digests[1] else 'NO'}** (sha256 {digests[0][:16]}).",
        "",
        "| process | peak memory | last summary line |",
        "|---|--:|---|",
    ]
    for name, peak in sorted(state["peaks"].items()):
        said = [line for line in (work / f"{name}.log").read_text().splitlines() if line.startswith("done ")]
        lines.append(f"| {name} | {peak / 1e9:.2f} GB | {said[-1].removeprefix('done').strip() if said else ''} |")
    return "\n".join(lines) + "\n"


def _counted(kills: list[dict[str, str]]) -> dict[str, int]:
    return {where: sum(kill["where"] == where for kill in kills) for where in {kill["where"] for kill in kills}}


def main() -> None:
    """Makes what is missing, runs, and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    if not (asked.work / "network.keras").exists():
        make_images(asked.work / "images", asked.images)
        for mark in asked.work.glob("images/*/whole"):
            mark.unlink()
        make_network(asked.work / "network.keras")
    text = table(asked.work, run(asked.work), asked.images)
    print(text)
    if asked.output is not None:
        asked.output.write_text(text)


if __name__ == "__main__":
    main()
