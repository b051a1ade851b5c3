"""Everything that a command keeps, but for times: what a killed command and its undisturbed twin must have in common."""

import csv
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

TIMES = {"finished", "train_seconds", "images_per_second", "seconds", "input_wait"}


def scores(path: Path) -> object:
    """A metrics.json without times."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if key not in TIMES}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads(path.read_text()))


def history(path: Path) -> object:
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def weights(path: Path) -> list[bytes]:
    """Every array in a `.keras` file."""
    found: list[bytes] = []
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as inner, h5py.File(inner) as file:
        file.visititems(lambda name, node: found.append(node[()].tobytes()) if isinstance(node, h5py.Dataset) else None)
    return found


def arrays(path: Path) -> dict[str, bytes]:
    with np.load(path) as kept:
        return {key: kept[key].tobytes() for key in kept.files}


def run(path: Path) -> dict[str, object]:
    """All that a run keeps, but for times."""
    names = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    names = {name for name in names if not name.startswith(("tensorboard/", "child.log"))}
    return {
        "names": names,
        "weights": weights(path / "best.keras"),
        "metrics": scores(path / "metrics.json"),
        "history": history(path / "history.csv"),
        "split": (path / "split.csv").read_bytes(),
        "predictions": {file.name: arrays(file) for file in sorted((path / "predictions").glob("*.npz"))},
        "config": (path / "config.toml").read_text().replace(str(path.parents[1]), ""),
    }


def fit(folder: Path) -> dict[str, object]:
    versions = sorted(path.name for path in (folder / "saved" / "run").iterdir())
    newest = folder / "saved" / "run" / "1"
    passed = [(row["artefact"], row["passed"]) for row in json.loads((newest / "parity.json").read_text())["artefacts"]]
    names = {str(path.relative_to(newest)) for path in newest.rglob("*")}
    return {**run(folder / "runs" / "run"), "versions": versions, "passed": passed, "exported": names}


def tables(folder: Path, names: tuple[str, ...]) -> dict[str, object]:
    return {name: (folder / name).read_text() for name in names}


def compare(folder: Path) -> dict[str, object]:
    made = folder / "comparisons" / "both"
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    return {"names": names, **tables(made, ("comparison.csv", "comparison.md", "tables/scores.csv"))}


def tune(folder: Path) -> dict[str, object]:
    made = folder / "searches" / "search"
    runs = sorted((made / "promoted").iterdir())
    found: dict[str, object] = {run.name: [weights(run / "best.keras"), scores(run / "metrics.json")] for run in runs}
    return {**found, **tables(made, ("promotion.csv", "trials.csv", "best.toml"))}
