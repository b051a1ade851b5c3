"""What the four questions are answered by measures what it says."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from experiments import why_measures as measures
from kerascnn import models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype="uint8")


LABELS = np.arange(6) % 3


def tiny(kernel):
    """One convolution between pixels and logits."""
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, kernel, padding="same", name="stage1_block1")(pixels)
    x = keras.layers.Identity(name="stage1")(x)
    return keras.Model(pixels, keras.layers.Dense(3, name="logits")(keras.layers.GlobalAveragePooling2D()(x)))


def test_reach_is_the_spread_of_what_is_seen(images):
    assert measures.reach(tiny(1), images) == pytest.approx(0, abs=1e-6)
    near, far = (measures.reach(tiny(kernel), images) for kernel in (3, 7))
    assert 0.5 < near < 1.5, "a 3x3 kernel of equal weights has sqrt(4/3)"
    assert far > 1.5 * near


def test_a_block_that_does_nothing_is_not_missed(images):
    """A block whose last normalization is 0 is the identity behind a ReLU: without it nothing changes."""
    keras.utils.set_random_seed(3)
    model = models.build("resnet20", (16, 16, 3), 3, width=0.25, blocks=(2, 1, 1), zero_init_residual=True)
    model.get_layer("stage1_block1").conv2.bn.gamma.assign(np.full(8, 2.0, "float32"))
    found = measures.without_blocks(model, images, LABELS)
    assert set(found) == {"whole", "stage1_block1", "stage1_block2"}, "the others change the shape"
    assert found["stage1_block2"] == found["whole"]
    answers = model.predict(images.astype("float32"), verbose=0).argmax(axis=1)
    assert found["whole"] == pytest.approx((answers == LABELS).mean())


def test_gradient_norms_are_those_of_the_loss(images):
    model = models.build("resnet20", (16, 16, 3), 3, width=0.25, blocks=(1, 1, 1))
    norms = measures.gradient_norms(model, images, LABELS)
    assert list(norms) == ["stem_1", "stage1_block1", "stage2_block1", "stage3_block1", "logits"]
    assert all(norm > 0 for norm in norms.values())
    logits = model(images.astype("float32"), training=True).numpy().astype("float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(3)[LABELS]
    features = keras.Model(model.inputs[0], model.get_layer("pool").output)(
        images.astype("float32"), training=True
    ).numpy()
    expected = np.sqrt(((features.T @ shares / 6) ** 2).sum() + (shares.mean(axis=0) ** 2).sum())
    assert norms["logits"] == pytest.approx(expected, rel=1e-3)
    stages = measures.by_stage({"stage1_block1": 3.0, "stage1_block2": 4.0, "logits": 1.0})
    assert stages == {"stage1": 5.0, "logits": 1.0}


def test_zoom_keeps_the_middle():
    image = np.zeros((1, 16, 16, 3), "uint8")
    image[:, 4:12, 4:12] = 200
    np.testing.assert_allclose(measures.zoomed(image, 1.0), image)
    small, large = (measures.zoomed(image, factor)[0, :, :, 0] for factor in (0.5, 2.0))
    assert small.shape == large.shape == (16, 16)
    assert small[6:10, 6:10].min() > 150
    assert small[:4].max() == 0, "black around what became smaller"
    assert large.min() > 90, "the square fills the image"


def test_every_network_has_its_counterpart():
    from experiments import why

    names = [network.name for network in why.networks((20, 56))]
    assert names == ["residual 20", "plain 20", "residual 56", "plain 56", "1x1 and 3x3", "3x3 alone", "1x1 alone"]


@pytest.mark.slow
def test_the_whole_study_small_and_again(tmp_path):
    """The second time nothing is trained; words between the tables stay."""
    command = [sys.executable, "-m", "experiments.why", "--epochs", "1", "--fraction", "0.02", "--seeds", "2"]
    command += ["--depths", "20", "--runs-dir", str(tmp_path / "runs"), "--out-dir", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    page = tmp_path / "why.md"
    page.write_text(page.read_text().replace("## Why residual?\n", "## Why residual?\n\nBecause.\n"))
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "epoch 1/1" in first.stdout
    assert "epoch 1/1" not in again.stdout
    assert "Because." in page.read_text()
    assert (tmp_path / "why.png").stat().st_size > 10_000


def test_no_share_lies_outside_of_0_and_1():
    """Three seeds at 2, 30 and 98 % have an interval that a share cannot have; two seeds have none."""
    from experiments import why_tables
    from kerascnn.statistics import SHARE

    rows = {seed: {"accuracy": value} for seed, value in enumerate((0.02, 0.3, 0.98))}
    found = why_tables.over_seeds(rows, lambda row: row["accuracy"], SHARE)
    assert (found.low, found.high) == (0, 1)
    del rows[2]
    assert why_tables.over_seeds(rows, lambda row: row["accuracy"], SHARE) == "2.00 %, 30.00 %"
