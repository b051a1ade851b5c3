"""Batches: exact resume, each image once, full batches whose weighted mean is the mean over the images."""

import numpy as np
import pytest
import tensorflow as tf

from kerascnn import data
from kerascnn.config import Augment, Data
from kerascnn.data import pipeline
from kerascnn.data.augment import AUGMENTATIONS

ALL = tuple(AUGMENTATIONS)


@pytest.fixture(scope="module")
def embedded():
    return data.load(Data(fraction=0.01))


def batches(splits, count, **options):
    options = {"augment": Augment(augment=("none",)), "seed": 7, "batch_size": 16, **options}
    return list(pipeline.training(splits, **options).take(count).as_numpy_iterator())


def test_starting_at_a_step_equals_getting_there(embedded):
    options = {"augment": Augment(augment=ALL), "label_smoothing": 0.1, "class_weights": np.arange(10.0)}
    whole = batches(embedded, 12, **options)
    for start in (1, 5, 9):  # 5,384 * 0.01 = 54 images: the epoch ends within the fourth batch
        for expected, got in zip(
            whole[start:], batches(embedded, 12 - start, start_step=start, **options), strict=True
        ):
            for a, b in zip(expected, got, strict=True):
                np.testing.assert_array_equal(a, b)


def test_each_epoch_shows_every_image_once(embedded):
    count = len(embedded.train)
    images = np.concatenate([batch[0] for batch in batches(embedded, pipeline.steps_per_epoch(3 * count, 16))])
    source = embedded.train.source.fetch(tf.constant(embedded.train.indices)).numpy()
    expected = sorted(image.tobytes() for image in source)
    epochs = [images[i * count : (i + 1) * count] for i in range(3)]
    for epoch in epochs:
        assert sorted(image.tobytes() for image in epoch) == expected
    assert any(a.tobytes() != b.tobytes() for a, b in zip(epochs[0], epochs[1], strict=True))


def test_scoring_shows_each_image_once_in_order(embedded):
    batches = list(pipeline.scoring(embedded.val, embedded, 100).as_numpy_iterator())
    images, labels, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    count = len(embedded.val)
    assert len(images) % 100 == 0
    np.testing.assert_array_equal(labels[:count].argmax(1), embedded.val.labels)
    np.testing.assert_array_equal(weights[count:], 0)
    np.testing.assert_allclose(weights[:count], len(images) / count, rtol=1e-6)
