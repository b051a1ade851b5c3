"""Branches as rows, grids of windows, and what the layers refuse."""

import numpy as np
import pytest

from kerascnn import layers


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def test_branches_stand_in_the_rows_order():
    block = layers.InceptionBlock([[["max", 3]], [[4, 1], [[[2, [1, 3]]], [[3, [3, 1]]]]]])
    x = images(2, 6, 6, 5)
    y = block(x)
    assert y.shape[-1] == 5 + 2 + 3
    np.testing.assert_array_equal(y[..., :5], layers.Pool2D("max", 3)(x))
    kernels = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in block.weights if weight.name == "kernel"}
    assert kernels == {
        "branch2_1/conv/kernel": (1, 1, 5, 4),
        "branch2_2/branch1_1/conv/kernel": (1, 3, 4, 2),
        "branch2_2/branch2_1/conv/kernel": (3, 1, 4, 3),
    }


def test_rows_survive_json():
    block = layers.InceptionBlock((((2, (1, 3), 1, "valid"),), ((3, (1, 3), 1, "valid"), ("avg", 3, 1, "zeros"))))
    assert layers.InceptionBlock.from_config(block.get_config()).branches == block.branches


def test_branches_of_different_sizes():
    with pytest.raises(ValueError, match=r"end in different sizes: .*\(4, 4\).*\(3, 3\)"):
        layers.InceptionBlock((((2, 3, 2),), ((2, 3, 2, "valid"),))).build((None, 8, 8, 3))


@pytest.mark.parametrize("branches", [(), ((),), (((2, 1),), ())])
def test_empty_branches(branches):
    with pytest.raises(ValueError, match="at least one step"):
        layers.InceptionBlock(branches)


def test_inception_residual_scales_and_adds():
    layer = layers.InceptionResidual((((3, 1),),), residual_scale=0.5, activation=None)
    x = images(2, 4, 4, 6)
    layer(x)
    layer.project.set_weights([np.zeros((1, 1, 3, 6)), np.full(6, 2.0)])
    np.testing.assert_allclose(layer(x), x + 1.0, rtol=1e-6)


def test_grid_of_the_papers_windows():
    x = images(2, 14, 17, 3)
    paper = layers.GridPool(4, window=(5, 3))(x).numpy()
    np.testing.assert_allclose(paper[:, 1, 0], x[:, 3:8, 0:5].mean((1, 2)), rtol=1e-4, atol=1e-6)
    assert layers.GridPool(5, window=(5, 3))(images(1, 17, 17, 1)).shape == (1, 5, 5, 1)


@pytest.mark.parametrize("side", [2, 4, 9, 13])
def test_grid_of_any_size_is_torchs_adaptive_pooling(side):
    x = images(1, side, side, 2)
    y = layers.GridPool(4, window=(5, 3) if side < 14 else None)(x).numpy()
    edges = [(i * side // 4, -(-(i + 1) * side // 4)) for i in range(4)]
    expected = [[x[0, a:b, c:d].mean((0, 1)) for c, d in edges] for a, b in edges]
    np.testing.assert_allclose(y[0], expected, rtol=1e-4, atol=1e-6)


def test_grid_needs_a_size():
    with pytest.raises(ValueError, match="known height and width"):
        layers.GridPool(4).build((None, None, None, 3))


def test_auxiliary_head_is_float32():
    head = layers.AuxiliaryHead(7, ((4, 1),), 4, hidden=5, dropout=0.7, dtype="mixed_bfloat16")
    y = head(images(2, 8, 8, 3))
    assert y.dtype == "float32"
    assert head.chain[1].bn.compute_dtype == "bfloat16"
