"""What a training leaves as its page, made of a run's files."""

from html import unescape

import numpy as np
import pytest

from kerascnn import data
from kerascnn.config import Config
from kerascnn.report import run_report
from kerascnn.runs import Run, now
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.split_scores import score
from kerascnn.training import mend

HISTORY = [{"epoch": e, "loss": 2 / e, "val_loss": 2.1 / e, "val_accuracy": 1 - 1 / (e + 1), "lr": 0.1} for e in (1, 2)]


@pytest.fixture(scope="module")
def splits():
    return data.load(Config().data)


@pytest.fixture
def finished(tmp_path, splits):
    """A finished run that was never trained: answers are drawn, right more often than not; and the answers on test."""
    run = Run(tmp_path / "<b>run</b>")
    run.write_config(Config().replace(model={"arch": "resnet20"}, fit={"epochs": 2}))
    run.write_data(splits.summary(), splits.rows(), [])
    run.write_history(HISTORY)
    run.add_environment({"reason": "CPU", "tensorflow": "2.21.0"})
    rng = np.random.default_rng(0)
    found, answered = {}, None
    for split in (splits.val, splits.test):
        logits = rng.normal(size=(len(split), 10)) + 2 * np.eye(10)[split.labels]
        labels = split.labels.astype("int64")
        answered = Predictions.of_logits(np.array(split.ids()), np.arange(len(split)), labels, logits)
        found[split.name] = score(answered, splits.class_names)
        answered.save(run, split.name)
    facts = {
        "params": 271098,
        "macs": 40551040,
        "epochs": 2,
        "best_epoch": 2,
        "train_seconds": 3.0,
        "images_per_second": 1.0,
    }
    run.write_metrics({**found, **facts, "finished": now(), "monitor": "val_accuracy", "test_is_val": False})
    return run, answered


def test_a_training_s_page(finished, splits):
    run, answered = finished
    run_report.write(run, splits.test, answered)
    page = run.report_file.read_text(encoding="utf-8")
    value = run.metrics()["test"]["accuracy"]["value"]
    assert f"test accuracy {value * 100:.2f} %" in page
    assert "&lt;b&gt;run" in page
    assert f"python -m kerascnn.fit --config '{run.config_file}' --run again" in unescape(page)
    assert page.count("<img") == 12, "the worst mistakes, without maps"
    assert "Ankle boot" in page
    assert "epoch, best epoch 2" in page
    assert "Precision and recall, test" in page
    assert "ROC, test" in page
    assert len(page) < 300_000


def test_a_run_without_test_has_a_page_too(finished, splits):
    run, _ = finished
    metrics = run.metrics()
    run.write_metrics({name: value for name, value in metrics.items() if name != "test"})
    run_report.write(run)
    page = run.report_file.read_text(encoding="utf-8")
    assert "val accuracy" in page
    assert "<img" not in page


def test_a_finished_run_without_its_page_gets_it_from_what_it_kept(finished, splits):
    """As after a kill between the scores and the page, by a version that wrote the page last."""
    run, answered = finished
    run_report.write(run, splits.test, answered)
    page = run.report_file.read_text(encoding="utf-8")
    left = run.predictions / ".test.npz.999999.aside"
    left.touch()
    assert not mend(run, splits, draw=True)
    assert not left.exists()
    run.report_file.unlink()
    with run.lock():
        assert not mend(run, splits, draw=True), "another process works in it"
    assert mend(run, splits, draw=True)
    assert run.report_file.read_text(encoding="utf-8") == page


def test_the_page_can_be_made_before_the_scores_are_kept(finished, splits):
    run, answered = finished
    metrics = run.metrics()
    run.metrics_file.unlink()
    run_report.write(run, splits.test, answered, metrics)
    assert run.report_file.exists()
    assert not run.finished
