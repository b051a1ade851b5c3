"""A comparison some of whose runs cannot be trained: the others are, and it concludes from them."""

import csv
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kerascnn.cli.screen import Screen
from kerascnn.comparison import concluding, training_order
from kerascnn.comparison.cell import Cell
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.config import Config
from kerascnn.errors import STOPPED, UserError
from kerascnn.studies.executor import ChildLost, Slot
from kerascnn.studies.executors.local import LocalExecutor
from kerascnn.studies.measured_cost import Cost
from kerascnn.studies.targets import Target
from tests.comparison.make_runs import NAMES, finish

COST = Cost(1000, 2000, 100.0, 2.0, 2.5, 900.0, 70_000)


def planned(folder: Path, archs: tuple[str, ...], rates: tuple[float, ...], seeds: int) -> ComparisonPlan:
    """A plan of images that are not there: nothing here is really trained."""
    base = Config(
        data={"dataset": f"folder:{folder / 'gone'}", "image_size": 32, "resize": "squash"},
        fit={"epochs": 2, "monitor": "val_accuracy"},
        logging={"runs_dir": folder / "runs"},
    )
    cells = []
    for rate in rates:
        for arch in archs:
            config = base.replace(model={"arch": arch}, optim={"lr": rate})
            subject = Target(config, "pets", "f" * 64, NAMES, {"train": 100, "val": 20, "test": 200})
            cells.append(Cell(arch, f"lr {rate:g}", subject, measured=COST))
    compare = Compare(archs=archs, lr_grid=rates if len(rates) > 1 else (), seeds=seeds)
    return ComparisonPlan(compare, {}, tuple(cells), ComparisonDirectory(folder / "comparison"))


def train(cell: Cell, seed: int, accuracy: float) -> None:
    finish(cell.run(seed), cell.subject.config.replace(fit={"seed": seed}), accuracy, images=200)


def train_choosing(plan: ComparisonPlan, accuracy: dict[str, float]) -> None:
    """Finish the runs that choose, with val scores by cell; the data of a candidate's run have no test scores."""
    for seed, cell, run in plan.choosing():
        config = cell.subject.config.replace(fit={"seed": seed})
        finish(run, config, accuracy.get(cell.key, 0.5), images=200, split="val")


def test_a_run_that_fails_keeps_no_other_from_its_turn(tmp_path, capsys):
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1,), 1)
    first, second = plan.cells
    config = first.subject.config
    # Not checked here: the run's own process refuses it, before it has loaded TensorFlow.
    config = config.model_copy(update={"optim": config.optim.model_copy(update={"lr": math.nan})})
    plan = replace(plan, cells=(replace(first, subject=replace(first.subject, config=config)), second))
    train(second, 0, 0.7)
    failed = {}
    training_order.train(plan, LocalExecutor(), Screen(), failed)
    said = capsys.readouterr().out.splitlines()
    assert list(failed) == [plan.cells[0].run(0).name]
    assert "ended with code 2" in failed[plan.cells[0].run(0).name]
    assert "ended with code 2" in said[-2]
    assert said[-2].endswith("; all runs finished but 1")
    assert said[-1].endswith("reused")


def test_two_at_once_begin_in_the_order_of_the_plan(tmp_path, capsys):
    plan = planned(tmp_path, ("resnet20", "inception_small", "resnet32"), (0.1,), 1)
    cells = []
    for cell in plan.cells:  # each run's own process refuses its config, before it has loaded TensorFlow
        config = cell.subject.config
        config = config.model_copy(update={"optim": config.optim.model_copy(update={"lr": math.nan})})
        cells.append(replace(cell, subject=replace(cell.subject, config=config)))
    plan = replace(plan, cells=tuple(cells))
    failed = {}
    training_order.train(plan, LocalExecutor([Slot(), Slot()]), Screen(), failed)
    begun = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line.endswith(": training")]
    # The first two begin at once, so that either may say so first.
    assert sorted(begun[:2]) + begun[2:] == [
        f"{number}/3  {run.name}" for number, (_, _, run) in enumerate(plan.every(), 1)
    ]


def test_a_lost_process_is_no_run_that_cannot_be_trained(tmp_path, monkeypatch):
    """What killed one, or filled the disk, may end all: the comparison stops, and goes on by the same command."""
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1,), 1)
    full = tmp_path / "python"
    full.write_text(f"#!/bin/sh\nexit {STOPPED}\n")
    full.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(full))
    failed = {}
    with pytest.raises(ChildLost, match="the same command continues") as lost:
        training_order.train(plan, LocalExecutor(), Screen(), failed)
    assert lost.value.code == STOPPED
    assert not failed
    assert not plan.cells[1].run(0).config_file.exists()  # the next one had no turn


def test_concludes_without_what_cannot_be_trained(tmp_path, capsys):
    """At the high rate one arch never gets through, another with one seed of two, which happens to be good."""
    plan = planned(tmp_path, ("resnet20", "inception_small", "resnet32"), (0.1, 10.0), 2)
    failed = [plan.cells[4].run(0).name, plan.cells[4].run(1).name, plan.cells[5].run(1).name]
    for seed, cell, run in plan.runs():
        if run.name not in failed:
            train(cell, seed, 0.95 if cell is plan.cells[5] else 0.8)
    concluding.conclude_plan(plan, failed, Screen())
    assert "the runs that choose are not finished yet: no verdict" in capsys.readouterr().out
    train_choosing(plan, {cell.key: 0.8 for cell in plan.cells if cell.variant == "lr 0.1"})
    concluding.conclude_plan(plan, failed, Screen())
    out = capsys.readouterr().out
    lost = "without what could not be trained: inception_small, lr 10 (seeds 0 1); resnet32, lr 10 (seed 1)"
    assert lost in out
    assert "and inception_small (lr 0.1) and resnet32 (lr 0.1)" in out
    assert lost in plan.directory.report_file.read_text(encoding="utf-8")
    with (plan.directory.tables / "two_way.csv").open(encoding="utf-8") as file:
        rows = {row["learning rate"]: row for row in csv.DictReader(file)}
    assert rows["lr 10"]["inception_small"] == rows["lr 10"]["inception_small - resnet20"] == ""
    assert rows["lr 10"]["resnet32"] != ""
    assert rows["lr 10"]["resnet32 - resnet20"] != ""


def test_who_chooses_does_not_judge(tmp_path, capsys):
    """The runs that choose lie apart, their seeds are no judge's, and the plan says what they cost."""
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1, 0.2), 3)
    choosing, judging = list(plan.choosing()), list(plan.runs())
    assert {seed for seed, _, _ in choosing} == {1000, 1001}
    assert not {run.path for _, _, run in choosing} & {run.path for _, _, run in judging}
    assert all(run.path.is_relative_to(plan.directory.path) for _, _, run in choosing)
    assert [seed for seed, _, _ in plan.every()][:8] == [1000] * 4 + [1001] * 4
    said = "\n".join(training_order.lines(plan))
    assert "choose  by val of 8 further runs, seeds 1000 to 1001, whose test is not read: " in said
    assert "runs    20: 0 finished" in said
    alone = replace(plan, compare=plan.compare.model_copy(update={"choose_seeds": 1}))
    assert training_order.expected(plan) > training_order.expected(alone) > 0
    # Val of the judges prefers another rate than the runs that choose: these decide.
    for seed, cell, _ in judging:
        train(cell, seed, 0.9 if cell.variant == "lr 0.2" else 0.7)
    train_choosing(plan, {cell.key: 0.8 for cell in plan.cells if cell.variant == "lr 0.1"})
    concluding.conclude_plan(plan, [], Screen())
    out = capsys.readouterr().out
    assert "of seeds 1000 1001 prefers, which judge nothing: resnet20 (lr 0.1) and inception_small (lr 0.1)" in out
    assert out.count("(Holm over 2 rows)") == 2


def test_an_arch_that_alone_fails_is_named_beside_the_verdict(tmp_path, capsys):
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1,), 5)
    failed = [plan.cells[1].run(4).name]
    for seed, cell, run in plan.runs():
        if run.name not in failed:
            train(cell, seed, 0.8 if cell is plan.cells[0] else 0.93)
    concluding.conclude_plan(plan, failed, Screen())
    out = capsys.readouterr().out
    assert "Take inception_small: " in out
    said = (
        "inception_small, lr 0.1 (lr 0.1) could not be trained with 1 of 5 seeds (4): of all seeds 1% to 72% may fail"
    )
    assert said.replace(", lr 0.1 (lr 0.1)", " (lr 0.1)") in out
    assert "with failed runs counted as chance: test accuracy: " in out
    assert said.partition(" could")[2] in plan.directory.report_file.read_text(encoding="utf-8")


def test_what_is_left_has_start_compiling_and_scoring_in_it_and_follows_what_runs_took(tmp_path):
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1,), 2)
    bare = training_order.expected(plan)
    cost = replace(COST, start_up=40.0, trace=5.0)
    plan = replace(plan, cells=tuple(replace(cell, measured=cost) for cell in plan.cells))
    scored = (20 + 200) / COST.throughput
    assert training_order.expected(plan) == pytest.approx(bare + 4 * (40 + 2 * 5))
    assert plan.cells[0].around_seconds == pytest.approx(40 + 2 * 5 + scored)
    pace = training_order.Pace()
    assert pace.factor == 1
    pace.ended(expected=20.0, taken=30.0)
    pace.ended(expected=20.0, taken=50.0)
    assert training_order.expected(plan, pace=pace.factor) == pytest.approx(2 * training_order.expected(plan))
    train(plan.cells[0], 0, 0.8)
    assert training_order.expected(plan) == pytest.approx(
        training_order.expected(plan, without=[plan.cells[0].run(0).name])
    )


def test_an_arch_that_never_trains_leaves_no_verdict(tmp_path, capsys):
    plan = planned(tmp_path, ("resnet20", "inception_small"), (0.1,), 1)
    train(plan.cells[0], 0, 0.8)
    concluding.conclude_plan(plan, [plan.cells[1].run(0).name], Screen())
    out = capsys.readouterr().out
    assert (
        "no verdict: expected finished runs of two archs, got resnet20; without inception_small, lr 0.1 (seed 0)" in out
    )


def test_a_dry_runs_plan_is_in_nobodys_way_and_a_begun_comparison_is(tmp_path):
    """Kept by --name: what was only looked at gives way to other terms, what was begun does not."""
    directory = ComparisonDirectory(tmp_path / "mine")
    with directory.lock():
        directory.keep("kerascnn compare --dry-run", {"archs": ["a"]}, {"a": {"width": 0.5}}, [])
    assert directory.solved({"archs": ["a"]})["a"]["width"] == 0.5
    assert directory.solved({"archs": ["b"]}) == {}
    directory.log_file.touch()
    with pytest.raises(UserError, match="exists on other terms"):
        directory.solved({"archs": ["b"]})
