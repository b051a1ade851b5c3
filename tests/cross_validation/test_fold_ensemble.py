"""The ensemble of all folds is a run that predict, evaluate and export take like any other."""

import json
from pathlib import Path

import numpy as np
import pytest

from kerascnn import artefacts, data, evaluate, export
from kerascnn.artefacts import exporting
from kerascnn.cli.screen import Screen
from kerascnn.cross_validation import fold_ensemble, folds_page
from kerascnn.cross_validation.fold_plan import FoldPlan
from kerascnn.cross_validation.fold_results import FoldResults
from kerascnn.errors import DONE, USER_ERROR
from kerascnn.report.html import folds_html
from kerascnn.runs import Run
from kerascnn.runs.summary import summarize
from tests.cross_validation.make_folds import finish, planned

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> FoldPlan:
    return planned(tmp_path_factory.mktemp("folds"))


@pytest.fixture(scope="module")
def runs(plan: FoldPlan) -> dict[int, Run]:
    return finish(plan, (0.7, 0.8))


@pytest.fixture(scope="module")
def made(plan: FoldPlan, runs: dict[int, Run]) -> tuple[Run, data.Splits]:
    return fold_ensemble.make(plan, runs, Screen())


def test_it_answers_with_the_mean_and_scores_the_given_test(made, runs: dict[int, Run], plan: FoldPlan) -> None:
    run, splits = made
    images = splits.test.source.fetch(splits.test.indices[:8]).numpy()
    each = [artefacts.open(member.path).predict(images) for member in runs.values()]
    opened = artefacts.open(run.path)
    np.testing.assert_allclose(opened.predict(images), np.mean(each, axis=0), atol=1e-5)
    assert opened.network is None
    metrics = run.metrics()
    assert metrics["test"]["accuracy"]["n"] == 1000
    assert len(metrics["member_tests"]) == len(metrics["members"]) == 2
    assert metrics["params"] % 2 == metrics["macs"] % 2 == 0
    assert summarize(run).split == "test"
    assert {split for _, _, split in splits.rows()} == {"train", "test"}
    before = run.best_model.stat().st_mtime_ns
    assert fold_ensemble.make(plan, runs, Screen())[0].best_model.stat().st_mtime_ns == before, "it is reused"


def test_evaluate_takes_it_and_keeps_its_page(made, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = made
    before = run.metrics()["test"]["accuracy"]
    assert evaluate.main([str(run.path), "--json"]) == DONE
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["accuracy"] == pytest.approx(before)
    assert "an ensemble of 2 networks" in run.report_file.read_text(encoding="utf-8")
    assert evaluate.main([str(run.path), "--split", "val"]) == USER_ERROR
    assert "which most networks of this ensemble have seen" in capsys.readouterr().err
    assert evaluate.main([str(run.path), "--explain", "--most", "2"]) == USER_ERROR
    assert "maps need a single network" in capsys.readouterr().err


def test_export_refuses_a_temperature(made, tmp_path: Path, capsys) -> None:
    assert export.main([str(made[0].path), "--calibrate", "--exports-dir", str(tmp_path)]) == USER_ERROR
    assert "an ensemble of folds has no val" in capsys.readouterr().err


@pytest.mark.slow
def test_export_takes_it_with_parity(made, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra litert")
    pytest.importorskip("tf2onnx", reason="needs the extra onnx")
    run, splits = made
    formats = ("savedmodel", "onnx", "litert-float32", "keras")
    done = exporting.export(run, tmp_path, exporting.ExportOptions(formats), splits=splits)
    assert [row["passed"] for row in done.rows] == [True] * len(formats), done.rows
    assert max(row["images"]["max_difference"] for row in done.rows) < 1e-5
    assert "as 2 networks, each without one fold" in (done.version / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_the_page_links_the_runs_and_says_what_it_costs(made, plan: FoldPlan, runs: dict[int, Run]) -> None:
    page = folds_page.page(plan.directory, FoldResults.of(runs), made[0], "kerascnn fit --folds 2")
    html = folds_html(page)
    assert f'href="../../runs/{runs[1].name}/report.html"' in html
    assert "costs 2 times as much as one" in html
    assert "corrected resampled t" in html
    assert "given test accuracy of the ensemble" in html
