"""From splits to batches: `training` without end, `scoring` each image once; both in full batches of uint8 images."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from kerascnn.config import Augment, UserError
from kerascnn.data import augment as augmentation
from kerascnn.data.splits import Split, Splits
from kerascnn.data.stream import order
from kerascnn.data.timing import InputWait, timed

__all__ = ["InputWait", "scoring", "steps_per_epoch", "timed", "training"]


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches that show `count` images at least once; the last one reaches into the next epoch."""
    return math.ceil(count / batch_size)


def training(
    splits: Splits,
    *,
    augment: Augment,
    seed: int,
    batch_size: int,
    start_step: int = 0,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Batches of train without end, from batch number `start_step` on.

    Order and augmentation are pure functions of (seed, epoch, index): they don't depend on where the stream starts, on
    the number of threads or on what is cached.

    Args:
        class_weights: float [classes], weight of an image in the loss by its class, or None.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot [batch, classes] with smoothing and mixing applied,
        float32 weights [batch]), of infinite cardinality.
    """
    split, classes = splits.train, len(splits.class_names)
    names = augmentation.chosen(augment, splits.image_size)
    by_stage = {
        stage: tuple(name for name in names if augmentation.AUGMENTATIONS[name].stage == stage)
        for stage in ("window", "image", "batch")
    }
    store = splits.cache.store(split, whole=not by_stage["window"])
    labels = tf.constant(split.labels)
    weights = tf.ones([classes]) if class_weights is None else tf.constant(class_weights, tf.float32)

    def varied(epoch, index, images, used, valid):
        images = augmentation.vary(images, by_stage["image"], augment, seed, epoch, index)
        answers = tf.one_hot(tf.gather(labels, used), classes)
        importance = tf.linalg.matvec(answers, weights) * valid
        answers = answers * (1.0 - label_smoothing) + label_smoothing / classes
        if by_stage["batch"]:
            images, share = augmentation.mix(images, by_stage["batch"], augment, seed, epoch, index)
            importance = importance * share + tf.roll(importance, 1, 0) * (1.0 - share)
            answers = answers * share[:, None] + tf.roll(answers, 1, 0) * (1.0 - share[:, None])
        return images, answers, importance

    def fetched(epoch, index):
        images = store.fetch(index)
        images = augmentation.vary(images, by_stage["window"], augment, seed, epoch, index)
        return varied(epoch, index, images, index, tf.ones([batch_size]))

    pairs = order(len(split), seed, batch_size, start_step)
    dataset = pairs.map(fetched, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return dataset.prefetch(2).with_options(_options())


def scoring(split: Split, splits: Splits, batch_size: int) -> tf.data.Dataset:
    """Every image of `split` once, in its order, in full batches.

    Fill rows weigh 0 and real ones rows / n, so that Keras' mean over rows is the mean over the n images. An image that
    cannot be decoded is black, weighs 0 and does not count in n.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot [batch, classes], float32 weights [batch]).

    Raises:
        UserError: The split has no images.
    """
    if not len(split):
        raise UserError(
            f"{split.name} has no images to score: give it some, or lower --val-fraction of the other splits"
        )
    classes = len(splits.class_names)
    store = splits.cache.store(split, whole=True)
    count, fill = len(split), -len(split) % batch_size
    places = np.r_[np.arange(count), np.zeros(fill, int)]
    weights = np.r_[store.valid * ((count + fill) / max(1, store.valid.sum())), np.zeros(fill)].astype(np.float32)
    labels = split.labels[places]

    def fetched(place, label, weight):
        return store.fetch(place), tf.one_hot(label, classes), weight

    rows = tf.data.Dataset.from_tensor_slices((places, labels, weights)).batch(batch_size, drop_remainder=True)
    dataset = rows.map(fetched, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(2).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    return options
