"""The end of a run: its best model is scored on val and test, once, and everything is kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Split, Splits
from kerascnn.data.copies import known
from kerascnn.data.grouping import groups_of
from kerascnn.data.splits import CALIBRATION, TEST
from kerascnn.models.cost import Counts
from kerascnn.report import pictures, run_report
from kerascnn.runs import Run, now
from kerascnn.scoring import prediction_sets, selective_answers, split_scores, without_copies
from kerascnn.scoring.inference import predict
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.prediction_sets import Calibration
from kerascnn.scoring.predictions import Predictions
from kerascnn.tracking import untold
from kerascnn.tracking.trackers import Trackers
from kerascnn.training import callbacks, environment, neighbor_floor
from kerascnn.training.averaging import LastEpochs
from kerascnn.training.batches import Batches


def show(run: Run, trackers: Trackers, split: str, pngs: Mapping[str, bytes]) -> None:
    """Gives pictures to the trackers, then writes them to plots/, whose files say that both exist."""
    trackers.images(split, pngs)
    for name, png in pngs.items():
        run.write_plot(f"{name}.png", png)


@dataclass
class Finish:
    """What the end of a run needs.

    Args:
        config, run, splits, screen, batches: Those of the training.
        count: What the network costs.
        rows: The history, one row per epoch.
        monitor: The column that chose the best epoch, or "last epoch".
        draw: Whether pictures are drawn.
        read_test: Whether test is scored, and a report written.
        trackers: Take pictures, scores and files.
        last: The epochs whose weights were averaged.
    """

    config: ResolvedConfig
    run: Run
    splits: Splits
    screen: Screen
    batches: Batches
    count: Counts
    rows: list[dict[str, float]]
    monitor: str
    draw: bool
    read_test: bool
    trackers: Trackers
    last: LastEpochs

    def go(self) -> dict[str, Any]:
        """Scores the best model on val and test, once, and keeps everything; metrics.json, written last, makes the run
        finished.
        """
        epoch = callbacks.best_epoch(self.rows, self.monitor)
        found, answered = self.score_splits()
        if self.draw:
            with self.screen.phase("drawing the curves"):
                show(self.run, self.trackers, "train", pictures.curves(self.rows, epoch))
        if self.read_test:
            values = environment.hparams(self.config, self.splits, self.count)
            self.trackers.values(values, untold.scores(found, self.splits.task))
        if answered and (thresholds := answered[-1][1].thresholds):
            found["thresholds"] = thresholds.kept()
        found |= {
            "finished": now(),
            "params": self.count.params,
            "macs": self.count.macs,
            "epochs": len(self.rows),
            "best_epoch": epoch,
            "monitor": self.monitor,
            "val_in_training": {name: value for name, value in self.rows[epoch - 1].items() if name.startswith("val_")},
            "train_seconds": math.fsum(row["seconds"] for row in self.rows),
            "images_per_second": float(np.median([row["images_per_second"] for row in self.rows])),
            "test_is_val": self.splits.marked,
        }
        if self.last.count:
            found["averaged_epochs"] = self.last.kept()
        skipped = [*self.splits.skipped, *self.splits.failures()]
        self.run.write_data({**self.splits.summary(), "skipped": len(skipped)}, self.splits.rows(), skipped)
        for name in [name for name in ("val", "test") if name in found and self.read_test]:
            for line in split_scores.symptoms(found[name], name, self.splits.task):
                self.screen.say(f"note: {line}")
        if answered and self.read_test:
            split, predictions = answered[-1] if self.draw else (None, None)
            with self.screen.phase("writing report.html"):
                run_report.write(self.run, split, predictions, metrics=found)
        self.run.write_metrics(found)
        self.last.drop()
        self.trackers.files(untold.files(self.run))
        self.trackers.finished = True
        return found

    def score_splits(self) -> tuple[dict[str, Any], list[tuple[Split, Predictions]]]:
        """Returns the scores of the best model by split, and their predictions; test comes last."""
        with self.screen.phase("loading the best model"):
            best = keras.models.load_model(self.run.best_model, compile=False, safe_mode=True)
        found: dict[str, Any] = {}
        answered, thresholds = [], None
        copies = known(self.config.logging.runs_dir, self.splits.fingerprint)
        for split in self.splits.parts()[1:]:
            if not len(split) or (split.name in (TEST, CALIBRATION) and not self.read_test):
                continue
            batches = self.batches.scoring(split)
            with self.screen.phase(f"scoring {split.name}", int(batches.cardinality())) as phase:
                predictions = predict(best, batches, split.labels, split.ids(), phase)
            if self.splits.task.several:
                thresholds = thresholds or _thresholds(predictions, split.name)
                predictions = replace(predictions, thresholds=thresholds)
            groups = groups_of(predictions.ids, self.run)
            if split.name == CALIBRATION:  # it has no scores, since it is for the thresholds of sets only
                predictions.save(self.run, split.name)
                continue
            found[split.name] = split_scores.score(predictions, self.splits.class_names, groups)
            found[split.name] |= without_copies.scores(predictions, self.splits, copies, groups)
            if split.name == TEST:
                chosen = Calibration.of_run(self.run)
                found[TEST] |= prediction_sets.scores(chosen, predictions, self.splits.class_names, groups)
                found[TEST] |= selective_answers.scores(chosen, predictions, groups)
            predictions.save(self.run, split.name)
            answered.append((split, predictions))
            if split.name == TEST and neighbor_floor.wanted(self.splits, self.config.model.weights):
                with self.screen.phase("comparing with the nearest neighbors of the starting weights"):
                    found[TEST] |= neighbor_floor.scores(self.batches, split, predictions, groups)
            if self.draw and split.name == "val":
                with self.screen.phase("drawing val's predictions"):
                    show(self.run, self.trackers, "val", pictures.answers(split, predictions, self.splits.class_names))
        return found, answered


def _thresholds(predictions: Predictions, split: str) -> Thresholds:
    """Returns the thresholds that val chooses; without val, test chooses nothing: they are 0.5."""
    if split != "val":
        return Thresholds.half(predictions.labels.shape[1])
    return Thresholds.chosen(predictions.probabilities, predictions.labels, split)
