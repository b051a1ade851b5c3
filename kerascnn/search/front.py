"""Score against multiply-adds: the candidates that nothing cheaper beats, for each family that was searched on these images."""

import csv
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from kerascnn.cli.recipes import load_toml
from kerascnn.report import drawing
from kerascnn.search.directory import SearchDirectory
from kerascnn.search.outcomes import BASELINE
from kerascnn.search.session import Search

# What two searches must have in common to stand in one plot.
TERMS = ("data.fingerprint", "data.fraction", "fit.epochs")


class Point(NamedTuple):
    """A whole training: what it costs, its score, whether it is the uniformly scaled network."""

    macs: float
    score: float
    baseline: bool


def points(search: Search) -> dict[str, list[Point]]:
    """Whole trainings by family: of this search, and of those beside it on the same images, as long, by the same score."""
    found: dict[str, list[Point]] = {}
    mine = search.directory.path
    for path in sorted({mine, *(file.parent for file in mine.parent.glob(f"*/{search.directory.trials_file.name}"))}):
        directory = SearchDirectory(path)
        if path != mine and not _comparable(directory, search):
            continue
        for row in _read(directory.trials_file):
            if row["status"] == "whole" and row.get(search.column):
                point = Point(float(row["macs"]), float(row[search.column]), row["candidate"] == BASELINE)
                found.setdefault(row["family"], []).append(point)
    return found


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _comparable(directory: SearchDirectory, search: Search) -> bool:
    if not directory.terms_file.exists():
        return False
    kept, mine = load_toml(directory.terms_file).get("identity", {}), search.request()["identity"]
    return all(kept.get(term) == mine.get(term) for term in TERMS)


def front(found: list[Point], direction: str) -> list[Point]:
    """Those that nothing cheaper, or as cheap, beats; ascending in cost."""
    sign = 1 if direction == "max" else -1
    kept: list[Point] = []
    for point in sorted(found, key=lambda one: (one.macs, -sign * one.score)):
        if not kept or sign * point.score > sign * kept[-1].score:
            kept.append(point)
    return kept


def draw(found: dict[str, list[Point]], column: str, direction: str) -> Figure:
    """The plot: candidates, the line of those that nothing cheaper beats, a star for the uniformly scaled network."""
    with drawing.style():
        figure = Figure(figsize=(5.4, 4.2), layout="constrained")
        axis = figure.subplots()
        for i, (family, every) in enumerate(sorted(found.items())):
            color = drawing.SERIES[i % len(drawing.SERIES)]
            free, bases = [p for p in every if not p.baseline], [p for p in every if p.baseline]
            if free:
                label = f"{family}: candidates (n = {len(free)})"
                axis.scatter([p.macs / 1e6 for p in free], [p.score for p in free], s=26, color=color, label=label)
                line = front(free, direction)
                axis.step([p.macs / 1e6 for p in line], [p.score for p in line], where="post", color=color, linewidth=1)
            if bases:
                label = f"{family}: scaled uniformly"
                x, y = [p.macs / 1e6 for p in bases], [p.score for p in bases]
                axis.scatter(x, y, s=120, marker="*", color=color, edgecolor=drawing.INK, label=label, zorder=3)
        axis.set_xlabel("multiply-adds of an image (M)")
        axis.set_ylabel(f"{column}: chosen by it, so optimistic")
        axis.grid(True)
        axis.set_axisbelow(True)
        axis.tick_params(length=0)
        axis.margins(0.06)
        if found:  # above the picture: inside it would cover the baseline, which lies where networks are largest
            figure.legend(loc="outside upper left", ncols=2 if len(found) == 1 else 1, fontsize=9, borderpad=0)
    return figure
