"""Flags of compare: its own beside those of fit, and what it answers to mistakes."""

import pytest

from kerascnn.cli.recipes import dumps
from kerascnn.comparison.compare_config import Compare, parse, seconds
from kerascnn.comparison.comparison_plan import variants
from kerascnn.config import Config
from kerascnn.errors import UserError


def asked(*words):
    return parse(words, prog="kerascnn compare", description="")


def test_a_run_s_config_beside_the_comparison():
    request, configs = asked(
        "--archs", "resnet20", "wrn16_4", "--seeds", "3", "--epochs", "2", "--image-size", "native"
    )
    assert request.compare == Compare(archs=("resnet20", "wrn16_4"), seeds=3, native=True)
    assert configs == [Config().replace(fit={"epochs": 2})]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--archs resnet", "at least 2"),
        ("--archs resnet resnet", "each once"),
        ("--match mac", "perhaps you meant 'macs'"),
        ("--match train-time", "--budget go together"),
        ("--budget 30m", "--budget go together"),
        ("--match train-time --budget soon", "a time such as 90s, 30m or 2h, got 'soon'"),
        ("--arch resnet", "--archs resnet inception"),
        ("--seed 1", "--seeds 5 means 0 to 4"),
        ("--filters stage1 8", "filter names differ"),
        ("--recipes quick nowhere", "no file 'nowhere', nor a recipe of that name"),
        ("--recipes quick --config quick", "give one of them"),
        ("--fractions 0.1 1 --lr-grid 0.1 0.2", "one table at a time, got --lr-grid and --fractions"),
        ("--fractions 0.1 2", "less than or equal to 1"),
        ("--seeds 0", "greater than or equal to 1"),
        ("--metric acc", "perhaps you meant 'accuracy'"),
        ("--name a/b", "one folder's name"),
    ],
)
def test_mistakes(words, message):
    with pytest.raises(UserError, match=message):
        asked(*words.split())


def test_recipes_start_a_config_each():
    request, configs = asked("--recipes", "quick", "cifar10_compare", "--epochs", "7")
    assert [name for name, _ in variants(request.compare, configs)] == ["quick", "cifar10_compare"]
    assert [(config.model.width, config.data.fraction, config.fit.epochs) for config in configs] == [
        (0.25, 1.0, 7),
        (1.0, 0.2, 7),
    ]


def test_a_run_s_config_gives_neither_its_name_nor_its_end(tmp_path):
    """Runs of one name would share a directory, and none that stops before its end is ever finished."""
    kept = Config().replace(
        fit={"epochs": 9, "stop_epoch": 3}, logging={"run": "mine", "overwrite": True, "runs_dir": tmp_path}
    )
    (tmp_path / "config.toml").write_text(dumps(kept))
    expected = [Config().replace(fit={"epochs": 9}, logging={"runs_dir": tmp_path})]
    assert asked("--config", str(tmp_path / "config.toml"))[1] == expected
    assert asked("--recipes", str(tmp_path / "config.toml"), "quick")[1][:1] == expected


@pytest.mark.parametrize(
    ("flags", "names", "section", "key", "values"),
    [
        ("--lr-grid 0.05 0.1", ["lr 0.05", "lr 0.1"], "optim", "lr", [0.05, 0.1]),
        ("--fractions 0.1 1", ["fraction 0.1", "fraction 1"], "data", "fraction", [0.1, 1.0]),
        ("--image-sizes 24 32", ["24 px", "32 px"], "data", "image_size", [24, 32]),
    ],
)
def test_what_varies(flags, names, section, key, values):
    request, configs = asked(*flags.split())
    found = variants(request.compare, configs)
    assert [name for name, _ in found] == names
    assert [getattr(getattr(config, section), key) for _, config in found] == values


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("45", 45)])
def test_seconds(text, value):
    assert seconds(text) == value
