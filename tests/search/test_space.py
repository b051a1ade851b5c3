"""What a space file may say, and what is said of one that is wrong. No TensorFlow."""

from pathlib import Path

import pytest

from kerascnn.architectures import filters
from kerascnn.architectures.shape import Shape
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.search import space

RESNET = Config(model={"arch": "resnet20"}, data={"image_size": 32})
INCEPTION = Config(model={"arch": "inception_small"}, data={"image_size": 32})


def load(folder: Path, text: str, base: Config = RESNET) -> space.Space:
    file = folder / "mine.toml"
    file.write_text(text)
    return space.load(str(file), base)


@pytest.mark.parametrize(("name", "base"), [("resnet_filters", RESNET), ("inception_filters", INCEPTION)])
def test_both_ends_of_every_shipped_range_are_networks(name: str, base: Config) -> None:
    found = space.load(name, base)
    for end in (0, 1):
        config = found.apply(base, {p.name: p.labels_ends()[end] for p in found.parameters})
        section = config.model
        row, counts = filters.resolve(section.arch, Shape.of(section))
        for parameter in found.parameters:
            kind, _, key = parameter.name.partition(".")
            if kind == "filters" and key != "stage3.3x3":
                assert parameter.ends()[end] in counts[key]
        assert row != filters.resolve(section.arch)[0]


def test_the_shipped_space_varies_filters_blocks_and_ratio() -> None:
    found = space.load("resnet_filters", RESNET)
    values = {p.name: p.labels_ends()[1] for p in found.parameters}
    config = found.apply(RESNET, values)
    assert config.model.filters["stage1"] == values["filters.stage1"]
    assert config.model.blocks == (values["blocks.1"], values["blocks.2"], values["blocks.3"])
    assert config.model.bottleneck_ratio == values["model.bottleneck_ratio"]
    assert config.model.shortcut == "B"


def test_any_field_with_choices_ranges_logarithms_and_conditions(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        """
        [parameters]
        "optim.optimizer" = { choices = ["sgd", "adamw"] }
        "optim.lr" = { min = 0.01, max = 0.4, log = true }
        "optim.momentum" = { choices = [0.8, 1e-1], when = { "optim.optimizer" = "sgd" } }
        "augment.augment" = { choices = [["shift", "flip"], ["none"]] }
        "fit.batch_size" = { min = 32, max = 128, step = 32 }
        """,
    )
    augment = next(p for p in found.parameters if p.name == "augment.augment")
    assert augment.labels() == ("shift flip", "none")
    config = found.apply(RESNET, {"augment.augment": "shift flip", "optim.lr": 0.02, "fit.batch_size": 64})
    assert (config.augment.augment, config.optim.lr, config.fit.batch_size) == (("shift", "flip"), 0.02, 64)
    assert str(found.parameters[1]) == "0.01 to 0.4, logarithmic"
    assert str(found.parameters[2]) == "0.8, 0.1 where optim.optimizer is sgd"


WRONG = [
    ("", "there is nothing to vary"),
    ("[parameters]", "there is nothing to vary"),
    ("parameters = 3", "must be a table"),
    ("[parameter]\n", "unknown key 'parameter' - perhaps you meant 'parameters'"),
    ("[parameters", "not valid TOML"),
    ("x = " + "[" * 3000, "not valid TOML: nested too deeply"),
    ("[fixed]\nx = " + "9" * 5000, "not valid TOML"),
    ('[parameters]\n"filters.stge1" = { min = 8, max = 16 }', "no such filters - perhaps you meant 'stage1'"),
    ('[parameters]\n"optim.weight_deca" = { min = 0.1, max = 0.2 }', "perhaps you meant 'optim.weight_decay'"),
    ('[parameters]\n"blocks.4" = { min = 1, max = 2 }', "blocks.1 to blocks.3"),
    ('[parameters]\n"fit.epochs" = { min = 1, max = 2 }', "the search decides this itself"),
    ('[parameters]\n"filters.stage1" = { min = 16, max = 8 }', "min < max"),
    ('[parameters]\n"filters.stage1" = { min = 8, max = 16, stp = 8 }', "perhaps you meant 'step'"),
    ('[parameters]\n"filters.stage1" = { choices = [] }', "at least one"),
    ('[parameters]\n"filters.stage1" = 8', "expected a table"),
    ('[parameters]\n"optim.momentum" = { choices = [0.5, 1.5] }', "optim.momentum = 1.5: momentum: .*less than 1"),
    ('[parameters]\n"optim.lr" = { min = 0.0, max = 0.1, log = true }', "begins above 0"),
    (
        '[parameters]\n"optim.lr" = { min = 0.1, max = 0.2, when = { "optim.optimizer" = "sgd" } }',
        "no parameter above it",
    ),
    ('arch = "inception_small"\n[parameters]\n"filters.stem" = { choices = [8] }', "--arch inception_small"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=lambda value: value[:40])
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, text)
    assert "mine.toml" in str(error.value)


def test_an_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"--space: no file 'resnet_filter'.*perhaps you meant 'resnet_filters'"):
        space.load("resnet_filter", RESNET)
