"""Grad-CAM on every kind of network, and the numbers that say whether a map can be trusted."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models
from kerascnn.errors import UserError
from kerascnn.scoring import grad_cam


@pytest.mark.parametrize("arch", ["resnet20", "inception_small"])
def test_maps_of_a_stage(arch) -> None:
    check_maps(arch, {"resnet20": "stage1"}.get(arch))


@pytest.mark.slow
@pytest.mark.parametrize("arch", models.ARCHS)
def test_maps_of_every_stage_of_every_network(arch) -> None:
    model = models.build(arch, (96, 96, 3), 4, width=0.25)
    for stage in grad_cam.stages(model):
        check_maps(arch, stage, 96)


def check_maps(arch: str, stage: str | None, size: int = 32) -> None:
    model = models.build(arch, (size, size, 3), 4, width=0.25)
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), "uint8")
    weights = [w.copy() for w in model.get_weights()]
    heat = grad_cam.grad_cam(model, images, stage=stage)
    assert heat.shape == (3, size, size)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert all(np.isclose(one.max(), 1) or not one.any() for one in heat)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_what_is_frozen_is_explained_too() -> None:
    model = models.build("resnet20", (32, 32, 3), 4, width=0.25)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), "uint8")
    learning = grad_cam.grad_cam(model, images)
    for layer in model.layers:
        layer.trainable = False
    np.testing.assert_allclose(grad_cam.grad_cam(model, images), learning, atol=1e-5)


def looks_at_a_corner() -> keras.Model:
    """A network whose answer is how red the upper left quarter is, or how green the lower right one."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    mask = np.zeros((16, 16, 2), "float32")
    mask[:8, :8, 0] = mask[8:, 8:, 1] = 1
    x = keras.layers.Lambda(lambda x: x[..., :2] * mask, output_shape=(16, 16, 2), name="stage1")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(images, keras.layers.Dense(2, name="logits")(x))
    model.get_layer("logits").set_weights([np.eye(2, dtype="float32") * 8, np.zeros(2, "float32")])
    return model


def test_the_map_is_where_the_answer_comes_from() -> None:
    model = looks_at_a_corner()
    images = np.full((2, 16, 16, 3), 255, "uint8")
    heat = grad_cam.grad_cam(model, images, [0, 1])
    assert heat[0, :8, :8].min() == 1
    assert not heat[0, 8:].any()
    assert heat[1, 8:, 8:].min() == 1
    assert not heat[1, :8].any()


def test_an_unknown_stage() -> None:
    model = models.build("resnet20", (32, 32, 3), 10, width=0.25)
    with pytest.raises(UserError, match="it has stage1, stage2, stage3"):
        grad_cam.grad_cam(model, np.zeros((1, 32, 32, 3)), stage="stage9")


def test_an_overlay_is_a_picture_that_shows_the_heat() -> None:
    heat = np.zeros((8, 8), "float32")
    heat[2, 3] = 1
    picture = grad_cam.overlay(np.full((8, 8, 3), 100, "uint8"), heat)
    assert picture.shape == (8, 8, 3)
    assert picture.dtype == np.uint8
    assert (picture[2, 3] != picture[0, 0]).any()
    assert tf.reduce_all(picture[0] == picture[1])
