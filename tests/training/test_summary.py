"""The commands that `fit` names at its end."""

import pytest

from kerascnn.config import Config
from kerascnn.training import summary


@pytest.mark.parametrize(
    ("model", "arch", "other"),
    [
        ({"filters": {"stem": 8}, "blocks": (1, 1, 1), "dropout": 0.5}, "resnet20", "--arch inception --dropout 0.5"),
        ({"arch": "inception", "branches": ("3x3",), "aux_weight": 0.0}, "inception_small", "--arch resnet"),
        (
            {"weights": "imagenet", "freeze_stages": 1},
            "resnet50",
            "--arch inception --weights imagenet --freeze-stages 1",
        ),
        ({"weights": "experiments/runs/x"}, "resnet50", ""),
    ],
)
def test_the_other_family_has_no_flags_of_this_one(model: dict, arch: str, other: str) -> None:
    assert summary.other_family(Config(model=model), arch) == other.split()
