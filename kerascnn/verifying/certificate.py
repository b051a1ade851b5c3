"""Compares two finished runs bit for bit: weights, history without its timing columns, predictions, sums by step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np

import kerascnn.layers  # noqa: F401 - best.keras names its classes
from kerascnn.runs import Run
from kerascnn.training import witness

TIMING = ("seconds", "images_per_second", "input_wait")


@dataclass(frozen=True)
class ComparedPart:
    """One part of a comparison.

    Args:
        name: steps, weights, history, or predictions of a split.
        what: How much was compared.
        difference: The first difference; empty if there is none.
    """

    name: str
    what: str
    difference: str = ""

    def line(self) -> str:
        """Returns the part as a line of text."""
        return f"differ  {self.name}: {self.difference}" if self.difference else f"equal   {self.name}: {self.what}"

    def facts(self) -> dict[str, Any]:
        """Returns the part for a certificate."""
        return asdict(self)


def of_weights(run: Run, other: Run) -> ComparedPart:
    """Compares best.keras."""
    first, second = (keras.models.load_model(each.best_model, compile=False) for each in (run, other))
    names = [weight.path for weight in first.weights]
    pairs = list(zip(names, first.get_weights(), second.get_weights(), strict=False))
    if len(first.weights) != len(second.weights):
        return ComparedPart("weights", "", f"{len(first.weights)} tensors against {len(second.weights)}")
    differ = [(name, a, b) for name, a, b in pairs if not np.array_equal(a, b, equal_nan=True)]
    if not differ:
        return ComparedPart(
            "weights", f"{len(pairs)} tensors, {sum(a.size for _, a, _ in pairs):,} numbers, bit for bit"
        )
    name, a, b = differ[0]
    size = float(np.abs(a.astype("float64") - b).max())
    return ComparedPart(
        "weights", "", f"{name} first, by at most {size:.3g}; {len(differ)} of {len(pairs)} tensors differ"
    )


def of_history(run: Run, other: Run) -> ComparedPart:
    """Compares history.csv without its timing columns."""
    first, second = run.history(), other.history()
    columns = [name for name in dict.fromkeys(key for row in first + second for key in row) if name not in TIMING]
    for one, two in zip(first, second, strict=False):
        for name in columns:
            if one.get(name) != two.get(name):
                return ComparedPart(
                    "history", "", f"epoch {one['epoch']:.0f}, {name}: {one.get(name)} against {two.get(name)}"
                )
    if len(first) != len(second):
        return ComparedPart("history", "", f"{len(first)} epochs against {len(second)}")
    return ComparedPart("history", f"{len(first)} epochs, {len(columns)} columns (all but those of time)")


def of_predictions(run: Run, other: Run) -> list[ComparedPart]:
    """Compares the predictions of every split that the first run keeps."""
    parts = []
    for split in ("val", "test"):
        if not (run.has_predictions(split) and other.has_predictions(split)):
            continue
        first, second = run.read_predictions(split), other.read_predictions(split)
        name, found = f"predictions of {split}", ""
        if not np.array_equal(first["ids"], second["ids"]):
            found = "other images"
        elif not np.array_equal(first["probabilities"], second["probabilities"]):
            gaps = np.abs(first["probabilities"].astype("float64") - second["probabilities"])
            row = int(np.flatnonzero(gaps.any(axis=1))[0])
            found = f"{first['ids'][row]} first, by {gaps[row].max():.3g}; at most {gaps.max():.3g}"
        parts.append(ComparedPart(name, f"{len(first['ids']):,} images, bit for bit", found))
    return parts


def of_steps(calm: Run, cut: Run, file: str) -> ComparedPart:
    """Compares the sums of all variables after each step that both have."""
    first, second = witness.sums(calm.path / file), witness.sums(cut.path / file)
    shared = sorted(first.keys() & second.keys())
    for step in shared:
        differ = [name for name, value in first[step].items() if second[step].get(name) != value]
        if differ:
            return ComparedPart(
                "steps", "", f"step {step:,}: {differ[0]} first; {len(differ)} of {len(first[step])} variables"
            )
    return ComparedPart("steps", f"{len(shared):,} of {max(first, default=0):,} steps looked at, all variables")


def compare(calm: Run, cut: Run, trace: str | None = None) -> list[ComparedPart]:
    """Returns all parts; `trace` is the file of the sums by step, if both have one."""
    steps = [of_steps(calm, cut, trace)] if trace else []
    return [*steps, of_weights(calm, cut), of_history(calm, cut), *of_predictions(calm, cut)]
