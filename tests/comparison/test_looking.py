"""`--until-decided`: stops at the look that decides, says when seeds cannot help, and what it takes."""

from dataclasses import replace

import numpy as np
import pytest

from kerascnn.cli.screen import Screen
from kerascnn.comparison import compare_config, looking
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.errors import UserError
from kerascnn.statistics import two_way
from kerascnn.statistics.looks import planned as looks
from kerascnn.studies.executors.local import LocalExecutor
from tests.comparison.test_compare_session import planned, train


def finished_plan(folder, accuracies) -> ComparisonPlan:
    """A plan of 5 seeds whose runs are all finished."""
    plan = planned(folder, ("resnet20", "inception_small"), (0.1,), 5)
    for cell, accuracy in zip(plan.cells, accuracies, strict=True):
        for seed in range(5):
            train(cell, seed, accuracy)
    return plan


def test_it_stops_where_it_is_decided(tmp_path, capsys):
    plan = finished_plan(tmp_path, (0.3, 0.9))
    looking.carry_out(plan, LocalExecutor(), Screen(), {}, None)
    said = capsys.readouterr().out
    assert "look    1 of 2: 3 seeds" in said
    assert "fixed beforehand at 3 and 5 seeds" in said
    assert "this comparison has read test 1 time" in said
    assert "look    2" not in said
    assert f"decided at {looks(5, 2)[0].seeds} seeds; 2 of 5 were not needed" in said


def test_it_ends_at_the_last_look(tmp_path, capsys):
    plan = finished_plan(tmp_path, (0.70, 0.705))
    plan = replace(plan, compare=plan.compare.model_copy(update={"margin": 0.01}))
    looking.carry_out(plan, LocalExecutor(), Screen(), {}, None)
    said = capsys.readouterr().out
    assert "decided at" not in said
    assert "look    2 of 2: 5 seeds" in said or "more seeds cannot help" in said


def test_images_alone_may_leave_it_open():
    rng = np.random.default_rng(0)
    shared = rng.normal(0.02, 0.5, 200)
    differences = shared + rng.normal(0, 0.02, (5, 200))
    found = two_way(lambda index: differences[:, index].mean(axis=2).T, images=200, seeds=5, rounds=500)
    narrow = looking.with_all_seeds(found, 0.95)
    assert narrow.high - narrow.low == pytest.approx(2 * 1.972 * 0.5 / 200**0.5, rel=0.15)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--max-seeds", "8"], "--max-seeds is for --until-decided"),
        (["--until-decided", "--seeds", "4"], "--until-decided and --seeds: the looks are fixed"),
        (["--until-decided", "--folds", "4"], "more folds of the same images say little more"),
        (["--until-decided", "--lr-grid", "0.1", "0.2"], "--until-decided is for one comparison, not for a table"),
        (["some/run", "--until-decided"], "--until-decided is for a comparison that trains"),
    ],
)
def test_what_does_not_go_together(words, message):
    with pytest.raises(UserError, match=message):
        compare_config.parse(words, prog="kerascnn compare", description="")


def test_the_plan_has_the_seeds_of_the_last_look():
    request, _ = compare_config.parse(["--until-decided", "--max-seeds", "10"], prog="kerascnn compare", description="")
    assert request.compare.seeds == 8
