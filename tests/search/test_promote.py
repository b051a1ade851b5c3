"""What retrained candidates are worth, on the split that is there, in the time that is left. The runs are written by hand."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn import statistics
from kerascnn.cli.screen import duration
from kerascnn.errors import Stopped
from kerascnn.search.promote import Promotion
from kerascnn.search.search import Search
from kerascnn.search.search_execution import Execution
from kerascnn.search.trial_results import BASELINE, TrialResult
from tests.search import make_search
from tests.studies.doomed import doom

SPACE = """
[parameters]
"model.width" = { choices = [0.25, 0.5] }
"""


def photos(folder: Path) -> Path:
    """train/ and val/ of two classes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 6)):
        for place, label in enumerate(["ants", "bees"] * count):
            (folder / split / label).mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (32, 32, 3), "uint8")
            Image.fromarray(pixels).save(folder / split / label / f"{place}.png")
    return folder


def searched(search: Search) -> Search:
    """As if the baseline and one candidate had been trained."""
    search.trial_results[BASELINE] = TrialResult(BASELINE, {}, search.baseline(), {make_search.EPOCHS: 0.5})
    values = {"model.width": 0.25}
    search.trial_results["thin"] = TrialResult("thin", values, search.config_of(values), {make_search.EPOCHS: 0.6})
    return search


def retrain(promotion: Promotion, split: str) -> None:
    """The baseline is right on half of the images, the candidate on all."""
    labels = np.array([0, 1] * 6)
    for trial_result in promotion.chosen:
        right = labels if trial_result.name != BASELINE else np.zeros_like(labels)
        for seed in promotion.choosing:
            run = promotion.run(trial_result, seed)
            run.write_history([{"epoch": 1, "val_accuracy": 0.6}])
            run.write_metrics({"val": {"accuracy": {"value": 0.6}}})
        for seed in promotion.seeds:
            run = promotion.run(trial_result, seed)
            run.write_config(promotion.search.base)
            run.write_history([{"epoch": 1, "val_accuracy": 0.5 + 0.01 * seed}])
            run.write_predictions(split, ids=np.arange(12), labels=labels, probabilities=np.eye(2)[right])
            run.write_metrics({split: {"accuracy": {"value": float((right == labels).mean())}}})


@pytest.mark.parametrize(("flags", "split"), [(["--val-is-val"], "val"), ([], "test")])
def test_the_split_that_is_there_is_read_and_named(tmp_path: Path, flags: list[str], split: str) -> None:
    words = ["--dataset", str(photos(tmp_path / "photos")), "--image-size", "32", "--fraction", "1", *flags]
    promotion = Promotion(searched(make_search.search(tmp_path, "random", *words, space=SPACE)), 1, 2)
    retrain(promotion, split)
    promotion.train()  # nothing is left
    base, thin = promotion.rows()
    assert (base[f"{split}_accuracy"], thin[f"{split}_by_seed"], thin["gain"]) == (0.5, "1.0000 1.0000", 0.5)
    said = "\n".join(promotion.lines())
    assert f"gain over uniform (points of {split})" in said
    assert f"12 {split} images" in said
    assert ("no test set was kept apart" in said) == (split == "val")
    assert "3 seeds or more would say which is better" in said
    assert thin["separable"] is None
    assert f"{split}_low" not in thin, "two seeds have no interval"


def test_the_winner_is_named_by_runs_that_do_not_judge_it(tmp_path: Path) -> None:
    words = ["--dataset", str(photos(tmp_path / "photos")), "--image-size", "32", "--fraction", "1"]
    search = searched(make_search.search(tmp_path, "random", *words, space=SPACE))
    values = {"model.width": 0.5}
    search.trial_results["wide"] = TrialResult("wide", values, search.config_of(values), {make_search.EPOCHS: 0.55})
    promotion = Promotion(search, 2, 3)
    retrain(promotion, "test")
    assert not set(promotion.choosing) & set(promotion.seeds)
    for seed in promotion.choosing:  # which the judges' own val would not have named
        promotion.run(search.trial_results["wide"], seed).write_history([{"epoch": 1, "val_accuracy": 0.9}])
        assert not promotion.run(search.trial_results["wide"], seed).has_predictions("test")
    assert promotion.winner() is search.trial_results["wide"]
    said = "\n".join(promotion.lines())
    assert "wide, which val prefers with 2 other seeds, is better than the uniformly scaled network" in said
    assert "differ from uniform (Holm over 2 candidates): " in said
    rows = promotion.rows()
    assert rows[1]["p_holm"] == pytest.approx(
        2 * statistics.p_value(promotion.gain(search.trial_results["thin"])), rel=0.01
    )


def test_the_plan_says_what_a_promotion_costs(tmp_path: Path) -> None:
    search = make_search.search(tmp_path, "random", "--promote", "3", "--seeds", "5", space=SPACE)
    line = search.plan(epoch=60, start=10)[-1]
    assert line.startswith(
        "promote     20 retrainings with 5 fresh seeds that judge, 6 with 2 others that name the winner"
    )
    assert f"about {duration(26 * (make_search.EPOCHS * 60 + 10))} more" in line


def test_max_hours_bounds_the_search_and_its_promotion_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = searched(make_search.search(tmp_path, "random", "--max-hours", "1e-9", space=SPACE))
    doom(tmp_path, 1, monkeypatch)  # whoever trains all the same ends at once
    for work in (lambda: Execution(search, lambda: None).run(lambda: None), Promotion(search, 1, 2).train):
        search.stop.clear()
        with pytest.raises(Stopped, match="time is up"):
            work()
    assert not search.directory.trials.exists()
    assert not search.directory.promoted.exists()
