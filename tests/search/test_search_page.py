"""A search's page: what was tried, what it cost, what mattered, what a promotion came to."""

import re
from html import unescape
from pathlib import Path

import pytest

from kerascnn.report import html
from kerascnn.search import results
from kerascnn.search.search import Search
from kerascnn.search.search_execution import Execution
from kerascnn.search.search_page import page
from kerascnn.search.trial_results import BASELINE
from tests.search import make_search

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A search whose ten candidates were all trained."""
    found = make_search.search(tmp_path_factory.mktemp("search"), "random", trials=10)
    make_search.train_all(found)
    Execution(found, after=lambda: None).run(lambda: None)
    results.keep(found, whole=True)
    return found


def test_every_candidate_and_the_baseline_have_a_row(searched: Search) -> None:
    shown = page(searched)
    names = [row[0] for row in shown.trials.rows]
    assert names[0] == BASELINE
    assert set(names) == set(searched.trial_results)
    assert len(names) == 11
    titles = [column.title for column in shown.trials.columns]
    assert {"val_accuracy", "MACs", "parameters", "filters.stage1", "optim.lr"} <= set(titles)
    scores = [row[titles.index("val_accuracy")] for row in shown.trials.rows[1:]]
    assert scores == sorted(scores, reverse=True)
    assert shown.importance is not None
    assert {row[0] for row in shown.importance.rows} == {"filters.stage1", "filters.stage2", "optim.lr", "macs"}
    assert names[1] in shown.verdicts[0].headline
    assert shown.promotion is None


def test_the_page_needs_nothing_else(searched: Search) -> None:
    text = html.search_html(page(searched))
    assert text.count("<table>") == text.count('<div class="wide" role="region"') == 3
    assert "10 candidates that were trained whole" in text
    assert ">multiply-adds of an image</text>" in text
    assert not re.findall(r"https?:|<script|<img", text)
    assert f"--config {searched.directory.recipe_file}" in unescape(text)
    assert len(text) < 100_000


def test_a_promotion_comes_first_and_stays(searched: Search) -> None:
    rows = [
        {"candidate": BASELINE, "seeds": 2, "search_score": 0.5, "retrained_score": 0.48, "test_accuracy": 0.47},
        {
            "candidate": "thin", "seeds": 2, "search_score": 0.6, "retrained_score": 0.55, "test_accuracy": 0.54,
            "test_low": 0.5, "test_high": 0.58, "gain": 0.07, "gain_low": 0.01, "gain_high": 0.13, "separable": True,
        },
    ]  # fmt: skip
    searched.directory.write_table(searched.directory.promotion_file, rows)
    try:
        first = html.search_html(page(searched, ["a table", "thin is better than the uniformly scaled network"]))
        assert "thin is better than the uniformly scaled network" in first
        for text in (first, html.search_html(page(searched))):
            assert "Retrained with fresh seeds" in text
            assert "+7.00 points" in text
            assert "[+1.00, +13.00]" in text
            assert "54.00 %" in text
            assert "<td>yes</td>" in text
    finally:
        searched.directory.promotion_file.unlink()


@pytest.mark.training
@pytest.mark.slow
def test_a_plan_says_sensible_durations(tmp_path: Path) -> None:
    """Seconds and minutes, not hours with a zero before the point."""
    found = make_search.search(tmp_path, "random", "--promote", "2")
    make_search.train_all(found)
    epoch, start = found.seconds()
    assert epoch > 0
    assert start > 0
    whole, promoted = found.plan(epoch=0.5, start=4)[-2:]
    assert re.search(r"about \d+ (s|min \d+ s) of one worker", whole)
    assert re.search(r"about \d+ (s|min \d+ s) more", promoted)
