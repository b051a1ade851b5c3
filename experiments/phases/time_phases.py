"""How long each phase of a command takes and how long it says nothing, on a folder of photos, without a terminal.

    python -m experiments.phases.time_phases PHOTOS OUT [--commands fit evaluate export predict compare] [--tree CHECKOUT]

Alone on the machine. OUT gets COMMAND.log, each line behind the second at which it came, and timings.json. --tree measures
another checkout, such as an older one; `table.py` puts two of them side by side.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
# A phase that has ended says so: its name, a colon, and how long it took.
ENDED = re.compile(r"^\s+(?P<name>[^:]+(?: \d+ of \d+)?): (?:(?P<minutes>\d+) min )?(?P<seconds>[\d.]+) s$")
TRAINED = ("--arch", "resnet18", "--image-size", "128", "--epochs", "2", "--run", "photos")
COMPARED = ("--archs", "resnet20", "inception_small", "--image-size", "32", "--epochs", "2", "--seeds", "1")


def commands(photos: Path, place: Path) -> dict[str, list[str]]:
    """Name -> words behind `python -m kerascnn.NAME`."""
    run, runs, exports = place / "runs" / "photos", str(place / "runs"), str(place / "exports")
    return {
        "fit": ["--dataset", str(photos), *TRAINED, "--runs-dir", runs, "--exports-dir", exports],
        "evaluate": [str(run)],
        "export": [
            str(run),
            *("--formats", "savedmodel", "onnx", "keras"),
            *("--exports-dir", exports, "--name", "all", "--allow-drop", "100"),
        ],
        "predict": [str(run), str(photos)],
        "compare": [
            *("--dataset", str(photos), *COMPARED, "--runs-dir", runs),
            *("--comparisons-dir", str(place / "comparisons"), "--name", "photos"),
        ],
    }


def stamped(words: list[str], environment: dict[str, str], tree: Path) -> tuple[list[tuple[float, str]], float, int]:
    """Every line of a command with the second at which it came, its seconds, and its exit code."""
    start = time.monotonic()
    child = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=tree,  # which `python -m` looks into first
        text=True,
    )
    assert child.stdout is not None
    lines = [(time.monotonic() - start, line.rstrip("\n")) for line in child.stdout]
    code = child.wait()
    return lines, time.monotonic() - start, code


def silence(lines: list[tuple[float, str]], total: float) -> tuple[float, str]:
    """The longest time without a line, and the line before it."""
    marks = [(0.0, "the start"), *lines, (total, "")]
    gaps = [(after[0] - before[0], before[1]) for before, after in itertools.pairwise(marks)]
    return max(gaps)


def phases(lines: list[tuple[float, str]]) -> list[tuple[str, float]]:
    """(name, seconds) of every phase that the lines tell of, in the order in which they ended."""
    found = [ENDED.match(line) for _, line in lines]
    return [(one["name"].strip(), 60 * float(one["minutes"] or 0) + float(one["seconds"])) for one in found if one]


def trained_seconds(place: Path, name: str) -> float:
    """Of the training steps, as the runs keep them."""
    runs = {"fit": ["photos"], "compare": [p.name for p in (place / "runs").iterdir() if p.name != "photos"]}
    files = [place / "runs" / run / "metrics.json" for run in runs.get(name, ())]
    return sum(json.loads(file.read_text())["train_seconds"] for file in files if file.exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--commands", nargs="*", default=["fit", "evaluate", "export", "predict", "compare"])
    parser.add_argument("--tree", type=Path, default=HERE)
    asked = parser.parse_args()
    asked.photos, asked.out = asked.photos.resolve(), asked.out.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / "timings.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    environment = {**os.environ, "PYTHONPATH": str(asked.tree.resolve()), "PYTHONUNBUFFERED": "1"}
    for name in asked.commands:
        words = [sys.executable, "-m", f"kerascnn.{name}", *commands(asked.photos, asked.out)[name]]
        lines, total, code = stamped(words, environment, asked.tree)
        text = "".join(f"{second:8.1f}  {line}\n" for second, line in lines)
        (asked.out / f"{name}.log").write_text(text, encoding="utf-8")
        gap, after = silence(lines, total)
        found[name] = {
            "code": code,
            "seconds": round(total, 1),
            "training": round(trained_seconds(asked.out, name), 1),
            "silence": round(gap, 1),
            "silence_after": after[:80],
            "phases": phases(lines),
        }
        kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{name}: code {code}, {total:.1f} s, longest silence {gap:.1f} s after {after[:60]!r}", flush=True)


if __name__ == "__main__":
    main()
