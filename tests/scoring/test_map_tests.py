"""The numbers that say whether a map can be trusted."""

import keras
import numpy as np
import pytest

from kerascnn import models
from kerascnn.artefacts.opening import probabilities_of
from kerascnn.scoring import class_maps, grad_cam, map_tests
from tests.scoring.test_grad_cam import looks_at_a_corner


@pytest.fixture(scope="module")
def red() -> tuple[keras.Model, np.ndarray]:
    """Images that are red in the corner at which a network looks."""
    images = np.zeros((40, 16, 16, 3), "uint8")
    images[:, :8, :8, 0] = 255
    return looks_at_a_corner(), images


def test_hiding_what_matters_hurts_more_than_hiding_elsewhere(red: tuple[keras.Model, np.ndarray]) -> None:
    model, images = red
    heat = grad_cam.grad_cam(model, images)
    found = map_tests.deletion(probabilities_of(model), images, heat)
    assert found.hottest.value < found.elsewhere.value <= found.before.value + 1e-6
    assert found.drop.low > 0
    assert found.drop.n == 40
    assert found.hottest.value < found.scattered.value < found.before.value
    upside_down = map_tests.deletion(probabilities_of(model), images, 1 - heat)
    assert upside_down.drop.value < found.drop.value


def test_curves_begin_and_end_at_the_image_and_at_gray(red: tuple[keras.Model, np.ndarray]) -> None:
    model, images = red
    infer, heat = probabilities_of(model), grad_cam.grad_cam(model, images)
    found = map_tests.curves(infer, images, heat)
    assert found.deletion.shape == found.insertion.shape == (40, map_tests.STEPS + 1)
    whole, grey = infer(images.astype("float32"))[:, 0], infer(np.full(images.shape, map_tests.GREY, "float32"))[:, 0]
    for curve, first, last in ((found.deletion, whole, grey), (found.insertion, grey, whole)):
        np.testing.assert_allclose(curve[:, 0], first, rtol=1e-5)
        np.testing.assert_allclose(curve[:, -1], last, rtol=1e-5)
    # The red quarter is gray after three tenths, and the green one still black: logits of 1 and 0.
    np.testing.assert_allclose(found.deletion[:, 3], 1 / (1 + np.exp(-1)), atol=0.01)
    deletion, insertion = found.areas()
    assert (deletion < insertion).all()


def test_areas_gain_over_shifted_maps_only_where_the_map_is_right(red: tuple[keras.Model, np.ndarray]) -> None:
    model, images = red
    infer, heat = probabilities_of(model), grad_cam.grad_cam(model, images)
    right = map_tests.curve_areas(infer, images, heat)
    wrong = map_tests.curve_areas(infer, images, 1 - heat)
    assert right.deletion_gain.low > 0
    assert right.insertion_gain.low > 0
    assert wrong.deletion_gain.high < 0
    assert wrong.insertion_gain.high < 0


def test_the_hottest_position_hits_or_misses() -> None:
    heat = np.zeros((3, 4, 4), "float32")
    heat[0, 1, 2] = heat[1, 3, 3] = 1
    inside = np.zeros((3, 4, 4), bool)
    inside[:, :2] = True
    assert map_tests.hits(heat, inside).tolist() == [True, False, False], "an empty map hits nothing"


@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])
def test_a_random_head_gives_other_maps(method: str, resnet: tuple[keras.Model, np.ndarray]) -> None:
    model, images = resnet
    kept = model.get_layer("logits").get_weights()

    def maps(*given):
        return class_maps.class_maps(*given, method=method)

    found = map_tests.head_matters(model, images, maps(model, images), maps)
    assert found is not None
    assert found.value < 0.9
    for before, after in zip(kept, model.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.fixture(scope="module")
def resnet() -> tuple[keras.Model, np.ndarray]:
    keras.utils.set_random_seed(0)
    model = models.build("resnet20", (32, 32, 3), 10, width=0.25)
    return model, np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
