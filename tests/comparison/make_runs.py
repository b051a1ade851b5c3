"""Finished runs without training: directories as `fit` leaves them, with predictions of a known accuracy."""

from pathlib import Path

import numpy as np

from kerascnn.config import Config
from kerascnn.runs import Run, prepare

NAMES = ("cat", "dog", "owl")


def finished(
    folder: Path,
    arch: str,
    seed: int,
    accuracy: float,
    *,
    images: int = 200,
    names: tuple[str, ...] = NAMES,
    fingerprint: str = "f" * 64,
    lr: float | None = None,
    ids: str = "image",
    split: str = "test",
) -> Run:
    """A run whose predictions are right with probability `accuracy`, more often on the images that its family likes."""
    config = Config().replace(
        model={"arch": arch},
        data={"image_size": 32, "resize": "squash"},
        fit={"seed": seed, "epochs": 2, "monitor": "val_accuracy"},
        optim={"lr": lr},
    )
    return finish(
        prepare(config.replace(logging={"runs_dir": folder}), fingerprint, "pets"),
        config,
        accuracy,
        images=images,
        names=names,
        fingerprint=fingerprint,
        ids=ids,
        split=split,
    )


def finish(
    run: Run,
    config: Config,
    accuracy: float,
    *,
    images: int,
    names: tuple[str, ...] = NAMES,
    fingerprint: str = "f" * 64,
    ids: str = "image",
    split: str = "test",
) -> Run:
    """Write everything that a finished run has and a comparison reads; `split` is what it was scored on."""
    rng = np.random.default_rng(config.fit.seed)
    labels = np.arange(images) % len(names)
    right = rng.random(images) < accuracy
    answers = np.where(right, labels, (labels + 1) % len(names))
    probabilities = np.full((images, len(names)), 0.2 / (len(names) - 1), "float32")
    probabilities[np.arange(images), answers] = 0.8
    run.write_config(config)
    run.write_data({"name": "pets", "fingerprint": fingerprint, "class_names": list(names), "image_size": 32}, [], [])
    run.write_history(
        [{"epoch": 1, "val_accuracy": 0.5, "seconds": 1.0}, {"epoch": 2, "val_accuracy": accuracy, "seconds": 1.0}]
    )
    run.write_predictions(
        split, ids=np.array([f"{ids}{i}" for i in range(images)]), labels=labels, probabilities=probabilities
    )
    share = {"value": float(right.sum() / max(images, 1))}
    scores = dict.fromkeys(("accuracy", "macro_f1", "balanced_accuracy", "loss"), share)
    run.write_metrics(
        {
            "val": scores,
            split: scores,
            "finished": "2026-01-01T00:00:00+00:00",
            "train_seconds": 60.0,
            "images_per_second": 100.0,
            "params": 1000,
            "macs": 2000,
        }
    )
    return run
