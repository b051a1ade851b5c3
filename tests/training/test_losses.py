"""Losses against their formulas in float64, and a run with another loss, sampling and repeats."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import artefacts, data, training
from kerascnn.artefacts.opening import load_keras
from kerascnn.config import Config, Optim
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring.task import MULTI, SINGLE
from kerascnn.training import losses

BATCH, CLASSES = 6, 4
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (BATCH, CLASSES))
ONE = np.eye(CLASSES)[RNG.integers(0, CLASSES, BATCH)]
SOFT = 0.7 * ONE + 0.3 * np.roll(ONE, 1, axis=0)  # as mixup makes them
SEVERAL = RNG.integers(0, 2, (BATCH, CLASSES)).astype(float)
P = 1 / (1 + np.exp(-LOGITS))
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def bce(y: np.ndarray) -> np.ndarray:
    return -(y * np.log(P) + (1 - y) * np.log(1 - P))


def focal(y: np.ndarray, gamma: float = 2, alpha: float = 0.25) -> np.ndarray:
    """Lin et al. (2017), equation 5, with soft targets."""
    return -(y * alpha * (1 - P) ** gamma * np.log(P) + (1 - y) * (1 - alpha) * P**gamma * np.log(1 - P))


def asymmetric_several(y: np.ndarray, negative: float, positive: float, clip: float) -> np.ndarray:
    """Ridnik et al. (2021), equations 4 to 6, for hard targets."""
    moved = np.maximum(P - clip, 0)
    return np.where(y == 1, -((1 - P) ** positive) * np.log(P), -(moved**negative) * np.log(1 - moved))


def asymmetric_one(y: np.ndarray, negative: float, positive: float) -> np.ndarray:
    """Their loss of one label per image without smoothing: only the right class counts."""
    return np.where(y == 1, -((1 - SOFTMAX) ** positive) * np.log(SOFTMAX), 0.0)


def value(task, y: np.ndarray, weights: np.ndarray | None = None, **fields) -> float:
    loss = losses.build(Optim(**fields), task)
    return float(loss(y.astype("float32"), LOGITS.astype("float32"), weights))


@pytest.mark.parametrize(
    ("task", "y", "fields", "expected"),
    [
        (SINGLE, SOFT, {}, -(SOFT * np.log(SOFTMAX)).sum(axis=1).mean()),
        (SINGLE, SOFT, {"loss": "softmax"}, -(SOFT * np.log(SOFTMAX)).sum(axis=1).mean()),
        (SINGLE, SOFT, {"loss": "bce"}, bce(SOFT).mean()),
        (SINGLE, SOFT, {"loss": "bce", "bce_sum": True}, bce(SOFT).sum(axis=1).mean()),
        (SINGLE, SOFT, {"loss": "bce", "bce_threshold": 0.2}, bce(SOFT > 0.2).mean()),
        (SINGLE, SOFT, {"loss": "bce", "bce_threshold": 0.5}, bce(SOFT > 0.5).mean()),
        (SINGLE, SOFT, {"loss": "focal"}, focal(SOFT).sum(axis=1).mean()),
        (SINGLE, ONE, {"loss": "focal", "focal_gamma": 0, "focal_alpha": 0.5}, bce(ONE).sum(axis=1).mean() / 2),
        (SINGLE, ONE, {"loss": "asymmetric"}, asymmetric_one(ONE, 4, 1).sum(axis=1).mean()),
        (MULTI, SEVERAL, {}, bce(SEVERAL).mean()),
        (MULTI, SEVERAL, {"loss": "focal", "focal_gamma": 3}, focal(SEVERAL, 3).sum(axis=1).mean()),
        (MULTI, SEVERAL, {"loss": "asymmetric"}, asymmetric_several(SEVERAL, 4, 1, 0.05).sum(axis=1).mean()),
        (
            MULTI,
            SEVERAL,
            {"loss": "asymmetric", "asymmetric_gamma": (0, 0), "asymmetric_clip": 0},
            bce(SEVERAL).sum(axis=1).mean(),
        ),
        (
            MULTI,
            SEVERAL,
            {"loss": "asymmetric", "asymmetric_gamma": (2, 0), "asymmetric_clip": 0.2},
            asymmetric_several(SEVERAL, 2, 0, 0.2).sum(axis=1).mean(),
        ),
    ],
)
def test_losses_are_their_formulas(task, y: np.ndarray, fields: dict, expected: float) -> None:
    assert value(task, y, **fields) == pytest.approx(expected, rel=1e-5)


def test_keras_agrees_about_focal() -> None:
    theirs = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True, reduction="sum_over_batch_size"
    )
    expected = float(theirs(ONE.astype("float32"), LOGITS.astype("float32"))) * CLASSES
    assert value(SINGLE, ONE, loss="focal") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["softmax", "bce", "focal", "asymmetric"])
def test_weights_of_images_and_config(name: str) -> None:
    weights = RNG.uniform(0, 2, BATCH).astype("float32")
    apiece = [_image(name, i) for i in range(BATCH)]
    assert value(SINGLE, ONE, weights, loss=name) == pytest.approx(np.mean(weights * apiece), rel=1e-5)
    loss = losses.build(Optim(loss=name), SINGLE)
    again = type(loss).from_config(loss.get_config())
    assert float(again(ONE.astype("float32"), LOGITS.astype("float32"))) == value(SINGLE, ONE, loss=name)


def _image(name: str, i: int) -> float:
    loss = losses.build(Optim(loss=name), SINGLE)
    return float(loss(ONE[i : i + 1].astype("float32"), LOGITS[i : i + 1].astype("float32")))


@pytest.mark.parametrize("name", ["bce", "focal", "asymmetric"])
@pytest.mark.parametrize("task", [SINGLE, MULTI])
def test_gradients_are_finite_where_the_network_is_sure(name: str, task) -> None:
    sure = tf.Variable(np.where(ONE > 0, 60.0, -60.0).astype("float32"))
    loss = losses.build(Optim(loss=name, asymmetric_gamma=(0.5, 0.0)), task)
    for y in (ONE, 1 - ONE):
        with tf.GradientTape() as tape:
            found = loss(y.astype("float32"), sure)
        assert np.isfinite(found)
        assert np.isfinite(tape.gradient(found, sure)).all()


def test_what_a_task_does_not_have() -> None:
    assert losses.resolve(Optim(), SINGLE) == losses.resolve(Optim(loss="softmax"), SINGLE) == "auto"
    assert losses.resolve(Optim(loss="bce"), MULTI) == "auto"
    assert losses.resolve(Optim(loss="bce"), SINGLE) == "bce"
    with pytest.raises(UserError, match="--loss softmax: one class per image"):
        losses.resolve(Optim(loss="softmax"), MULTI)
    with pytest.raises(UserError, match="--bce-sum is for --loss bce, and this run has softmax"):
        losses.resolve(Optim(bce_sum=True), SINGLE)
    with pytest.raises(UserError, match="--bce-threshold is for --loss bce, and this run has focal"):
        losses.resolve(Optim(loss="focal", bce_threshold=0.2), SINGLE)


@pytest.mark.training
def test_a_run_with_all_of_it(tmp_path: Path) -> None:
    base = Config(
        data={"fraction": 0.02},
        augment={"augment": ("flip", "mixup")},
        model={"arch": "resnet9", "width": 0.125},
        optim={"loss": "bce", "bce_threshold": 0.2, "warmup": 0},
        fit={"epochs": 1, "batch_size": 24, "low_res_epochs": 0, "sampling": "sqrt", "repeats": 3},
        devices={"dtype": "float32"},
    )
    splits = data.load(base.data)
    config = training.resolve(base, splits)
    assert isinstance(config, ResolvedConfig)
    whole = Run(tmp_path / "whole")
    training.train(config, whole, splits=splits, draw=False)
    counts = np.bincount(splits.train.labels)
    for row in whole.history():
        assert 0 < row["shown_least"] <= row["shown_most"] <= 2 * counts.max()
    images = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    logits = keras.ops.convert_to_numpy(load_keras(whole.best_model)(images.astype("float32"), training=False))
    sigmoids = 1 / (1 + np.exp(-logits.astype("float64")))
    found = artefacts.open(whole.path).predict(images)
    np.testing.assert_array_equal(found.argmax(axis=1), sigmoids.argmax(axis=1))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
