"""The results of a benchmark as plain numbers: summaries of rounds, paired ratios, rows for people and programs.

No TensorFlow.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.errors import UserError

# Names of figures, their units, and the divisors to show them in that unit.
SHOWN = {
    "input": ("input alone", "images/s", 1),
    "train": ("training step", "images/s", 1),
    "train_share": ("  share of the peak", "%", 0.01),
    "latency_p50": ("one image, median", "ms", 1),
    "latency_p95": ("one image, 95 of 100 below", "ms", 1),
    "throughput": ("inference", "images/s", 1),
    "inference_share": ("  share of the peak", "%", 0.01),
    "memory": ("memory of training", "MB", 1e6),
}
FAST, STOCK = "kerascnn", "stock"


@dataclass
class Figures:
    """The figures of one arch in one form.

    Args:
        arch: Name of the arch.
        form: FAST, or STOCK without the fast paths.
        facts: Single values: image_size, batch_size, policy, params, macs, throughput_batch.
        rounds: One number per round by name of the measurement.
    """

    arch: str
    form: str
    facts: dict[str, Any]
    rounds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, found: Mapping[str, float]) -> None:
        """Adds a round."""
        for name, value in found.items():
            self.rounds.setdefault(name, []).append(float(value))

    def row(self) -> dict[str, Any]:
        """Returns one flat row: each figure as its median, with the quartiles as NAME_q1 and NAME_q3."""
        flat: dict[str, Any] = {"arch": self.arch, "form": self.form, **self.facts}
        for name, values in self.rounds.items():
            low, middle, high = quartiles(values)
            flat |= {name: middle, f"{name}_q1": low, f"{name}_q3": high}
        return flat


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Returns first quartile, median, third quartile."""
    low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return low, middle, high


def ratios(one: Figures, other: Figures) -> dict[str, tuple[float, float, float]]:
    """Returns the quartiles of the ratio of `one` to `other`, round by round.

    Latency and memory are inverted, so that more is always better.
    """
    found: dict[str, tuple[float, float, float]] = {}
    for name in ("train", "latency_p50", "throughput", "memory"):
        if name in one.rounds and name in other.rounds:
            pairs = np.array(one.rounds[name]) / np.array(other.rounds[name])
            found[name] = quartiles(1 / pairs if name in ("latency_p50", "memory") else pairs)
    return found


def lines(figures: Sequence[Figures]) -> list[str]:
    """Returns the table for people: one line per figure, median and quartiles, with stock and the ratio beside it."""
    shown = []
    for one in figures:
        if one.form != FAST:
            continue
        beside = next((other for other in figures if (other.arch, other.form) == (one.arch, STOCK)), None)
        shown += ["", _title(one, beside is not None), *_lines(one, beside)]
    return shown


def _title(one: Figures, beside: bool) -> str:
    facts = one.facts
    size = f"{one.arch}, {facts['image_size']} px, batch {facts['batch_size']}, {facts['policy']}"
    return f"{size:<58}" + (f"{STOCK:<34}{'ratio':<22}" if beside else "").rstrip()


def _lines(one: Figures, beside: Figures | None) -> list[str]:
    ratio = ratios(one, beside) if beside else {}
    shown = []
    for name, (label, unit, scale) in SHOWN.items():
        if name not in one.rounds:
            continue
        if name == "throughput":
            label = f"inference, batch {one.facts['throughput_batch']}"
        line = f"  {label:<28}" + f"{_spread(one.rounds[name], scale)} {unit}".ljust(28)
        if beside and name in beside.rounds:
            line += f"{_spread(beside.rounds[name], scale)} {unit}".ljust(34)
        if name in ratio:
            low, middle, high = ratio[name]
            line += f"{middle:.2f} x [{low:.2f}, {high:.2f}]"
        shown.append(line.rstrip())
    return shown


def _spread(values: Sequence[float], scale: float) -> str:
    low, middle, high = (_number(value / scale) for value in quartiles(values))
    return f"{middle} [{low}, {high}]" if len(values) > 1 else middle


def _number(value: float) -> str:
    """Formats three digits without an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def as_json(figures: Sequence[Figures], environment: Mapping[str, Any]) -> str:
    """Returns one object per line, each with the environment."""
    return "\n".join(json.dumps({**one.row(), "rounds": one.rounds, **environment}) for one in figures)


def as_csv(figures: Sequence[Figures], environment: Mapping[str, Any]) -> str:
    """Returns a header and one line each."""
    rows = [{**one.row(), **environment} for one in figures]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a file of `--json`.

    Raises:
        UserError: There is no such file, or it has another content.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        if rows and all(
            isinstance(row["arch"] + row["form"] + row["device"], str)
            and all(isinstance(row.get(name, 0.0), int | float) for name in SHOWN)
            for row in rows
        ):
            return rows
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"--against {path}: expected what kerascnn benchmark --json printed: {error}") from None
    raise UserError(f"--against {path}: expected what kerascnn benchmark --json printed")


def require_same_device(environment: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> None:
    """Raises UserError if rows of `before` are from another device."""
    devices = {row["device"] for row in before} - {environment["device"]}
    if devices:
        raise UserError(
            f"figures of different devices cannot be compared: here {environment['device']!r}, there {sorted(devices)[0]!r}"
        )


def changes(
    figures: Sequence[Figures], environment: Mapping[str, Any], before: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Returns each figure relative to the same one in `before`.

    Raises:
        UserError: `before` is from another device, or has nothing in common with `figures`.
    """
    require_same_device(environment, before)
    # Parameters and multiply-adds distinguish networks with the same name: --width, --filters, --stem.
    same = ("arch", "form", "image_size", "batch_size", "policy", "params", "macs")
    known = {tuple(row.get(name) for name in same): row for row in before}
    shown = []
    for one in figures:
        row = one.row()
        old = known.get(tuple(row.get(name) for name in same), {})
        other_batch = old.get("throughput_batch") != row.get("throughput_batch")
        for name, (label, _, _) in SHOWN.items():
            if other_batch and name in ("throughput", "inference_share"):
                continue
            if name in row and old.get(name):
                shown.append(
                    f"  {one.arch} {one.form:<9} {label.strip():<28} {row[name] / old[name]:.2f} x what it was"
                )
    if not shown:
        raise UserError("--against: no network of the file is the same, with the same image size, batch size and dtype")
    return ["", f"against {before[0].get('date', 'before')}:", *shown]
