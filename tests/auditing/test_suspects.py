"""Suspect labels: planted errors are found, and images that a network was trained on are refused."""

from pathlib import Path

import numpy as np
import pytest

from kerascnn.auditing import suspects
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions
from kerascnn.studies.folds_directory import FoldsDirectory, OutOfFold

NAMES = ("ant", "bee", "wasp")


def predictions(n: int = 300, wrong: int = 12, sure: float = 3.0) -> tuple[Predictions, np.ndarray]:
    """Predictions of a good network; the labels of the first `wrong` images are wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    logits = rng.normal(0, 1, (n, 3)) + sure * np.eye(3)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    labels[:wrong] = (labels[:wrong] + 1) % 3
    ids = np.array([f"{i}.jpg" for i in range(n)])
    return Predictions(ids, np.arange(n), labels, probabilities.astype(np.float32)), truth


def test_wrong_labels_are_ranked_first_with_the_right_one() -> None:
    found, truth = predictions()
    judged = suspects.suspects(found, NAMES, set())
    assert judged.n == 300
    first = {one.id for one in judged.rows[:10]}
    assert len(first & {f"{i}.jpg" for i in range(12)}) >= 8
    right = [one.suggested == NAMES[truth[int(one.id.split(".")[0])]] for one in judged.rows[:8]]
    assert all(right)
    assert all(one.given != one.suggested for one in judged.rows)
    assert judged.planted is not None
    assert judged.planted["recall"] > 0.6
    assert 0.3 < judged.planted["precision"] < 1, "the errors that were there count as right: a lower bound"


def test_images_whose_copies_were_learned_are_not_judged() -> None:
    found, _ = predictions()
    judged = suspects.suspects(found, NAMES, {f"{i}.jpg" for i in range(12)})
    assert judged.n == 288
    assert judged.left_out == 12
    assert not {one.id for one in judged.rows} & {f"{i}.jpg" for i in range(12)}


def test_few_images_are_no_error() -> None:
    found, _ = predictions(3, 0)
    assert suspects.suspects(found, NAMES, set()).planted is None
    assert suspects.suspects(found, NAMES, set(found.ids.tolist())).rows == ()


def run(path: Path, splits: dict[str, str]) -> Run:
    found = Run(path)
    found.path.mkdir()
    found.write_config(Config())
    summary = {"name": "x", "fingerprint": "2-f", "class_names": list(NAMES), "image_size": 32, "resize": "squash",
               "images": {}, "counts": {}, "skipped": 0, "test_is_val": False, "notes": []}  # fmt: skip
    found.write_data(summary, [(name, "ant", split) for name, split in splits.items()], [])
    return found


def test_a_run_gives_val_and_test_only(tmp_path: Path) -> None:
    found, _ = predictions(9, 0)
    one = run(tmp_path / "run", {f"{i}.jpg": ("train", "val", "test")[i % 3] for i in range(9)})
    with pytest.raises(UserError, match="has no predictions"):
        suspects.of_run(one, "2-f")
    for place, split in enumerate(("train", "val", "test")):
        part = slice(place, None, 3)
        Predictions(found.ids[part], None, found.labels[part], found.probabilities[part]).save(one, split)
    judged = suspects.of_run(one, "2-f")
    assert sorted(judged.ids.tolist()) == sorted(f"{i}.jpg" for i in range(9) if i % 3)
    with pytest.raises(UserError, match="was trained on other images"):
        suspects.of_run(one, "2-other")
    found.save(one, "val")
    with pytest.raises(UserError, match="trained on 3 of the images"):
        suspects.of_run(one, "2-f")


def test_a_folder_of_folds(tmp_path: Path) -> None:
    found, _ = predictions(30, 2)
    with pytest.raises(UserError, match="expected the folder of a finished"):
        suspects.of_folds(tmp_path, NAMES)
    folds = np.arange(30) % 3 + 1
    kept = OutOfFold(found.ids, found.labels, found.probabilities, folds, np.array(NAMES))
    FoldsDirectory(tmp_path).write_out_of_fold(kept)
    again, theirs = suspects.of_folds(tmp_path, NAMES)
    assert len(again) == 30
    assert (theirs == folds).all()
    with pytest.raises(UserError, match="has the classes"):
        suspects.of_folds(tmp_path, NAMES[::-1])
