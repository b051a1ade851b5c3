"""Targets of several labels: smoothing, unions of mixed images, weights of positives; order as for one label."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from kerascnn.config import Augment
from kerascnn.data import pipeline
from kerascnn.data.targets import LEAST, MOST, balanced, targets_of
from kerascnn.data.worker_slice import WHOLE, wanted
from tests import several

AMONG = wanted(WHOLE, 8, "neighbor")


@pytest.fixture(scope="module")
def splits():
    return several.splits(80)


def made(splits, share=None, smoothing=0.0, weights=None):
    used = tf.range(8, dtype=tf.int64)
    found = targets_of(splits, smoothing, weights, AMONG)(
        used, tf.ones(8), None if share is None else tf.constant(share)
    )
    return [part.numpy() for part in found]


def test_targets_are_the_labels(splits) -> None:
    targets, weights = made(splits)
    assert (targets == splits.train.labels[:8]).all()
    assert (weights == 1).all()
    assert made(splits, smoothing=None)[0].tolist() == targets.tolist(), "the task's default: none"
    smoothed, _ = made(splits, smoothing=0.2)
    assert smoothed == pytest.approx(targets * 0.8 + 0.1)


def test_mixed_images_have_the_labels_of_both(splits) -> None:
    plain, _ = made(splits)
    mixed, weights = made(splits, share=[0.5, 0.01, 0.99, 0.5, 0.5, 1.0, 0.0, 0.5])
    union = np.maximum(plain, np.roll(plain, 1, axis=0))
    assert (mixed[[0, 1, 2, 3, 4, 7]] == union[[0, 1, 2, 3, 4, 7]]).all()
    assert (mixed[5] == plain[5]).all(), "nothing of the neighbor is there"
    assert (mixed[6] == plain[5]).all(), "nothing of the image itself is there"
    assert weights == pytest.approx(np.ones(8))


def test_balanced_weights_are_those_of_positives(splits) -> None:
    ratio = balanced(splits.train, 4)
    positives = splits.train.labels.sum(axis=0)
    assert ratio == pytest.approx((len(splits.train) - positives) / positives)
    targets, weights = made(splits, weights=ratio)
    assert weights == pytest.approx(np.where(targets > 0, ratio, 1))
    rare = np.zeros((1000, 3), bool)
    rare[0, 0] = rare[:999, 1] = True
    few = dataclasses.replace(splits.train, labels=rare, indices=np.arange(1000))
    assert balanced(few, 3) == pytest.approx([MOST, LEAST, 1])


def test_batches_are_of_labels_in_training_and_scoring(splits) -> None:
    stream = pipeline.training(splits, augment=Augment(augment=("cutmix", "flip")), seed=0, batch_size=8)
    images, targets, weights = next(iter(stream))
    assert images.shape == (8, several.SIDE, several.SIDE, 3)
    assert (targets.shape, weights.shape) == ((8, 4), (8,))
    assert set(np.unique(targets)) <= {0, 1}
    scored = [batch[1].numpy() for batch in pipeline.scoring(splits.val, splits, 8)]
    assert (np.concatenate(scored)[: len(splits.val)] == splits.val.labels).all()
