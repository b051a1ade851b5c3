"""Augmentations: what each does to pixels and labels, and that draws are owned by name and spread evenly."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from kerascnn.config import Augment, choices
from kerascnn.config.images import AugmentName
from kerascnn.data import augment, mixing
from kerascnn.data.augment import AUGMENTATIONS

SIZE, BATCH = 24, 400
DEFAULTS = Augment()


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype="uint8"))


def run(name, images, section=DEFAULTS, seed=0, epoch=0):
    index = tf.range(len(images), dtype=tf.int64)
    epochs = tf.fill([len(images)], tf.constant(epoch, tf.int64))
    function = mixing.mix if AUGMENTATIONS[name].stage == "batch" else augment.vary
    return function(images, (name,), section, seed, epochs, index)


def uniform(name="flip", seed=0, epoch=0, count=20_000, columns=2):
    index = tf.range(count, dtype=tf.int64)
    return augment.draws(name, seed, tf.fill([count], tf.constant(epoch, tf.int64)), index, columns).numpy()


def test_the_names_are_those_of_the_config():
    assert set(AUGMENTATIONS) == set(choices(AugmentName)) - {"auto", "none"}


def test_auto_depends_on_the_size():
    assert augment.chosen(Augment(), 32) == ("shift", "flip")
    assert augment.chosen(Augment(), 65) == ("resized_crop", "flip")
    assert augment.chosen(Augment(augment=("none",)), 65) == ()


def test_draws_are_uniform_and_independent():
    u = uniform()
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u[:, 0], "uniform").pvalue > 1e-3
    others = [uniform(epoch=1), uniform(seed=1), uniform("shift"), np.roll(u, 1, axis=0)]
    for other in (*(other[:, 0] for other in others), u[:, 1]):
        assert abs(np.corrcoef(u[:, 0], other)[0, 1]) < 0.03


def test_draws_do_not_depend_on_how_many_are_taken_or_on_the_batch():
    np.testing.assert_array_equal(uniform(columns=1), uniform(columns=3)[:, :1])
    np.testing.assert_array_equal(uniform(count=10), uniform()[:10])


NOTATED = ("rand-m9-mstd0.5-inc1-n2", "erase-pixel-p1")


@pytest.mark.parametrize("name", NOTATED)
def test_what_is_notated_depends_on_the_image_alone(name, images):
    """Not on the batch, its order or the number of threads: what a resumed run and several machines rest on."""
    vary = tf.function(augment.vary, autograph=False)

    def result(index, epoch=0):
        index = np.array(index, "int64")
        epochs = tf.fill([len(index)], tf.constant(epoch, tf.int64))
        return vary(tf.gather(images, index), (name,), DEFAULTS, 0, epochs, tf.constant(index)).numpy()

    whole = result(range(24))
    assert whole.dtype == np.uint8
    order = np.random.default_rng(0).permutation(24)
    np.testing.assert_array_equal(result(order), whole[order])
    assert (result(range(24), epoch=1) != whole).any()


def test_two_strengths_have_the_same_draws():
    index, epoch = tf.range(50, dtype=tf.int64), tf.zeros([50], tf.int64)
    weak, strong = (augment.drawn(f"rand-m{m}", 0, epoch, index).numpy() for m in (3, 9))
    np.testing.assert_array_equal(weak, strong)


def test_hue_turns_colors_and_leaves_gray(images):
    section = Augment(color=1e-6, hue=0.5)
    out = run("color", images, section).numpy().astype(int)
    assert abs(out.max(-1) - images.numpy().astype(int).max(-1)).max() <= 1  # value stays
    assert abs(out.min(-1) - images.numpy().astype(int).min(-1)).max() <= 1
    assert abs(out - images.numpy()).mean() > 20
    gray = tf.fill([8, SIZE, SIZE, 3], tf.constant(99, tf.uint8))
    np.testing.assert_array_equal(run("color", gray, section).numpy(), gray.numpy())


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_uint8_in_uint8_out_repeatable_and_different_in_each_epoch(name, images):
    def result(**options):
        out = run(name, images, **options)
        return (out[0] if isinstance(out, tuple) else out).numpy()

    first = result()
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, result())
    assert (first != result(epoch=1)).any()
    assert (first != result(seed=1)).any()


@pytest.mark.parametrize(("name", "axis"), [("flip", 2), ("flip_vertical", 1)])
def test_flip_mirrors_half_of_them(images, name, axis):
    out = run(name, images).numpy()
    same = (out == images.numpy()).all(axis=(1, 2, 3))
    mirrored = (out == np.flip(images.numpy(), axis)).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert same.mean() == pytest.approx(0.5, abs=0.1)


def test_flip_shows_the_other_side_in_every_second_epoch(images):
    first, second, third, fourth = (run("flip", images, epoch=epoch).numpy() for epoch in range(4))
    np.testing.assert_array_equal(second, first[:, :, ::-1])
    np.testing.assert_array_equal(fourth, third[:, :, ::-1])
    assert (third != first).any()
    assert (third != second).any()


def test_shift_moves_by_whole_pixels_with_zeros(images):
    out, most = run("shift", images, Augment(shift=0.125)).numpy(), 3
    padded = np.pad(images.numpy(), [(0, 0), (most, most), (most, most), (0, 0)])
    seen = set()
    for image, frame in zip(out, padded, strict=True):
        places = [
            (y, x)
            for y in range(2 * most + 1)
            for x in range(2 * most + 1)
            if (frame[y : y + SIZE, x : x + SIZE] == image).all()
        ]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 49


def test_windows_have_the_area_and_aspect_that_were_asked_for():
    u = tf.constant(np.random.default_rng(1).random((4000, 4)), tf.float32)
    for height, width in ((300, 400), (100, 400), (400, 100)):
        sides = tf.fill([4000], height), tf.fill([4000], width)
        top, left, down, across = (v.numpy() for v in augment.window(u, *sides, Augment(crop_area=(0.35, 1.0))))
        assert (top >= 0).all()
        assert (left >= 0).all()
        assert (top + down <= height).all()
        assert (left + across <= width).all()
        aspect = across / down
        assert aspect.min() > 0.72
        assert aspect.max() < 1.37
        if (height, width) == (300, 400):
            assert (down * across).min() > 0.34 * height * width
            assert (down * across).max() > 0.95 * height * width
            assert (top + down == height).any()
            assert (left == 0).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2)])
def test_windows_of_tiny_images_have_a_pixel(shape):
    u = tf.constant(np.random.default_rng(1).random((500, 4)), tf.float32)
    top, left, down, across = augment.window(u, tf.fill([500], shape[0]), tf.fill([500], shape[1]), DEFAULTS)
    assert min(down.numpy().min(), across.numpy().min()) >= 1
    assert (top + down).numpy().max() <= shape[0]
    assert (left + across).numpy().max() <= shape[1]


def test_a_crop_of_everything_changes_nothing(images):
    whole = tf.constant([[1 - 2**-24, np.log(4 / 3) / np.log(16 / 9), 0.0, 0.0]] * BATCH, tf.float32)
    out = augment.resized_crop(images, whole, Augment(crop_area=(1.0, 1.0)))
    np.testing.assert_array_equal(out.numpy(), images.numpy())


@pytest.mark.parametrize(("kind", "border"), [("bilinear", 1), ("bicubic", 0)])
def test_a_crop_in_memory_is_the_crop_of_a_decoded_image(kind, border):
    section = Augment(crop_interpolation=kind)
    photo = tf.constant(np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype="uint8"))
    photo = tf.cast(tf.image.resize(photo, [48, 48], "bicubic"), tf.uint8)
    u = tf.constant([[0.3, 0.6, 0.4, 0.7]])
    one = augment.cropped(tf.io.encode_png(photo[0]), u[0], 48, section).numpy().astype(int)
    table = augment.resized_crop(photo, u, section).numpy()[0].astype(int)
    inner = slice(border, 48 - border)
    assert abs(one - table)[inner, inner].max() <= border  # at its edge the table's crop still sees the pixels beyond


def test_color_keeps_grey_grey_and_stays_within_its_strength():
    grey = tf.fill([BATCH, SIZE, SIZE, 3], tf.constant(100, tf.uint8))
    out = run("color", grey, Augment(color=0.4)).numpy()
    assert np.ptp(out, axis=(1, 2, 3)).max() == 0
    assert 60 <= out.min() < 65
    assert 135 < out.max() <= 140


def test_color_does_not_depend_on_the_batch(images):
    index = tf.range(8, dtype=tf.int64)
    alone = augment.vary(images[:8], ("color",), DEFAULTS, 0, tf.zeros([8], tf.int64), index)
    np.testing.assert_array_equal(alone.numpy(), run("color", images).numpy()[:8])


def test_grayscale_turns_a_tenth_grey(images):
    out = run("grayscale", images).numpy()
    grey = np.ptp(out, axis=3).max(axis=(1, 2)) == 0
    assert grey.mean() == pytest.approx(0.1, abs=0.05)
    luma = images.numpy()[grey] @ [0.299, 0.587, 0.114]
    assert abs(out[grey][..., 0] - luma).max() <= 0.51
    np.testing.assert_array_equal(out[~grey], images.numpy()[~grey])


def test_cutout_hides_a_square(images):
    hidden = (run("cutout", images, Augment(cutout=0.5)).numpy() == 128).all(axis=3)
    area = hidden.mean(axis=(1, 2))
    assert area.max() == pytest.approx(0.25, abs=0.01)
    assert area.min() > 0.05


def test_mixup_blends_images_by_the_share(images):
    mixed, share = (part.numpy() for part in run("mixup", images, Augment(mixup=0.2)))
    own, other = images.numpy().astype(float), np.roll(images.numpy(), 1, axis=0)
    expected = other + (own - other) * share[:, None, None, None]
    assert abs(mixed - expected).max() <= 0.51
    assert stats.kstest(share, stats.beta(0.2, 0.2).cdf).pvalue > 1e-3


def test_cutmix_pastes_a_square_of_one_minus_the_share(images):
    mixed, share = (part.numpy() for part in run("cutmix", images))
    other = np.roll(images.numpy(), 1, axis=0)
    own = (mixed == images.numpy()).all(axis=3)
    assert (own | (mixed == other).all(axis=3)).all()
    assert abs(own.mean(axis=(1, 2)) - share).max() < 0.01
    assert 0 <= share.min() < 0.3
    assert share.max() > 0.9


def test_mixup_and_cutmix_together_take_turns(images):
    index, epoch = tf.range(BATCH, dtype=tf.int64), tf.zeros([BATCH], tf.int64)
    both, share = mixing.mix(images, ("mixup", "cutmix"), DEFAULTS, 0, epoch, index)
    by_mixup = (share == run("mixup", images)[1]).numpy()
    by_cutmix = (share == run("cutmix", images)[1]).numpy()
    assert (by_mixup | by_cutmix).all()
    assert by_mixup.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(both.numpy()[by_cutmix], run("cutmix", images)[0].numpy()[by_cutmix])
