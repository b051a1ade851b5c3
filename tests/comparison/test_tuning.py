"""`--tune-each`: the same settings for every arch, chosen by val, before any seed judges."""

from dataclasses import replace

import pytest

from kerascnn.cli.screen import Screen
from kerascnn.comparison import comparison_page, concluding, tuning_choice, tuning_space
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.comparison_plan import ComparisonPlan
from kerascnn.config import Config
from kerascnn.errors import TrainingFailed
from tests.comparison.test_compare_session import planned, train, train_choosing

SIZED = Config(data={"image_size": 32, "resize": "squash"}, optim={"lr": 0.1, "weight_decay": 1e-3, "optimizer": "sgd"})


def test_every_arch_gets_the_same_draws_and_its_own_settings_first():
    first, second = (tuning_space.settings(SIZED.replace(model={"arch": arch}), 6) for arch in ("resnet20", "vgg"))
    assert [name for name, _ in first] == [name for name, _ in second]
    assert first[0] == ("as given", SIZED.replace(model={"arch": "resnet20"}))
    assert len({name for name, _ in first}) == 6
    for _, config in first[1:]:
        assert 0.1 / 3 <= config.optim.lr <= 0.3
        assert 1e-3 / 5 <= config.optim.weight_decay <= 5e-3
    assert tuning_space.settings(SIZED, 3) == tuning_space.settings(SIZED, 6)[:3]


def test_strength_changes_the_augmentation():
    found = {name.rpartition(" ")[2]: config.augment for name, config in tuning_space.settings(SIZED, 20)[1:]}
    assert found["same"] == SIZED.augment
    assert found["weaker"].shift == SIZED.augment.shift / 2
    assert found["stronger"].shift == SIZED.augment.shift * 2
    assert found["stronger"].crop_area[0] < SIZED.augment.crop_area[0] < found["weaker"].crop_area[0]


def tuned(folder) -> ComparisonPlan:
    """A plan of two archs in two settings, before it has chosen."""
    plan = planned(folder, ("resnet20", "inception_small"), (0.1, 0.2), 3)
    return replace(plan, compare=Compare(archs=plan.archs, tune_each=2, seeds=3), judges=False)


def test_val_chooses_for_each_arch_and_only_these_judge(tmp_path, capsys):
    plan = tuned(tmp_path)
    assert not list(plan.runs())
    train_choosing(plan, {"resnet20, lr 0.1": 0.9, "inception_small, lr 0.2": 0.9})
    narrow = tuning_choice.narrowed(plan, {}, Screen())
    said = capsys.readouterr().out
    assert "chosen  resnet20: lr 0.1, of 2 settings with 2 seeds each, by val accuracy 92.50%" in said
    assert [cell.key for cell in narrow.cells] == ["resnet20, lr 0.1", "inception_small, lr 0.2"]
    assert len(list(narrow.runs())) == 6
    assert {run.path for _, _, run in narrow.choosing()} == {run.path for _, _, run in plan.choosing()}
    for seed, cell, _ in narrow.runs():
        train(cell, seed, 0.8)
    found = concluding.conclude_plan(narrow, {}, Screen())
    assert "which judge nothing: resnet20 (lr 0.1) and inception_small (lr 0.2)" in capsys.readouterr().out
    costs = comparison_page.page(found, "tuned", []).costs
    assert costs.columns[-1].title == "tuning"
    assert [row[-1] for row in costs.rows] == [240.0, 240.0]  # two settings, two seeds, a minute each


def test_an_arch_without_any_run_is_an_error(tmp_path):
    plan = tuned(tmp_path)
    train_choosing(plan, {})
    failed = {run.name: "" for _, cell, run in plan.choosing() if cell.arch == "resnet20"}
    with pytest.raises(TrainingFailed, match="resnet20: none of its 2 settings could be trained"):
        tuning_choice.narrowed(plan, failed, Screen())
