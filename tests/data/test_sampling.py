"""Epochs as pure functions: how often each class and image is shown, repeats, and streams that begin anywhere."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.data import sampling, stream
from kerascnn.data.sampling import PLAIN, Sampling
from kerascnn.errors import UserError

SIZES = (3, 40, 0, 7)  # images of each class
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(len(SIZES)), SIZES)).astype("int32")
COUNT, BATCH = len(LABELS), 8


@functools.cache
def traced(sampled: Sampling) -> Callable:
    return tf.function(sampling.epoch_of(sampled, LABELS, 5, BATCH), autograph=False)


def epoch(sampled: Sampling, number: int) -> tuple[np.ndarray, np.ndarray]:
    showing, index = traced(sampled)(tf.constant(number, tf.int64))
    return showing.numpy(), index.numpy()


def test_a_plain_epoch_is_the_shuffle_that_it_always_was() -> None:
    showing, index = epoch(PLAIN, 3)
    expected = tf.random.experimental.stateless_shuffle(tf.range(COUNT, dtype=tf.int64), seed=[5, 3])
    np.testing.assert_array_equal(index, expected)
    assert set(showing) == {3}


@pytest.mark.parametrize(("name", "weights"), [("balanced", [1, 1, 0, 1]), ("sqrt", np.sqrt(SIZES))])
def test_classes_have_their_share_of_every_epoch(name: str, weights) -> None:
    shares = np.array(weights) / np.sum(weights) * COUNT
    counts = []
    for number in range(20):
        showing, index = epoch(Sampling(name), number)
        assert len(index) == COUNT
        counts.append(np.bincount(LABELS[index], minlength=4))
        assert (abs(counts[-1] - shares) < 1).all()
        images = np.bincount(index, minlength=COUNT)
        for label in (0, 1, 3):  # no image of a class is shown twice more often than another
            assert np.ptp(images[label == LABELS]) <= 1
        assert len(set(zip(showing, index, strict=True))) == COUNT, "an image that is shown again looks different"
    np.testing.assert_allclose(np.mean(counts, axis=0), shares, atol=0.3)


def test_other_images_of_a_large_class_in_every_epoch() -> None:
    shown = [set(epoch(Sampling("balanced"), number)[1]) for number in range(12)]
    assert shown[0] != shown[1]
    assert len(set.union(*shown)) == COUNT


def test_no_two_epochs_share_a_showing() -> None:
    sampled = Sampling("balanced", 3)
    showings = [set(epoch(sampled, number)[0]) for number in range(4)]
    assert sum(map(len, showings)) == len(set.union(*showings))


@pytest.mark.parametrize("repeats", [2, 3, 4])
def test_repeats_show_a_share_of_the_images_several_times(repeats: int) -> None:
    sampled, seen = Sampling(repeats=repeats), []
    group = BATCH // repeats * repeats
    for number in range(repeats):
        showing, index = epoch(sampled, number)
        assert len(index) == COUNT
        assert len(set(zip(showing, index, strict=True))) == COUNT
        for start in range(0, COUNT - group, group):
            assert set(np.unique(index[start : start + group], return_counts=True)[1]) == {repeats}
        assert (index[:-1] != index[1:])[: COUNT - group].all(), "mixing mixes different images"
        seen.append(set(index))
    assert set.union(*seen) == set(range(COUNT)), "as many epochs show all images"


@pytest.mark.parametrize("sampled", [PLAIN, Sampling("balanced"), Sampling("sqrt", 3), Sampling(repeats=3)])
def test_a_stream_begins_at_any_step(sampled: Sampling) -> None:
    whole = _order(sampled, 0, 15)
    for start in (1, 7):
        for mine, expected in zip(_order(sampled, start, 15 - start), whole[start:], strict=True):
            np.testing.assert_array_equal(mine, expected)


def _order(sampled: Sampling, start: int, batches: int) -> list:
    epoch_of = sampling.epoch_of(sampled, LABELS, 5, BATCH)
    return list(stream.order(epoch_of, COUNT, BATCH, start).take(batches).as_numpy_iterator())


def test_what_is_shown_is_counted() -> None:
    sampled = Sampling("sqrt", 3)
    batches = [index for _, index in _order(sampled, 0, 20)]
    epoch_of = sampling.epoch_of(sampled, LABELS, 5, BATCH)
    for first, steps in ((0, 7), (7, 7), (3, 15)):
        expected = np.bincount(LABELS[np.concatenate(batches[first : first + steps])], minlength=5)
        found = sampling.shown(epoch_of, LABELS, 5, first * BATCH, steps * BATCH)
        np.testing.assert_array_equal(found, expected)


def test_several_labels_have_no_one_class() -> None:
    labels = np.eye(4, dtype=bool)[LABELS]
    with pytest.raises(UserError, match="--sampling balanced: images with several labels"):
        sampling.epoch_of(Sampling("balanced"), labels, 0, BATCH)
    epoch_of = sampling.epoch_of(Sampling(repeats=2), labels, 0, BATCH)
    assert sampling.shown(epoch_of, labels, 4, 0, 100).sum() == 100
