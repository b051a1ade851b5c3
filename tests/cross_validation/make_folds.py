"""Finished runs of all folds without training: networks with decided answers, and predictions of a known accuracy."""

from pathlib import Path

import numpy as np

from kerascnn import data
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.runs import Run
from kerascnn.scoring import split_scores
from kerascnn.scoring.predictions import Predictions
from kerascnn.studies.folds_directory import FoldsDirectory
from kerascnn.studies.targets import Target
from tests.artefacts import networks


def planned(folder: Path, folds: int = 2) -> FoldPlan:
    """A plan of the embedded images, whose given test is apart."""
    config = ResolvedConfig.of(
        ResolvedConfig(
            data={"folds": folds, "fold": 1, "image_size": 16, "resize": "squash"},
            model={"arch": "resnet9", "width": 0.25},
            fit={"epochs": 2, "low_res_epochs": 0, "monitor": "val_accuracy"},
            logging={"runs_dir": folder / "runs", "folds_dir": folder / "folds"},
        )
    )
    splits = data.load(config.data)
    images = {part.name: len(part) for part in splits.parts()}
    target = Target(config, splits.name, splits.fingerprint, splits.class_names, images)
    return FoldPlan(target, FoldsDirectory(folder / "folds" / "mine"))


def finish(plan: FoldPlan, accuracies: tuple[float, ...], *, trained: bool = True) -> dict[int, Run]:
    """Writes everything that a finished run of each fold has and a cross-validation reads."""
    runs = dict(plan.runs())
    for (fold, run), accuracy in zip(runs.items(), accuracies, strict=True):
        config = plan.config(fold)
        splits = data.load(config.data)
        run.write_config(config)
        run.write_data(splits.summary(), splits.rows(), [])
        run.add_environment({"tensorflow": "2", "reason": "cpu"})
        predictions = predicted(splits.test, accuracy, fold)
        predictions.save(run, "test")
        if trained:
            model = networks.tiny("resnet9", size=16, classes=10)
            kernel = model.get_layer("logits").kernel
            # Of another sharpness each: the mean of networks that only exchange two classes would tie between them.
            kernel.assign(np.roll(kernel.numpy(), fold, axis=1) * (1 + 0.5 * fold))
            model.save(run.best_model)
        scores = split_scores.score(predictions, splits.class_names)
        run.write_metrics({"test": scores, "finished": "2026-01-01", "train_seconds": 1.0, "params": 10, "macs": 20})
    return runs


def predicted(split: data.Split, accuracy: float, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = split.labels.astype(np.int64)
    answers = np.where(rng.random(len(labels)) < accuracy, labels, (labels + 1) % 10)
    probabilities = np.full((len(labels), 10), 0.02, "float32")
    probabilities[np.arange(len(labels)), answers] = 0.82
    return Predictions(np.array(split.ids()), np.arange(len(labels)), labels, probabilities)
