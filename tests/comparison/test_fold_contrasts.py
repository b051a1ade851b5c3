"""A comparison by folds: each image tested once, archs paired by fold, the corrected interval."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerascnn.cli.screen import Screen
from kerascnn.comparison import compare_config, concluding, finished, training_order
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.comparison.entry import Entry
from kerascnn.errors import UserError
from kerascnn.scoring.metrics import SCORES
from kerascnn.statistics import FoldSizes, fold_difference, fold_score
from tests.comparison.make_runs import finish
from tests.comparison.test_compare_session import planned


def of_folds(folder: Path, folds: int = 3) -> ComparisonPlan:
    plan = planned(folder, ("resnet20", "inception_small"), (0.1,), folds)
    cells = []
    for cell in plan.cells:
        config = cell.subject.config.replace(data={"folds": folds, "fold": 1})
        cells.append(replace(cell, by_folds=True, variant="", subject=replace(cell.subject, config=config)))
    return replace(plan, cells=tuple(cells))


def train(plan: ComparisonPlan, without: tuple[int, ...] = ()) -> None:
    """Finish each fold, with images of its own; the second arch is better."""
    for fold, cell, run in plan.runs():
        if fold not in without:
            accuracy = 0.9 if cell is plan.cells[1] else 0.6
            finish(run, cell.config(fold), accuracy + fold / 100, images=300, ids=f"fold{fold}_")


def parse(*words: str):
    return compare_config.parse(words, prog="kerascnn compare", description="")


def test_folds_take_the_place_of_seeds() -> None:
    request, (config,) = parse("--folds", "5")
    assert (request.compare.seeds, config.data.folds, config.data.fold) == (5, 5, 1)
    assert compare_config.by_folds(request)
    request, (config,) = parse("--folds", "5", "--fold", "2", "--seeds", "3")
    assert (request.compare.seeds, config.data.fold) == (3, 2)
    assert not compare_config.by_folds(request)
    with pytest.raises(UserError, match="--folds and --seeds: each fold is trained once"):
        parse("--folds", "5", "--seeds", "5")
    with pytest.raises(UserError, match="val of one fold is test of another"):
        parse("--folds", "5", "--lr-grid", "0.1", "0.2")


def test_runs_are_those_of_fit(tmp_path: Path) -> None:
    plan = of_folds(tmp_path)
    numbers = [(number, run.name) for number, _, run in plan.runs()]
    assert [number for number, _ in numbers] == [1, 1, 2, 2, 3, 3]
    assert len({name for _, name in numbers}) == 6
    assert plan.cells[0].config(2).data.fold == 2
    assert plan.cells[0].config(2).fit.seed == 0
    assert "3 folds" in "\n".join(training_order.lines(plan))


def test_it_concludes_with_the_corrected_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = of_folds(tmp_path)
    train(plan)
    concluding.conclude_plan(plan, [], Screen())
    out = capsys.readouterr().out
    values = [
        [run.metrics()["test"]["accuracy"]["value"] for _, cell, run in plan.runs() if cell is each]
        for each in plan.cells
    ]
    found = fold_difference(np.subtract(values[1], values[0]).tolist(), FoldSizes(300, 600), most=1.0)
    span = f"[{found.low * 100:.1f}, {found.high * 100:.1f}]"
    said = f"test accuracy: inception_small is {found.value * 100:.1f} points better than resnet20 {span}"
    assert said + " (95 %; 3 folds, 900 images, each tested once; corrected resampled t)." in out
    interval = fold_score(values[0], FoldSizes(300, 600), SCORES["accuracy"].bounds).interval
    assert f"{interval.value * 100:.2f} [{interval.low * 100:.2f}, {interval.high * 100:.2f}]" in out
    assert "3 folds and" not in out
    assert "difference by fold: fold 1: +" in out
    assert "fold 3: " in out
    assert "seed" not in out
    html = plan.directory.report_file.read_text(encoding="utf-8")
    assert "corrected resampled t" in html


def test_folds_that_are_not_finished_are_left_out_and_one_is_none(tmp_path: Path, capsys) -> None:
    plan = of_folds(tmp_path)
    train(plan, without=(3,))
    concluding.conclude_plan(plan, [], Screen())
    assert "2 of 3 folds" in capsys.readouterr().out
    other = of_folds(tmp_path / "other")
    train(other, without=(2, 3))
    concluding.conclude_plan(other, [], Screen())
    assert "one fold alone is finished for every arch: no verdict yet" in capsys.readouterr().out


def test_finished_runs_of_folds_are_paired_by_fold(tmp_path: Path) -> None:
    plan = of_folds(tmp_path)
    train(plan)
    found = finished.gather([tmp_path / "runs"])
    assert {label: sorted(runs) for label, runs in found.groups.items()} == {
        "resnet20": [1, 2, 3],
        "inception_small": [1, 2, 3],
    }
    assert any("folds 1 2 3" in line for line in found.lines())
    cost = plan.cells[0].cost
    entries = [Entry(label, "", runs, cost, by_folds=True) for label, runs in found.groups.items()]
    assert [len(entry.answers.labels) for entry in entries] == [900, 900]
