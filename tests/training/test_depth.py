"""Learning rates that fall with the distance from the head."""

import pytest

from kerascnn import models
from kerascnn.architectures.shape import Shape
from kerascnn.training import depth


def test_blocks_fall_from_the_head_down() -> None:
    network = models.build("resnet20", (32, 32, 3), 4, Shape(width=0.25, blocks=(1, 2, 1)))
    head = models.head(network)
    found = list(depth.factors(network, [head], 0.5))
    assert [factor for _, factor in found] == [2.0**-n for n in (5, 4, 3, 2, 1)]
    blocks = [{variable.path.split("/")[0] for variable in variables} for variables, _ in found]
    assert blocks[1:] == [{"stage1_block1"}, {"stage2_block1"}, {"stage2_block2"}, {"stage3_block1"}]
    assert all(name.startswith("stem") for name in blocks[0])
    covered = {id(variable) for variables, _ in found for variable in variables} | {id(v) for v in head.weights}
    assert covered == {id(variable) for variable in network.trainable_variables}


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_layers_have_no_group(frozen: bool) -> None:
    network = models.build("resnet20", (32, 32, 3), 4, Shape(width=0.25, blocks=(1, 1, 1)))
    network.get_layer("stage1_block1").trainable = not frozen
    assert len(depth.groups(network, [models.head(network)])) == (3 if frozen else 4)
