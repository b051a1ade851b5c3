"""Score against multiply-adds: the Pareto front of candidates, for each family that was searched on these images."""

import csv
from pathlib import Path

from kerascnn.cli.recipes import load_toml
from kerascnn.report import cost_front
from kerascnn.report.cost_front import CostPoint
from kerascnn.report.drawing import Picture
from kerascnn.search.search import Search
from kerascnn.search.search_directory import SearchDirectory
from kerascnn.search.trial_results import BASELINE

# Terms that two searches must share to be in one plot.
TERMS = ("data.fingerprint", "data.fraction", "fit.epochs")


def points(search: Search) -> dict[str, list[CostPoint]]:
    """Returns whole trainings by family: of this search, and of neighboring ones with the same images, epochs and score."""
    found: dict[str, list[CostPoint]] = {}
    mine = search.directory.path
    for path in sorted({mine, *(file.parent for file in mine.parent.glob(f"*/{search.directory.trials_file.name}"))}):
        directory = SearchDirectory(path)
        if path != mine and not _comparable(directory, search):
            continue
        for row in _read(directory.trials_file):
            if row["status"] == "whole" and row.get(search.column):
                name = row["candidate"]
                point = CostPoint(name, float(row["macs"]), float(row[search.column]), name == BASELINE)
                found.setdefault(row["family"], []).append(point)
    return found


def picture(search: Search) -> Picture | None:
    """The plot of them; None before anything was trained whole."""
    found = points(search)
    return cost_front.picture(found, search.column, search.direction) if found else None


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _comparable(directory: SearchDirectory, search: Search) -> bool:
    if not directory.terms_file.exists():
        return False
    kept, mine = load_toml(directory.terms_file).get("identity", {}), search.request()["identity"]
    return all(kept.get(term) == mine.get(term) for term in TERMS)
