"""Measurements as units: a command in a process of its own, its numbers kept in a file of JSON lines, round by round.

A unit that is kept is not run again, so that a series goes on where it was stopped, in slices as short as one unit; one that
failed is missing still.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Read = Callable[[str], dict[str, float]]


@dataclass(frozen=True)
class Unit:
    """One row of a series.

    Args:
        name: What it measures, unique.
        command: Words; "python" stands for this interpreter.
        read: Numbers in what the command prints.
    """

    name: str
    command: tuple[str, ...]
    read: Read

    @property
    def shown(self) -> str:
        """The command as it would be typed."""
        return shlex.join(self.command)


def benchmark(text: str) -> dict[str, float]:
    """Medians of `kerascnn benchmark --json`, the forms' figures as FORM.NAME."""
    rows = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return {
        f"{row['form']}.{name}": value
        for row in rows
        for name, value in row.items()
        if isinstance(value, float | int) and not isinstance(value, bool)
    } | {"macs": rows[0]["macs"]}


def peer(text: str) -> dict[str, float]:
    """The last `N images/s` that a script of experiments/peers prints."""
    return {"train": float(re.findall(r"([\d.]+) images/s", text)[-1])}


def nothing(text: str) -> dict[str, float]:
    """Where only time and memory count."""
    return {}


def read(path: Path) -> list[dict[str, Any]]:
    """Everything that was measured so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(units: Sequence[Unit], rounds: int, path: Path, seconds: float, python: dict[str, str]) -> bool:
    """Run what is missing, round by round, as long as the next unit should still end within `seconds`.

    Args:
        units: In the order of a round.
        rounds: How often each.
        path: Where numbers are kept.
        seconds: Of this slice; the first missing unit is run anyway.
        python: The interpreter that a command's first word stands for.

    Returns:
        Whether nothing is missing; False where a unit failed.
    """
    start = time.monotonic()
    done = read(path)
    there = {(row["unit"], row["round"]) for row in done if "failed" not in row}
    missing = [(unit, turn) for turn in range(rounds) for unit in units if (unit.name, turn) not in there]
    whole = True
    for place, (unit, turn) in enumerate(missing):
        longest = max((row["wall"] for row in done if row["unit"] == unit.name), default=45.0)
        if place and time.monotonic() - start + longest > seconds:
            return False
        row = {"unit": unit.name, "round": turn, "command": unit.shown, **measured(unit, python)}
        done.append(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{turn + 1}/{rounds} {unit.name}: {row['wall']:.0f} s", flush=True)
        whole &= "failed" not in row
    return whole


def settled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what failed and went well later."""
    there = {(row["unit"], row["round"]) for row in rows if "failed" not in row}
    return [row for row in rows if "failed" not in row or (row["unit"], row["round"]) not in there]


def measured(unit: Unit, python: dict[str, str]) -> dict[str, Any]:
    """Run a unit in the checkout: its numbers, seconds on the wall, and the most memory that it had (MB)."""
    first, *rest = unit.command
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen([python.get(first, first), *rest], stdout=out, stderr=errors, cwd=ROOT)
        _, status, usage = os.wait4(child.pid, 0)  # what the system counted of this child alone
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        text, reason = out.read(), errors.read().strip().splitlines()
    found = {"wall": time.monotonic() - start, "peak": usage.ru_maxrss / 1000}
    if child.returncode:
        message = (reason or ["no message"])[-1][:300]
        print(f"failed: {unit.name}: {message}", file=sys.stderr, flush=True)
        return {**found, "failed": message}
    return {**found, **unit.read(text)}
