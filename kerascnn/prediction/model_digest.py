"""What decides the content of predictions: the network's files, the facts beside them, and the flags."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerascnn.prediction.predict_flags import Predict
from kerascnn.runs import Run

if TYPE_CHECKING:
    from kerascnn.artefacts import Predictor
    from kerascnn.scoring.prediction_sets import SetRule

_BLOCK = 1 << 20


def terms_of(asked: Predict, predictor: Predictor, rule: SetRule | None) -> dict[str, Any]:
    """Returns the terms of a folder of predictions, as JSON values: two with equal terms and images have equal rows.

    Args:
        asked: The flags, with `artefact` as a path.
        predictor: The network that was loaded from there.
        rule: The rule of prediction sets, or None.
    """
    path = Path(asked.artefact)
    thresholds = predictor.thresholds
    facts = {
        "classes": list(predictor.class_names),
        "thresholds": None if thresholds is None else list(thresholds.each),
        "rule": None if rule is None else asdict(rule),
        "unknown": _of_files([_unknown_file(path)]) if asked.reject_unknown else None,
    }
    return {
        "network": _of_files(_files(path)),
        "facts of the network": hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        "image_size": predictor.image_size,
        "resize": predictor.resize,
        "task": predictor.task.name,
        **{name: getattr(asked, name) for name in ("top", "threshold", "batch_size", "sets", "reject_unknown")},
        **({"coverage": asked.coverage, "set_score": asked.set_score} if asked.sets else {}),
        "part": asked.many.part,
        "format": asked.many.format,
    }


def _files(path: Path) -> Iterator[Path]:
    """Yields the files that hold a network: those of a run, of a SavedModel, or of a single file."""
    run = Run(path)
    if path.is_dir() and run.config_file.exists():
        yield run.best_model
        if run.network_file.exists():
            yield run.network_file
    elif path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
    else:
        yield path
        if path.suffix == ".xml":
            yield path.with_suffix(".bin")


def _unknown_file(path: Path) -> Path:
    from kerascnn.evaluation.unknown import KEY

    return Run(path if path.is_dir() else path.parent).predictions / f"{KEY}.npz"


def _of_files(files: Iterator[Path] | list[Path]) -> str:
    """Returns the sha256 of files' contents."""
    found = hashlib.sha256()
    for file in files:
        own = hashlib.sha256()
        with file.open("rb") as opened:
            while block := opened.read(_BLOCK):
                own.update(block)
        found.update(own.digest())
    return found.hexdigest()
