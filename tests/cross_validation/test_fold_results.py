"""Every image once, scores over folds with the corrected interval, and a page of all of it."""

import csv
from pathlib import Path

import numpy as np
import pytest

from kerascnn.cross_validation.fold_results import FoldResults
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.metrics import HEADLINE
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
