"""Every method on a network whose reasons are known, and what each one promises."""

from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerascnn import models
from kerascnn.errors import UserError
from kerascnn.prediction.predict_flags import MapName
from kerascnn.scoring import class_maps, grad_cam, pixel_maps
from tests.scoring.test_grad_cam import looks_at_a_corner


@pytest.fixture(scope="module")
def corner() -> keras.Model:
    return looks_at_a_corner()


@pytest.fixture(scope="module")
def resnet() -> tuple[keras.Model, np.ndarray]:
    keras.utils.set_random_seed(0)
    model = models.build("resnet20", (32, 32, 3), 4, width=0.25)
    return model, np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")


def test_the_flag_offers_every_method() -> None:
    assert get_args(MapName) == tuple(class_maps.METHODS)


@pytest.mark.parametrize("smooth", [0, 3])
@pytest.mark.parametrize("method", class_maps.METHODS)
def test_the_map_is_where_the_answer_comes_from(method: str, smooth: int, corner: keras.Model) -> None:
    images = np.full((2, 16, 16, 3), 255, "uint8")
    heat = class_maps.class_maps(corner, images, [0, 1], method, smooth=smooth)
    assert heat.dtype == np.float32
    assert heat.max() == 1
    assert heat[0, :8, :8].min() > 0.2
    assert heat[1, 8:, 8:].min() > 0.2
    # A square that hides the quarter's edge reaches a position beyond it.
    assert not heat[0, 9:].any()
    assert not heat[1, :7].any()


def test_the_weights_of_grad_cam_plus_plus_by_hand() -> None:
    """Features 1 and 3, gradient 2: shares 4 / (2 * 4 + 4 * 8) = 0.1, weight 2 * 0.1 * 2 = 0.4."""
    features = tf.constant([1.0, 3.0], shape=(1, 1, 2, 1))
    gradient = tf.fill((1, 1, 2, 1), 2.0)
    weighed = grad_cam._by_positive_gradient(features, gradient).numpy().ravel()
    np.testing.assert_allclose(weighed, [0.4, 1.2], rtol=1e-6)
    assert not grad_cam._by_positive_gradient(features, -gradient).numpy().any()


def test_before_a_pool_and_one_dense_layer_hires_cam_is_grad_cam(resnet: tuple[keras.Model, np.ndarray]) -> None:
    """Draelos and Carin, 2020, section 3.4; in earlier stages they differ."""
    maps = {
        stage: [one(*resnet, None, stage) for one in (grad_cam.grad_cam, grad_cam.hires_cam)]
        for stage in ("stage2", None)
    }
    np.testing.assert_allclose(*maps[None], atol=1e-5)
    assert not np.allclose(*maps["stage2"], atol=0.1)


def test_attributions_sum_to_the_difference_of_the_logits(resnet: tuple[keras.Model, np.ndarray]) -> None:
    """The axiom of completeness (Sundararajan et al., 2017, proposition 1)."""
    model, images = resnet
    classes = [2, 0, 1]
    pixels = np.stack([images, np.full_like(images, 0)]).astype("float32")
    pixels[1] = pixel_maps.GREY
    whole, grey = (model(one, training=False).numpy()[np.arange(3), classes] for one in pixels)
    found = pixel_maps.attributions(model, images, classes, steps=32).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found, whole - grey, atol=0.05 * np.abs(whole - grey).max())


@pytest.mark.parametrize("method", class_maps.METHODS)
def test_a_map_does_not_depend_on_its_batch(method: str, resnet: tuple[keras.Model, np.ndarray]) -> None:
    model, images = resnet
    weights = [one.copy() for one in model.get_weights()]
    both = class_maps.class_maps(model, images[:2], [1, 2], method, smooth=1)
    alone = class_maps.class_maps(model, images[1:2], [2], method, smooth=1)
    np.testing.assert_allclose(both[1:], alone, atol=1e-3)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_network_without_stages_has_maps_by_two_methods() -> None:
    images = keras.Input((16, 16, 3))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, keras.layers.Dense(2, name="logits")(flat))
    assert class_maps.offered(model) == ["integrated-gradients", "occlusion"]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), "uint8")
    for method in class_maps.offered(model):
        assert class_maps.class_maps(model, pixels, method=method).any()
    with pytest.raises(UserError, match="Layer-CAM has nothing to show; integrated-gradients, occlusion need none"):
        class_maps.class_maps(model, pixels, method="layer-cam")


@pytest.mark.slow
@pytest.mark.parametrize("arch", [*models.ARCHS, "keras:MobileNetV2", "keras:EfficientNetB0", "keras:DenseNet121"])
def test_every_method_explains_every_network(arch: str) -> None:
    options = {} if arch.startswith("keras:") else {"width": 0.25}
    model = models.build(arch, (96, 96, 3), 4, **options)
    images = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3), "uint8")
    assert class_maps.offered(model) == list(class_maps.METHODS)
    for method in class_maps.METHODS:
        heat = class_maps.class_maps(model, images, method=method)
        assert heat.shape == (1, 96, 96)
        assert np.isfinite(heat).all(), method
        assert heat.min() >= 0, method
        assert np.isclose(heat.max(), 1) or not heat.any(), method
