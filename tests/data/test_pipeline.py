"""Batches: exact resume, each image once, full batches whose weighted mean is the mean over the images, damaged files."""

import io
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline, sampling, stream, trouble
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.cache import Cache
from kerascnn.data.splits import Split
from kerascnn.errors import Stopped, UserError
from tests.data.make_folder import make

ALL = tuple(AUGMENTATIONS)
PLAIN = Augment(augment=("none",))


@pytest.fixture(scope="module")
def embedded():
    return data.load(Data(fraction=0.01))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return str(make(tmp_path_factory.mktemp("photos") / "insects"))


def load(folder, **options):
    return data.load(Data(dataset=str(folder), image_size=40, resize="crop", **options))


def batches(splits, count, **options):
    options = {"augment": PLAIN, "seed": 7, "batch_size": 16, **options}
    return list(pipeline.training(splits, **options).take(count).as_numpy_iterator())


def assert_same(first, second):
    assert len(first) == len(second)
    for expected, got in zip(first, second, strict=True):
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_array_equal(a, b)


def rows(dataset):
    """Images, labels and weights of all batches."""
    return tuple(np.concatenate(parts) for parts in zip(*dataset.as_numpy_iterator(), strict=True))


EVERYTHING = {"augment": Augment(augment=ALL), "label_smoothing": 0.1, "class_weights": np.arange(10.0)}


@pytest.mark.parametrize("start", [1, 3, 4, 9])  # 54 images: the first epoch ends within the fourth batch
def test_starting_at_a_step_equals_getting_there(embedded, start):
    whole = batches(embedded, 12, **EVERYTHING)
    assert_same(whole[start:], batches(embedded, 12 - start, start_step=start, **EVERYTHING))


def test_starting_at_a_step_equals_getting_there_in_files(photos):
    options = {**EVERYTHING, "class_weights": None}
    whole = batches(load(photos), 9, **options)
    assert_same(whole[5:], batches(load(photos), 4, start_step=5, **options))


@pytest.mark.parametrize("augment", [PLAIN, Augment(augment=("resized_crop", "flip"))])
def test_what_is_cached_changes_nothing(photos, augment):
    streamed = batches(load(photos), 6, augment=augment)
    assert_same(streamed, batches(load(photos), 6, augment=augment, cache=Cache("memory")))


def test_threads_change_nothing(photos):
    def run(threads):
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.enabled = threads > 1
        dataset = pipeline.training(load(photos), augment=Augment(augment=ALL), seed=7, batch_size=16)
        return list(dataset.with_options(options).take(6).as_numpy_iterator())

    assert_same(run(1), run(8))


def test_each_epoch_shows_every_image_once(embedded):
    count = len(embedded.train)
    images = np.concatenate([batch[0] for batch in batches(embedded, pipeline.steps_per_epoch(3 * count, 16))])
    expected = sorted(
        image.tobytes() for image in embedded.train.source.fetch(tf.constant(embedded.train.indices)).numpy()
    )
    epochs = [images[i * count : (i + 1) * count] for i in range(3)]
    for epoch in epochs:
        assert sorted(image.tobytes() for image in epoch) == expected
    assert any(a.tobytes() != b.tobytes() for a, b in zip(epochs[0], epochs[1], strict=True))


def test_the_order_is_a_fair_shuffle():
    epoch_of = sampling.epoch_of(sampling.PLAIN, np.zeros(5, "int32"), seed=3, batch_size=5)
    orders = stream.order(epoch_of, 5, batch_size=5).take(600)
    counts = np.zeros((5, 5))
    for epoch, index in orders.as_numpy_iterator():
        assert len(set(epoch)) == 1
        counts[np.arange(5), index] += 1
    assert ((counts - 120) ** 2 / 120).sum() < 40  # chi-square, 16 degrees of freedom: p = 0.001


def test_smoothing_and_class_weights(embedded):
    (_, labels, weights), *_ = batches(embedded, 1, label_smoothing=0.1, class_weights=np.arange(10.0))
    np.testing.assert_allclose(np.sort(labels, axis=1)[:, -2:], [[0.01, 0.91]] * 16, rtol=1e-5)
    np.testing.assert_array_equal(weights, labels.argmax(axis=1))


def test_balanced_weights_are_finite_where_a_class_has_no_images(embedded):
    labels = np.array([0, 0, 0, 2], "int32")
    weights = pipeline.balanced(Split("train", embedded.train.source, np.arange(4), labels), 4)
    np.testing.assert_allclose(weights, [2 / 3, 0, 2, 0], rtol=1e-6)
    assert weights[labels].mean() == pytest.approx(1)


def test_mixing_mixes_labels_and_weights_alike(embedded):
    section = Augment(augment=("mixup", "cutmix"))
    plain, mixed = (
        batches(embedded, 1, augment=augment, class_weights=np.arange(10.0))[0] for augment in (PLAIN, section)
    )
    labels, weights = mixed[1:]
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(labels @ np.arange(10.0), weights, rtol=1e-4)
    both = (plain[1] > 0) | (np.roll(plain[1], 1, axis=0) > 0)
    assert (labels[~both] == 0).all()


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_scoring_shows_each_image_once_in_order(embedded, batch_size):
    dataset = pipeline.scoring(embedded.val, embedded, batch_size)
    images, labels, weights = rows(dataset)
    count = len(embedded.val)
    assert len(images) == dataset.cardinality() * batch_size
    assert len(images) - count < batch_size
    np.testing.assert_array_equal(labels[:count].argmax(1), embedded.val.labels)
    np.testing.assert_array_equal(images[:count], embedded.val.source.fetch(embedded.val.indices))
    np.testing.assert_array_equal(weights[count:], 0)
    np.testing.assert_allclose(weights[:count], len(images) / count, rtol=1e-6)


def test_scoring_of_files_is_the_one_decode_path(photos):
    for mode in ("off", "memory"):
        splits = load(photos)
        images, _, weights = rows(pipeline.scoring(splits.val, splits, 16, Cache(mode)))
        sound = weights > 0
        assert sound.sum() == len(splits.val)
        np.testing.assert_array_equal(images[sound], splits.val.source.fetch(splits.val.indices))


def test_shrunk_images_are_the_antialiased_ones(embedded):
    images, labels, weights = batches(embedded, 1)[0]
    dataset = pipeline.training(embedded, augment=PLAIN, seed=7, batch_size=16)
    small = pipeline.shrunk(dataset, 24)
    assert small.cardinality() == tf.data.INFINITE_CARDINALITY
    found, *same = next(small.as_numpy_iterator())
    assert (found.shape, found.dtype) == ((16, 24, 24, 3), np.uint8)
    assert_same([(labels, weights)], [same])
    expected = [Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR) for image in images]
    assert np.abs(found.astype(int) - np.stack(expected).astype(int)).max() <= 1  # Pillow rounds between the axes


def test_no_images_to_score_is_said(embedded):
    splits = data.load(Data(val_fraction=0))
    with pytest.raises(UserError, match="val has no image"):
        pipeline.scoring(splits.val, splits, 8)


def damaged_png() -> bytes:
    """Header and end are sound, the pixels' checksum is not."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype="uint8")).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[len(content) // 2] ^= 0xFF
    return bytes(content)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Twelve images of each colour; the last two of each class are damaged inside."""
    root = tmp_path_factory.mktemp("damaged")
    for split, count in (("train", 12), ("val", 5), ("test", 5)):
        for label, color in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
            (root / split / label).mkdir(parents=True)
            for place in range(count):
                path = root / split / label / f"{place:02}.png"
                Image.new("RGB", (60, 50), (*color[:1], 10 * place + 5, *color[2:])).save(path)
                if place >= count - 2:
                    path.write_bytes(damaged_png())
    return root


@pytest.fixture
def lenient(monkeypatch):
    """Half of the images may be damaged: a data set of a thousand would take long."""
    monkeypatch.setattr(trouble, "SHARE", 0.5)


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("mode", ["off", "memory"])
def test_a_damaged_image_weighs_nothing_and_does_not_count(damaged, mode):
    splits = load(damaged)
    images, labels, weights = rows(pipeline.scoring(splits.val, splits, 4, Cache(mode)))
    np.testing.assert_allclose(weights, [2, 2, 2, 0, 0, 2, 2, 2, 0, 0, 0, 0], rtol=1e-6)
    assert (images[[3, 4]] == 0).all()
    np.testing.assert_array_equal(labels[:10].argmax(1), [0] * 5 + [1] * 5)
    assert [path for path, _ in splits.failures() if path.startswith("val")] == [
        "val/blue/03.png", "val/blue/04.png", "val/red/03.png", "val/red/04.png",
    ]  # fmt: skip


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("augment", [PLAIN, Augment(augment=("resized_crop",))])
def test_a_damaged_image_is_replaced_by_its_successor(damaged, augment):
    seen = {}
    for mode in ("off", "memory"):
        splits = load(damaged)
        seen[mode] = batches(splits, 6, batch_size=8, augment=augment, cache=Cache(mode))  # two epochs
        images, labels, weights = (np.concatenate(parts) for parts in zip(*seen[mode], strict=True))
        np.testing.assert_array_equal(weights, 1)
        red = images[:, 20, 20, 0] > 100
        np.testing.assert_array_equal(labels.argmax(1), red)
        assert red[:24].sum() == 12  # the two damaged blues became the first red twice, and round again
        assert [path for path, _ in splits.failures() if path.startswith("train")] == [
            "train/blue/10.png", "train/blue/11.png", "train/red/10.png", "train/red/11.png",
        ]  # fmt: skip
    assert_same(seen["off"], seen["memory"])


def test_successors_go_round_and_give_up():
    used, there = stream.successors(np.array([True, False, False, True, False]))
    np.testing.assert_array_equal(used, [0, 3, 3, 3, 0])
    np.testing.assert_array_equal(there, 1)
    sound = np.zeros(300, bool)
    sound[0] = True
    used, there = stream.successors(sound)
    assert there.sum() == stream.TRIES
    assert there[300 - stream.TRIES + 1 :].all()
    assert stream.successors(np.zeros(3, bool))[1].sum() == 0


@pytest.mark.parametrize("mode", ["off", "memory"])
def test_more_damaged_images_than_may_be_left_out_end_a_training_and_a_score(damaged, mode):
    """12 of 44: their headers are sound, so that the listing lets them pass."""
    crop = Augment(augment=("resized_crop",))  # what is cached is encoded, and tried as it comes
    for use in (
        lambda splits: batches(splits, 6, batch_size=8, augment=crop, cache=Cache(mode)),
        lambda splits: rows(pipeline.scoring(splits.val, splits, 4, Cache(mode))),
    ):
        splits = load(damaged)
        refused = pytest.raises(UserError, match=r"(?s)of 44 files in .* cannot be decoded.*\d\d\.png")
        with refused, pipeline.telling(splits.train.source):
            use(splits)


def test_a_split_that_lacks_half_of_its_images_is_not_scored(damaged, monkeypatch):
    """Few of all images, but many of these."""
    monkeypatch.setattr(trouble, "SHARE", 0.1)
    splits = load(damaged)
    splits.val.source.damaged[splits.val.indices[:1]] = True  # one is always allowed
    splits.val.source.tried[splits.val.indices] = True
    pipeline.scoring(splits.val, splits, 4)
    splits.val.source.damaged[splits.val.indices[:2]] = True
    with pytest.raises(UserError, match=r"2 of 10 files in val of .* cannot be decoded"):
        pipeline.scoring(splits.val, splits, 4)


@pytest.fixture
def share(tmp_path):
    """A folder of images that can go away, as a share does."""
    return make(tmp_path / "insects")


def test_a_training_whose_images_go_away_ends_at_the_step_that_lacks_them(share):
    """Every batch before it is what it would have been, and once they are back it continues as if nothing had been."""
    whole = batches(load(share), 30)
    splits = load(share)
    seen = []

    def train():
        for number, batch in enumerate(batches_of(splits)):
            seen.append(batch)
            if number == 2:
                share.rename(share.with_name("away"))
            assert number < 30, "trained on nothing"

    stopped = pytest.raises(Stopped, match=r"(?s)cannot be read:.*No such file.*the same command continues")
    with stopped, pipeline.telling(splits.train.source):
        train()
    assert_same(seen, whole[: len(seen)])
    assert splits.failures() == []
    share.with_name("away").rename(share)
    assert_same(batches(splits, 30 - len(seen), start_step=len(seen)), whole[len(seen) :])


def batches_of(splits):
    return pipeline.training(splits, augment=PLAIN, seed=7, batch_size=16).as_numpy_iterator()


def test_one_file_that_vanishes_or_changes_is_no_damaged_one(share):
    for change in (Path.unlink, lambda path: path.write_bytes(damaged_png())):
        splits = load(share)
        scored = pipeline.scoring(splits.val, splits, 8)
        path = share / splits.val.ids()[3]
        content = path.read_bytes()
        change(path)
        with pytest.raises(Stopped, match=path.name), pipeline.telling(splits.val.source):
            rows(scored)
        path.write_bytes(content)
        assert splits.failures() == []
        assert len(rows(scored)[0]) >= len(splits.val)


@pytest.mark.parametrize("mode", ["off", "memory"])
def test_images_that_are_gone_before_the_first_step_are_said(share, mode):
    splits, crop = load(share), Augment(augment=("resized_crop",))
    share.rename(share.with_name("away"))
    for use in (lambda: batches(splits, 1, augment=crop, cache=Cache(mode)), lambda: scores(splits, Cache(mode))):
        with pytest.raises(Stopped, match="5 images cannot be read"), pipeline.telling(splits.train.source):
            use()


def scores(splits, cache):
    return rows(pipeline.scoring(splits.test, splits, 8, cache))


def model(size):
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3))
    x = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image / 255)))
    net = keras.Model(image, x)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    net.compile("sgd", loss, weighted_metrics=["accuracy"], jit_compile=False)
    return net


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_keras_reports_is_the_mean_over_the_images(replicas):
    splits = data.load(Data(val_fraction=0.0115))
    assert len(splits.val) % 16 in range(1, 9)  # the second replica's share of the last batch is fill alone
    strategy = (
        tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
        if replicas == 2
        else None
    )
    dataset, wait = pipeline.timed(pipeline.training(splits, augment=Augment(), seed=0, batch_size=16))
    if strategy:
        with strategy.scope():
            net = model(32)
    else:
        net = model(32)
    net.fit(dataset, steps_per_epoch=4, epochs=1, verbose=0, shuffle=False)
    assert wait.seconds() > 0
    loss, accuracy = net.evaluate(pipeline.scoring(splits.val, splits, 16), verbose=0)
    images = splits.val.source.fetch(splits.val.indices).numpy()
    logits = net(images, training=False).numpy().astype("float64") if not strategy else _logits(net, images)
    wrong = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(images)), splits.val.labels]
    assert loss == pytest.approx(wrong.mean(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == splits.val.labels).mean(), abs=1e-6)


def _logits(net, images):
    alone = model(32)
    alone.set_weights(net.get_weights())
    return alone(images, training=False).numpy().astype("float64")
