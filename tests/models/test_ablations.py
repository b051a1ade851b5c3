"""Networks without their idea: without shortcuts, without some branches."""

import keras
import numpy as np
import pytest

from kerascnn import models
from kerascnn.architectures import branches, tables
from kerascnn.errors import UserError
from kerascnn.models import cost

SHAPE = (32, 32, 3)


def count(arch, **options):
    with cost.weightless():
        return cost.count(models.build(arch, SHAPE, 10, **options))


def test_a_plain_network_costs_what_the_residual_one_does():
    """Shortcuts of kind A have no weights: He et al. 2015 compare networks of equal parameters and MACs (section 4.2)."""
    assert count("resnet20", shortcut="none") == count("resnet20")


def test_a_plain_network_adds_nothing():
    """With the weights of the residual network in it, a plain one gives other answers, and no input reaches its end unchanged."""
    keras.utils.set_random_seed(1)
    plain, residual = (models.build("resnet20", SHAPE, 10, shortcut=kind, width=0.5) for kind in ("none", "A"))
    residual.set_weights(plain.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype("float32")
    assert not np.allclose(plain.predict(images, verbose=0), residual.predict(images, verbose=0))
    block = plain.get_layer("stage1_block2")
    block.conv2.bn.gamma.assign(np.zeros_like(block.conv2.bn.gamma))
    assert not block(np.ones((1, 4, 4, 8), "float32")).numpy().any()


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        ("resnet50", {"shortcut": "none"}, "resnet50 is no network of two 3x3"),
        ("wrn16_4", {"shortcut": "none"}, "wrn16_4 is no network of two 3x3"),
        ("resnet20", {"shortcut": "none", "zero_init_residual": True}, "would cut the network"),
        ("resnet20", {"branches": ("3x3",)}, "resnet20 has no Inception modules"),
        ("inception_small", {"branches": ("5x5",)}, "inception_small has 1x1, 3x3"),
        ("inception_small", {"shortcut": "none"}, "inception_small has no such choice"),
    ],
)
def test_what_cannot_be_left_out(arch, options, message):
    with pytest.raises(UserError, match=message):
        models.build(arch, SHAPE, 10, **options)


def test_branches_go_and_reductions_stay():
    row = tables.row("inception_small")
    found = branches.only(row, "inception_small", ("3x3",))
    assert [len(chain) for chain in found.stages] == [len(chain) for chain in row.stages]
    assert found.stages[0][0] == (((32, 3),),)
    assert found.stages[1][0] == row.stages[1][0], "a reduction"
    both = branches.only(row, "inception_small", ("1x1", "3x3"))
    assert both == row


def test_branches_are_called_by_their_largest_kernel():
    found = branches.only(tables.row("googlenet"), "googlenet", ("5x5", "pool_proj"))
    module = found.stages[0][0]
    assert [branch[-1][0] for branch in module] == [32, 32], "16 -> 32 of 5x5, and the 32 behind the pooling"
    with pytest.raises(UserError, match="a module of inception_v3 has 1x1, 7x7, 7x7b, pool_proj only"):
        branches.only(tables.row("inception_v3"), "inception_v3", ("3x3",))
