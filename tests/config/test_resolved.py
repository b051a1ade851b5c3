"""A resolved config: complete, checked like any other, and the same run as the config that says the same."""

import pytest

from kerascnn import runs
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.config.section import FieldError

KNOWN = {"data": {"image_size": 32, "resize": "squash"}, "fit": {"epochs": 3, "low_res_epochs": 0}}


def test_what_is_left_to_decide_is_named() -> None:
    with pytest.raises(FieldError, match=r"data\.image_size, data\.resize, fit\.epochs, fit\.low_res_epochs left"):
        ResolvedConfig.of(Config())
    with pytest.raises(FieldError, match=r"fit\.epochs left"):
        ResolvedConfig.of(Config(), **KNOWN).replace(fit={"epochs": None})


def test_a_changed_copy_stays_resolved_and_within_bounds() -> None:
    config = ResolvedConfig.of(Config(), **KNOWN).replace(fit={"seed": 5})
    assert type(config) is ResolvedConfig
    assert (config.fit.seed, config.fit.epochs, config.data.image_size) == (5, 3, 32)
    with pytest.raises(FieldError, match="greater than or equal to 1"):
        config.replace(fit={"epochs": 0})
    with pytest.raises(FieldError, match="must be shorter than epochs"):
        config.replace(fit={"epochs": 2}, optim={"warmup": 2.0})


def test_it_is_the_run_of_the_config_that_says_the_same() -> None:
    said = Config().replace(**KNOWN)
    config = ResolvedConfig.of(Config(), **KNOWN)
    assert config.model_dump() == said.model_dump()
    assert runs.identity(config, "abc") == runs.identity(said, "abc")
