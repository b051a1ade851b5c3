"""A training on several labels per image: exact resume, scores, thresholds, what its files hold."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from kerascnn import training
from kerascnn.config import Config
from kerascnn.data import Splits
from kerascnn.errors import UserError
from kerascnn.runs import Run, prepare, summary
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.predictions import Predictions
from tests import several

pytestmark = pytest.mark.training

BASE = Config(
    model={"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)},
    optim={"warmup": 0},
    fit={"epochs": 2, "low_res_epochs": 0, "batch_size": 16},
    augment={"augment": ("none",)},
    devices={"dtype": "float32"},
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return several.splits(200)


def train(folder: Path, splits: Splits, name: str = "run", until: int | None = None, draw: bool = True, **sections):
    config = BASE.replace(**{"logging": {"runs_dir": folder, "run": name}, **sections})
    config = training.resolve(config, splits)
    run = prepare(config, splits.fingerprint, splits.name)
    training.train(config, run, splits=splits, until=until, draw=draw, read_test=draw)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, splits: Splits) -> Run:
    return train(tmp_path_factory.mktemp("runs"), splits)


def test_it_learns_and_says_so(run: Run, splits: Splits) -> None:
    metrics = run.metrics()
    assert metrics["monitor"] == "val_mean_average_precision"
    assert metrics["test"]["mean_average_precision"]["value"] > 0.9
    assert metrics["test"]["chance"] < 0.5
    assert metrics["test"]["per_class"][0]["n"] == splits.test.labels[:, 0].sum()
    assert run.config().data.task == "multi"
    assert run.config().optim.label_smoothing == 0
    assert run.data()["task"] == "multi"
    assert summary.summarize(run).headline.name == "mean_average_precision"


def test_its_history_has_the_scores_of_its_task(run: Run) -> None:
    row = run.history()[-1]
    names = {"loss", "mean_average_precision", "val_loss", "val_mean_average_precision", "val_micro_f1", "val_macro_f1"}
    assert row.keys() >= names
    assert not {"accuracy", "val_accuracy"} & row.keys()
    best = max(row["val_mean_average_precision"] for row in run.history())
    final = run.metrics()["val"]["mean_average_precision"]["value"]
    assert best == pytest.approx(final, abs=0.03)


def test_val_chose_the_thresholds_that_judge_test(run: Run) -> None:
    val, test = (Predictions.load(run, split) for split in ("val", "test"))
    chosen = Thresholds.chosen(val.probabilities, val.labels, "val")
    assert run.thresholds == chosen
    assert test.thresholds is not None
    assert test.thresholds.each == pytest.approx(chosen.each)
    right = (test.predicted == test.labels).all(axis=1).mean()
    assert run.metrics()["test"]["exact_match"]["value"] == pytest.approx(right)


def test_files_and_pictures(run: Run, splits: Splits) -> None:
    with run.split_file.open() as file:
        rows = {row["path"]: row["label"] for row in csv.DictReader(file)}
    for name, labels in zip(splits.train.ids(), splits.train.labels, strict=True):
        assert rows[name] == "|".join(np.array(several.NAMES)[labels])
    plots = {path.name for path in run.plots.iterdir()}
    assert {"first_batch.png", "curves.png", "val_predictions.png", "val_worst_mistakes.png"} <= plots
    assert "val_confusion_matrix.png" not in plots
    page = run.report_file.read_text()
    assert "test mAP" in page
    assert "were chosen on val" in page


@pytest.mark.slow
def test_it_resumes_bit_for_bit(tmp_path: Path, splits: Splits) -> None:
    few = dataclasses.replace(splits, train=dataclasses.replace(splits.train, **_first(splits.train, 64)))
    options = {"augment": {"augment": ("mixup", "cutmix", "flip")}, "optim": {"class_weights": "balanced", "warmup": 0}}
    whole = train(tmp_path, few, "whole", draw=False, fit={"epochs": 2}, **options)
    train(tmp_path, few, "parts", until=1, draw=False, fit={"epochs": 2}, **options)
    parts = train(tmp_path, few, "parts", draw=False, fit={"epochs": 2}, **options)
    timed = {"seconds", "images_per_second", "input_wait"}
    histories = [[{k: v for k, v in row.items() if k not in timed} for row in one.history()] for one in (whole, parts)]
    assert histories[0] == histories[1]
    assert np.array_equal(*(Predictions.load(one, "val").probabilities for one in (whole, parts)))


def _first(split, count):
    return {"indices": split.indices[:count], "labels": split.labels[:count]}


def test_a_score_of_the_other_task_is_refused(splits: Splits) -> None:
    with pytest.raises(UserError, match="--monitor accuracy: a score of the other task"):
        training.resolve(BASE.replace(fit={"monitor": "val_accuracy"}), splits)
