"""A first convolution that whitens patches of real images: what it computes, and that training leaves it alone."""

from pathlib import Path

import keras
import numpy as np
import pytest

from kerascnn import data, models, training
from kerascnn.architectures import networks, tables
from kerascnn.architectures.rows import ResNet
from kerascnn.architectures.shape import Shape
from kerascnn.architectures.steps import Conv
from kerascnn.config import Config
from kerascnn.data import Splits
from kerascnn.devices.plan import setup
from kerascnn.errors import UserError
from kerascnn.models import cost
from kerascnn.runs import Run
from kerascnn.training import whitening

pytestmark = pytest.mark.training

# 2.5 % of the embedded images: 134 to train on, 9 steps of 16. They are grey: their patches vary in 9 directions of 27.
BASE = Config(
    data={"fraction": 0.025},
    model={"arch": "resnet9", "width": 0.5, "whiten": True},
    optim={"warmup": 0, "lr": 0.05},
    fit={"epochs": 2, "batch_size": 16},
    devices={"dtype": "float32"},
)
GREY = 9


@pytest.fixture(scope="module")
def splits() -> Splits:
    return data.load(BASE.data)


def test_rows_whiten_and_nothing_is_made_of_rounding() -> None:
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(4000, 5)) @ rng.normal(size=(5, 6))  # in five directions of six
    covariance = patches.T @ patches / len(patches)
    rows = whitening.whitening(covariance)
    assert rows.shape == (5, 6)
    np.testing.assert_allclose(rows @ covariance @ rows.T, np.eye(5), atol=0.02)  # 0.02: EPSILON beside the smallest
    variances = 1 / np.square(np.linalg.norm(rows, axis=1))
    assert (np.diff(variances) < 0).all()


def test_few_images_suffice(splits: Splits) -> None:
    assert len(list(whitening.batches(splits, BASE.fit))) == 9


def test_outputs_are_uncorrelated_pairs(splits: Splits) -> None:
    network = models.build("resnet9", (32, 32, 3), 10, width=0.5)
    layer = whitening.convolution(network)
    before = np.array(layer.kernel)
    images = whitening.batches(splits, BASE.fit)
    line = whitening.whiten(network, images)
    assert f"{GREY} of 27 directions" in line
    kernel = np.array(layer.kernel)
    np.testing.assert_array_equal(kernel[..., :GREY], -kernel[..., GREY : 2 * GREY])
    np.testing.assert_array_equal(kernel[..., 2 * GREY :], before[..., 2 * GREY :])
    inside = keras.Model(network.inputs, layer(network.get_layer("preprocess").output))
    seen = np.concatenate([np.array(inside(batch))[:, 1:-1, 1:-1, :GREY] for batch, *_ in images]).reshape(-1, GREY)
    moments = seen.T @ seen / len(seen)
    np.testing.assert_allclose(moments, np.diag(np.diag(moments)), atol=1e-3)
    assert np.diag(moments).min() > 0.9
    assert np.diag(moments).max() < 1.001


@pytest.mark.parametrize("arch", tables.ARCHS)
def test_every_arch_begins_with_a_convolution_of_the_pixels(arch: str) -> None:
    """As its description has it, which tests/models/test_description.py compares with what is built."""
    first, *_ = networks.network(networks.concrete(arch, Shape(), (None, None))).stem
    assert isinstance(first, Conv)
    assert first.name == "stem_1"
    assert first.groups == 1


# One for each kind of first convolution: with and without a normalization, a ReLU and a bias, of both families.
@pytest.mark.parametrize(
    "arch", ["resnet20", "wrn16_4", "resnet50_keras", "resnetv2_50_keras", "resnet_article", "inception_small"]
)
def test_the_first_convolution_is_found_in_a_network(arch: str) -> None:
    row = tables.ARCHS[arch]
    shallow = {"blocks": (1,) * len(row.depths)} if isinstance(row, ResNet) else {}  # the stem does not know the depth
    with cost.weightless():
        layer = whitening.convolution(models.build(arch, (row.image_size, row.image_size, 3), 10, **shallow))
    assert isinstance(layer, keras.layers.Conv2D)
    assert layer.kernel.shape[2] == 3


def test_the_normalization_behind_it_has_the_statistics_of_the_images(splits: Splits) -> None:
    """Also of the filters that are left as they began, which the grey images leave fourteen of."""
    network = models.build("resnet9", (32, 32, 3), 10, width=0.5)
    images = whitening.batches(splits, BASE.fit)
    whitening.whiten(network, images)
    stem = whitening.stem(network)
    before_relu = keras.Model(network.inputs, stem.bn(stem.conv(network.get_layer("preprocess").output)))
    seen = np.concatenate([np.array(before_relu(batch)) for batch, *_ in images]).reshape(-1, 32)
    np.testing.assert_allclose(seen.mean(0), 0, atol=0.01)
    np.testing.assert_allclose(seen.std(0), 1, atol=0.01)


def test_no_gradient_reaches_the_stem(splits: Splits) -> None:
    plan = setup(BASE.devices, BASE.fit.batch_size)
    model = training.build_and_compile(training.resolve(BASE, splits), splits, plan)
    trained = {variable.path for variable in model.trainable_variables}
    assert trained
    assert not trained & {variable.path for variable in whitening.stem(training.network_of(model)).variables}


@pytest.mark.slow
def test_training_and_resuming_leave_it_alone(tmp_path: Path, splits: Splits) -> None:
    config = training.resolve(BASE, splits)
    kernels, ends = [], []
    for name, rungs in (("once", (2,)), ("twice", (1, 2))):
        run = Run(tmp_path / name)
        for until in rungs:
            training.train(config, run, splits=splits, until=until, draw=False, read_test=False)
        network = keras.models.load_model(run.best_model, compile=False)
        kernels.append(np.array(whitening.convolution(network).kernel))
        ends.append([row["loss"] for row in run.history()])
        assert run.log_file.read_text().count("whiten ") == 1
    np.testing.assert_array_equal(*kernels)
    np.testing.assert_array_equal(kernels[0][..., :GREY], -kernels[0][..., GREY : 2 * GREY])
    assert ends[0] == ends[1]
    assert len(ends[0]) == 2


def test_weights_bring_a_first_convolution_of_their_own(splits: Splits) -> None:
    with pytest.raises(UserError, match=r"--whiten: the first convolution comes with --weights"):
        training.resolve(BASE.replace(model={"weights": "imagenet"}), splits)
