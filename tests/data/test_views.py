"""Views of training images for `--augmix-jsd`, and crops of random interpolation: pure functions of (seed, epoch, index)."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Augment, Data
from kerascnn.config.section import FieldError
from kerascnn.data import Splits, augment, load, pipeline, views

BATCH = 16
AUGMIX = Augment(augment=("shift", "augmix-m3-w1", "flip_vertical"), augmix_jsd=12)
ONE_VIEW = AUGMIX.model_copy(update={"augmix_jsd": 0.0})
WITHOUT = Augment(augment=("shift", "flip_vertical"))


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load(Data(fraction=0.01))


def batches(splits: Splits, section: Augment, start: int = 0) -> list[np.ndarray]:
    stream = pipeline.training(splits, augment=section, seed=3, batch_size=BATCH, start_step=start)
    return [images.numpy() for images, *_ in stream.take(4 - start)]


@pytest.mark.slow
def test_a_resumed_stream_has_the_same_views(splits: Splits) -> None:
    whole = batches(splits, AUGMIX)
    assert whole[0].shape[:2] == (BATCH, views.VIEWS)
    for one, other in zip(batches(splits, AUGMIX, start=2), whole[2:], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_first_view_lacks_augmix_and_the_second_is_that_of_a_training_without_views(splits: Splits) -> None:
    found = batches(splits, AUGMIX)[0]
    np.testing.assert_array_equal(found[:, 0], batches(splits, WITHOUT)[0])
    np.testing.assert_array_equal(found[:, 1], batches(splits, ONE_VIEW)[0])
    assert (found[:, 1] != found[:, 2]).any(axis=(1, 2, 3)).mean() > 0.8, "draws of their own"


def test_views_are_lined_up_one_after_the_other_and_shrunk_one_by_one() -> None:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (BATCH, views.VIEWS, 32, 32, 3), dtype=np.uint8))
    np.testing.assert_array_equal(views.joined(images)[BATCH : 2 * BATCH], images[:, 1])
    np.testing.assert_array_equal(views.first(images), images[:, 0])
    alone = images[:, 0]
    np.testing.assert_array_equal(views.joined(alone), alone)
    stream = tf.data.Dataset.from_tensors((images, tf.zeros([BATCH, 10]), tf.ones([BATCH])))
    small, (_, kept), _ = next(iter(pipeline.shrunk(stream, 16, keep=True)))
    np.testing.assert_array_equal(kept, alone)
    plain = tf.data.Dataset.from_tensors((images[:, 2], tf.zeros([BATCH, 10]), tf.ones([BATCH])))
    np.testing.assert_array_equal(small[:, 2], next(iter(pipeline.shrunk(plain, 16)))[0])


@pytest.mark.parametrize(
    ("names", "message"),
    [(("flip",), "not among --augment"), (("augmix-m3-w3", "cutmix"), "cutmix mixes two")],
)
def test_views_need_augmix_and_no_mixing(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        Augment(augment=names, augmix_jsd=12)


def test_random_interpolation_is_one_of_the_two_for_each_image() -> None:
    rng = np.random.default_rng(0)
    images = tf.constant(rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8))
    index = tf.range(24, dtype=tf.int64)
    u = augment.drawn("resized_crop", 0, tf.zeros_like(index), index)
    found = {
        kind: augment.resized_crop(images, u, Augment(crop_interpolation=kind)).numpy()
        for kind in ("bilinear", "bicubic", "random")
    }
    smooth = u[:, 4].numpy() >= 0.5
    assert 0 < smooth.sum() < 24
    np.testing.assert_array_equal(found["random"][smooth], found["bicubic"][smooth])
    np.testing.assert_array_equal(found["random"][~smooth], found["bilinear"][~smooth])
    png = tf.io.encode_png(images[0])
    for row in (int(smooth.argmax()), int(smooth.argmin())):
        kind = "bicubic" if smooth[row] else "bilinear"
        one, other = (
            augment.cropped(png, u[row], 32, Augment(crop_interpolation=word)).numpy() for word in ("random", kind)
        )
        np.testing.assert_array_equal(one, other)
