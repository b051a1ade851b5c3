"""Sections: bounds, unknown keys, identity."""

import pytest

from kerascnn.config import Augment, Config, Fit, Model
from kerascnn.config.section import FieldError, bounds, nearest
from kerascnn.errors import UserError


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        (Fit, {"epochs": 0}, "epochs: expected greater than or equal to 1, got 0"),
        (Fit, {"seed": 20250101123000}, "seed: expected less than or equal to 4294967295"),  # numpy's bound
        (Fit, {"epoch": 3}, "epoch: unknown key - perhaps you meant 'epochs'"),
        (Model, {"width": float("nan")}, "width: "),
        (Model, {"stem": "smal"}, "perhaps you meant 'small'"),
        (Model, {"filters": {"stage1": 0}}, "filters: expected greater than 0, got 0"),
        (Augment, {"augment": ("flip", "none")}, "none stands alone"),
        (Augment, {"augment": ("flip", "flip")}, "each augmentation once"),
        (Augment, {"crop_area": (0.5, 0.2)}, "crop-area: expected 0 < smallest"),
    ],
)
def test_a_wrong_field_names_itself(section, fields, message) -> None:
    with pytest.raises(FieldError) as raised:
        section(**fields)
    assert message in str(raised.value)


def test_warmup_longer_than_training_is_refused() -> None:
    with pytest.raises(UserError, match="shorter than epochs"):
        Config(optim={"warmup": 10}, fit={"epochs": 5})


def test_replace_checks_again_and_keeps_the_rest() -> None:
    config = Config().replace(fit={"epochs": 3}, model={"width": 0.5})
    assert (config.fit.epochs, config.model.width, config.fit.batch_size) == (3, 0.5, Config().fit.batch_size)
    with pytest.raises(UserError, match="epochs"):
        config.replace(fit={"epochs": 0})


def test_config_is_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        Config().fit.epochs = 3  # type: ignore[misc]


def test_bounds_are_told_as_text() -> None:
    assert bounds(Model.model_fields["drop_path"]) == ">= 0, < 1"
    assert bounds(Model.model_fields["arch"]) == ""


def test_every_field_has_help() -> None:
    for name in Config.model_fields:
        section = type(getattr(Config(), name))
        assert all(field.description for field in section.model_fields.values()), name


def test_nearest_says_nothing_where_nothing_is_near() -> None:
    assert nearest("optimizr", ["optimizer", "epochs"]) == " - perhaps you meant 'optimizer'"
    assert nearest("zzz", ["optimizer", "epochs"]) == ""
