"""Every image once, scores over folds with the corrected interval, and a page of all of it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from kerascnn.config import Config
from kerascnn.cross_validation import folds_page
from kerascnn.cross_validation.fold_results import FoldResults
from kerascnn.errors import UserError
from kerascnn.report.html import folds_html
from kerascnn.runs import Run
from kerascnn.scoring import split_scores
from kerascnn.scoring.label_metrics import Thresholds
from kerascnn.scoring.metrics import HEADLINE
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import FoldSizes, fold_score
from kerascnn.studies.folds_directory import FoldsDirectory
from tests.cross_validation.make_folds import finish, planned


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    return finish(planned(tmp_path_factory.mktemp("folds"), 3), (0.7, 0.8, 0.75), trained=False)


def test_each_image_is_predicted_once(runs: dict[int, Run], tmp_path: Path) -> None:
    found = FoldResults.of(runs)
    assert len(set(found.predictions.ids.tolist())) == len(found.predictions) == 6000
    assert np.bincount(found.folds).tolist() == [0, 2000, 2000, 2000]
    assert found.missing == 0
    directory = FoldsDirectory(tmp_path)
    directory.write_out_of_fold(found.out_of_fold())
    kept = directory.read_out_of_fold()
    for mine, theirs in zip(kept, found.out_of_fold(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert kept.class_names.tolist() == list(found.class_names)
    assert all(name.startswith("train/") for name in kept.ids.tolist()), "the given test is apart"
    directory.write_table(directory.table_file, found.rows())
    with directory.table_file.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["fold"], row["test"]) for row in rows] == [("1", "2000"), ("2", "2000"), ("3", "2000")]


def test_the_score_is_the_mean_over_folds_with_the_corrected_interval(runs: dict[int, Run]) -> None:
    found = FoldResults.of(runs)
    score = found.scores()[HEADLINE]
    values = [run.metrics()["test"]["accuracy"]["value"] for run in runs.values()]
    assert found.sizes == FoldSizes(2000, 4000)
    assert score == fold_score(values, FoldSizes(2000, 4000), (0.0, 1.0))
    first, second, *_ = found.lines()
    assert first.startswith(f"out-of-fold accuracy {np.mean(values):.2%}  [")
    assert "corrected resampled t over 3 folds, n = 6,000 images, each predicted once" in first
    assert f"folds {min(values):.2%} to {max(values):.2%}, standard deviation" in second


def test_runs_of_other_cuts_are_refused_and_a_folder_without_predictions_says_so(runs, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is in two folds: these runs saw other cuts"):
        FoldResults.of({1: runs[1], 2: runs[1]})
    with pytest.raises(UserError, match=r"has no out_of_fold\.npz: expected the folder of a finished"):
        FoldsDirectory(tmp_path).read_out_of_fold()
    FoldsDirectory(tmp_path).out_of_fold_file.write_bytes(b"noise")
    with pytest.raises(UserError, match="is damaged"):
        FoldsDirectory(tmp_path).read_out_of_fold()


def test_several_labels(tmp_path: Path) -> None:
    """Mean average precision leads, thresholds are those of the runs on average, and the page has no confusion matrix."""
    rng, runs = np.random.default_rng(0), {}
    for fold in (1, 2):
        run = runs[fold] = Run(tmp_path / f"fold{fold}")
        labels = rng.random((60, 3)) < 0.4
        probabilities = np.clip(labels * 0.4 + rng.random((60, 3)) * 0.6, 0, 1).astype("float32")
        thresholds = Thresholds((0.4, 0.5, 0.2 * fold), 0.5, "val")
        found = Predictions(np.array([f"{fold}/{i}" for i in range(60)]), None, labels, probabilities, thresholds)
        run.write_config(Config(model={"arch": "resnet9"}, data={"folds": 2, "fold": fold, "image_size": 16}))
        names, images = ["cat", "dog", "owl"], {"train": 50, "val": 10, "test": 60}
        facts = {"name": "pets", "fingerprint": "f", "class_names": names, "image_size": 16, "images": images}
        run.write_data({**facts, "task": "multi"}, [("a", "cat", "test")], [])
        found.save(run, "test")
        run.best_model.touch()
        scores = split_scores.score(found, names)
        run.write_metrics({"test": scores, "thresholds": thresholds.kept(), "params": 1, "macs": 2})
    results = FoldResults.of(runs)
    assert results.predictions.thresholds == Thresholds((0.4, 0.5, pytest.approx(0.3)), 0.5, "val")
    assert results.lines()[0].startswith("out-of-fold mAP ")
    assert results.out_of_fold().labels.shape == (120, 3)
    ensemble = Run(tmp_path / "ensemble")
    costs = {"params": 2, "macs": 4, "bytes": 9, "latency_ms": 2.0, "member_latency_ms": 1.0}
    ensemble.write_metrics({"members": {"a": "", "b": ""}, **costs})
    page = folds_page.page(FoldsDirectory(tmp_path / "folds"), results, ensemble, "kerascnn fit --folds 2")
    assert page.confusion is None
    assert "has no score of its own: no test was given apart" in folds_html(page)
