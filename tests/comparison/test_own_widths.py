"""Functions in a comparison: the width or alpha that meets a budget, and those that have none."""

from pathlib import Path

import pytest

from kerascnn import data, training
from kerascnn.architectures import own
from kerascnn.comparison import network_costs
from kerascnn.config import Config
from kerascnn.errors import UserError

pytestmark = pytest.mark.training

FILE = Path(__file__).parents[1] / "models" / "own_networks.py"


def test_a_function_with_a_width_meets_the_first_archs_cost() -> None:
    splits = data.load(Config(data={"fraction": 0.02}).data)
    first, wide, fixed = (
        training.resolve(Config(model=model), splits)
        for model in ({"arch": "resnet20", "width": 0.25}, {"arch": f"{FILE}:build"}, {"arch": f"{FILE}:named"})
    )
    (match,) = network_costs.scaled([(first, wide)], 10, "macs")
    limit = network_costs.counted(first, 10)[1]
    assert abs(match.off) <= 0.02
    config = wide.replace(model={"width": match.width})
    assert network_costs.counted(config, 10)[1] == pytest.approx(limit, rel=0.02)
    with pytest.raises(
        UserError, match=r"--match: own_networks.py:named takes no argument width or alpha: name it first"
    ):
        network_costs.scaled([(first, fixed)], 10, "params")
    assert network_costs.scaled([(fixed, first)], 10, "params")[0].width > 0
    assert own.parse(wide.model.arch) is not None
