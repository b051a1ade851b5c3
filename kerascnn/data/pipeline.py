"""From splits to batches: `training` without end, `scoring` each image once; both in full batches of uint8 images."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from kerascnn.config import Augment, UserError
from kerascnn.data import augment as augmentation
from kerascnn.data import decode, stream
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.cache import Decoded, Undecoded
from kerascnn.data.sources import Encoded
from kerascnn.data.splits import Split, Splits
from kerascnn.data.stream import as_written
from kerascnn.data.timing import InputWait, timed

__all__ = ["InputWait", "balanced", "scoring", "shrunk", "steps_per_epoch", "timed", "training"]

AHEAD = 2  # batches kept ready: more would cost memory and hide nothing longer


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches that show `count` images at least once; the last one reaches into the next epoch."""
    return math.ceil(count / batch_size)


@as_written
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
    the number of threads or on what is cached. A damaged image is replaced by its successor in the split.

    Args:
        class_weights: float [classes], weight of an image in the loss by its class, or None.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot [batch, classes] with smoothing and mixing applied,
        float32 weights [batch]), of infinite cardinality.
    """
    names = augmentation.chosen(augment, splits.image_size)
    windows, each, mixes = (
        tuple(name for name in names if AUGMENTATIONS[name].stage == stage) for stage in ("window", "image", "batch")
    )
    answer = _answers(splits, label_smoothing, class_weights)

    def finish(epoch, index, images, used, sound):
        images = augmentation.vary(images, each, augment, seed, epoch, index)
        answers, weights = answer(used, sound)
        if mixes:
            images, share = augmentation.mix(images, mixes, augment, seed, epoch, index)
            weights = weights * share + tf.roll(weights, 1, 0) * (1.0 - share)
            answers = answers * share[:, None] + tf.roll(answers, 1, 0) * (1.0 - share[:, None])
        return images, answers, weights

    store = splits.cache.store(splits.train, whole=not windows)
    pairs = stream.order(len(splits.train), seed, batch_size, start_step)
    if isinstance(store, Decoded):
        batches = _fetched(pairs, splits, store, windows, augment, seed)
    else:
        batches = _decoded(pairs, splits, store, windows, augment, seed, batch_size)
    return _finished(batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE), tf.data.INFINITE_CARDINALITY)


def _answers(splits: Splits, label_smoothing: float, class_weights: np.ndarray | None):
    """What turns places in train, int64 [batch], into smoothed one-hot labels and weights; `sound` is 0 or 1 for each."""
    classes, labels = len(splits.class_names), tf.constant(splits.train.labels)
    weights = tf.ones([classes]) if class_weights is None else tf.constant(class_weights, tf.float32)

    def answer(used, sound):
        one_hot = tf.one_hot(tf.gather(labels, used), classes)
        smoothed = one_hot * (1.0 - label_smoothing) + label_smoothing / classes
        return smoothed, tf.linalg.matvec(one_hot, weights) * sound

    return answer


def _fetched(pairs, splits: Splits, store: Decoded, windows: tuple[str, ...], augment: Augment, seed: int):
    """(epoch, index, images, used, sound) from a table of decoded images, a batch at a time.

    `used` is what shows in the place of `index`, another one where that is damaged; `sound` is 0 where nothing does.
    """
    used_for, there = stream.successors(_sound(splits.train))

    def fetch(epoch, index):
        used = tf.gather(used_for, index)
        images = augmentation.vary(store.fetch(used), windows, augment, seed, epoch, index)
        return epoch, index, images, used, tf.gather(there, index)

    return pairs.map(fetch, num_parallel_calls=tf.data.AUTOTUNE)


def _decoded(
    pairs, splits: Splits, store: Undecoded, windows: tuple[str, ...], augment: Augment, seed: int, batch_size: int
):
    """The same as `_fetched` from encoded images, decoded side by side."""
    count, size, mode = len(splits.train), splits.image_size, splits.resize
    places, replaced = tf.constant(splits.train.indices), store.source.replaced

    def with_draws(epoch, index):
        numbers = [augmentation.draws(name, seed, epoch, index, AUGMENTATIONS[name].draws) for name in windows]
        # Not [batch_size, 0]: unbatching an empty tensor crashes TensorFlow 2.21.
        return epoch, index, numbers[0] if numbers else tf.zeros([batch_size, 1])

    def one(epoch, index, numbers):
        def attempt(step):
            place = (index + step) % count
            if not windows:
                image = decode.resize(stream.decoded(store.read(place)), size, mode)
            else:
                image = augmentation.cropped(store.read(place), numbers, size, augment)
            return epoch, index, image, place, 1.0

        blank = epoch, index, tf.zeros([size, size, 3], tf.uint8), index, 0.0
        tries = tf.data.Dataset.range(min(count, stream.TRIES)).map(attempt)
        return stream.or_else(tries, tf.data.Dataset.from_tensors(blank))

    def noted(epoch, index, image, used, sound):
        missing = tf.gather(places, tf.boolean_mask(index, (used != index) | (sound == 0)))
        replaced.scatter_nd_update(missing[:, None], tf.ones_like(missing, tf.bool))
        return epoch, index, image, used, sound

    batches = stream.in_order(pairs.map(with_draws).unbatch(), one).batch(batch_size, drop_remainder=True)
    return batches.map(noted)


def balanced(split: Split, classes: int) -> np.ndarray:
    """Weights by class that give each the same say and are 1 in the mean over the images; 0 for one without images.

    Returns:
        float32 [classes].
    """
    counts = np.bincount(split.labels, minlength=classes)
    shares = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts, shares, 0).astype("float32")


@as_written
def scoring(split: Split, splits: Splits, batch_size: int) -> tf.data.Dataset:
    """Every image of `split` once, in its order, in full batches.

    Fill rows weigh 0 and real ones rows / n, so that Keras' mean over rows is the mean over the n images. An image that
    cannot be decoded is black, weighs 0 and does not count in n.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot [batch, classes], float32 weights [batch]).

    Raises:
        UserError: The split has no images, or none that can be decoded.
    """
    store = splits.cache.store(split, whole=True)
    sound = _sound(split)
    if not sound.any():
        raise UserError(f"{split.name} has no image that could be scored, of {len(split)}")
    rows = math.ceil(len(split) / batch_size) * batch_size
    # Fill rows repeat the first sound image.
    places = np.r_[np.arange(len(split)), np.full(rows - len(split), sound.argmax())]
    weights = np.r_[sound * (rows / sound.sum()), np.zeros(rows - len(split))].astype(np.float32)
    labels, classes = split.labels[places], len(splits.class_names)
    answers = tf.data.Dataset.from_tensor_slices((labels, weights)).batch(batch_size, drop_remainder=True)
    answers = answers.map(lambda label, weight: (tf.one_hot(label, classes), weight))
    images = tf.data.Dataset.from_tensor_slices(places)
    if isinstance(store, Decoded):
        images = images.batch(batch_size, drop_remainder=True).map(store.fetch, num_parallel_calls=tf.data.AUTOTUNE)
    else:
        images = stream.scored(images, store.read, splits.image_size, splits.resize)
        images = images.map(lambda image, _: image).batch(batch_size, drop_remainder=True)
    dataset = tf.data.Dataset.zip((images, answers)).map(lambda image, answer: (image, *answer))
    return _finished(dataset, rows // batch_size)


@as_written
def shrunk(dataset: tf.data.Dataset, side: int) -> tf.data.Dataset:
    """The batches of `training` or `scoring` with their images brought to uint8 [batch, side, side, 3], antialiased."""

    def shrink(images, *rest):
        smaller = tf.image.resize(images, (side, side), antialias=True)
        return tf.cast(tf.round(smaller), tf.uint8), *rest

    return dataset.map(shrink, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)


def _sound(split: Split) -> np.ndarray:
    """Which images of the split can be decoded, bool [n]: those that nothing is known of yet are tried, once."""
    source = split.source
    if not isinstance(source, Encoded):
        return np.ones(len(split), bool)
    unknown = split.indices[~source.tried[split.indices]]
    if len(unknown):
        source.know(unknown, stream.decodable(source.read, unknown))
    return ~source.damaged[split.indices]


def _finished(dataset: tf.data.Dataset, cardinality: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Rewriting the graph of a data set copies every tensor that its functions use: all that is kept in memory, once more.
    # What the rewriting is for is written out here, and no batch is shared between machines.
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(AHEAD).with_options(options)
