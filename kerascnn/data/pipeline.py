"""From splits to batches: `training` without end, `scoring` each image once; both in full batches of uint8 images."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Augment
from kerascnn.data import augment as augmentation
from kerascnn.data import decode, stream, trouble
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.cache import Cache, Decoded, Undecoded
from kerascnn.data.sources import Encoded, telling
from kerascnn.data.splits import Split, Splits
from kerascnn.data.stream import as_written
from kerascnn.data.timing import InputWait, timed
from kerascnn.errors import UserError

__all__ = ["InputWait", "balanced", "scoring", "shrunk", "steps_per_epoch", "telling", "timed", "training"]

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
    cache: Cache | None = None,
    phases: Phases = SILENT,
) -> tf.data.Dataset:
    """Batches of train without end, from batch number `start_step` on.

    Order and augmentation are pure functions of (seed, epoch, index): they don't depend on where the stream starts, on
    the number of threads or on what is cached. A damaged image is replaced by its successor in the split; one that cannot be
    read, and more damaged ones than may be left out, end the stream with an error of TensorFlow (`telling`).

    Args:
        class_weights: float [classes], weight of an image in the loss by its class, or None.
        cache: Keeps the images in memory, for this stream and later ones; None keeps nothing.
        phases: Where reading and decoding into memory is shown.

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

    store = (cache or Cache("off")).store(splits.train, whole=not windows, phases=phases)
    pairs = stream.order(len(splits.train), seed, batch_size, start_step)
    if isinstance(store, Decoded):
        batches = _fetched(pairs, splits, store, windows, augment, seed, phases)
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


def _fetched(
    pairs, splits: Splits, store: Decoded, windows: tuple[str, ...], augment: Augment, seed: int, phases: Phases
):
    """(epoch, index, images, used, sound) from a table of decoded images, a batch at a time.

    `used` is what shows in the place of `index`, another one where that is damaged; `sound` is 0 where nothing does.
    """
    used_for, there = stream.successors(_sound(splits.train, phases))

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

    def tried(index, used, sound):
        """Places in the source of all images that were tried in vain."""
        steps = np.where(sound > 0, (used - index) % count, min(count, stream.TRIES))
        at = [(first + np.arange(step)) % count for first, step in zip(index, steps, strict=True) if step]
        return splits.train.indices[np.concatenate(at)]

    def noted(epoch, index, image, used, sound):
        lost = tf.reduce_any((used != index) | (sound == 0))
        met = _told(lost, lambda *found: store.source.met(tried(*found)), [index, used, sound])
        with tf.control_dependencies([met]):
            return epoch, index, tf.identity(image), used, sound

    batches = stream.in_order(pairs.map(with_draws).unbatch(), one).batch(batch_size, drop_remainder=True)
    return batches.map(noted)


def _told(lost, judge, found):
    """An op that asks `judge` about `found` where `lost`, and fails where the answer is False: the stream ends there."""

    def ask():
        return tf.ensure_shape(tf.numpy_function(lambda *arrays: np.bool_(judge(*arrays)), found, tf.bool), [])

    fine = tf.cond(lost, ask, lambda: tf.constant(True))
    return tf.debugging.Assert(fine, ["images cannot be read or decoded"])


def balanced(split: Split, classes: int) -> np.ndarray:
    """Weights by class that give each the same say and are 1 in the mean over the images; 0 for one without images.

    Returns:
        float32 [classes].
    """
    counts = np.bincount(split.labels, minlength=classes)
    shares = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts, shares, 0).astype("float32")


@as_written
def scoring(
    split: Split, splits: Splits, batch_size: int, cache: Cache | None = None, phases: Phases = SILENT
) -> tf.data.Dataset:
    """Every image of `split` once, in its order, in full batches.

    Fill rows weigh 0 and real ones rows / n, so that Keras' mean over rows is the mean over the n images. A damaged image is
    black, weighs 0 and does not count in n; one that cannot be read, or no more, ends the stream (`telling`).

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot [batch, classes], float32 weights [batch]).

    Raises:
        UserError: The split has no images, or more damaged ones than may be left out.
        cli.Stopped: Images cannot be read.
    """
    store = (cache or Cache("off")).store(split, whole=True, phases=phases)
    sound = _sound(split, phases)
    if not sound.any():
        raise UserError(f"{split.name} has no image that could be scored, of {len(split)}")
    _check_share(split, splits, sound)
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
        images = _as_known(stream.scored(images, store.read, splits.image_size, splits.resize), split, places, sound)
        images = images.batch(batch_size, drop_remainder=True).map(_checked(store.source))
    dataset = tf.data.Dataset.zip((images, answers)).map(lambda image, answer: (image, *answer))
    return _finished(dataset, rows // batch_size)


def _as_known(images, split: Split, places: np.ndarray, sound: np.ndarray):
    """(image, place in the source, whether it was sound before and is not now) of each image that was decoded."""
    before = tf.data.Dataset.from_tensor_slices((split.indices[places], sound[places]))
    return tf.data.Dataset.zip((images, before)).map(
        lambda decoded, known: (decoded[0], known[0], known[1] & ~decoded[1])
    )


def _checked(source: Encoded):
    """What lets a batch of `_as_known` pass where no image was lost."""

    def check(images, places, lost):
        met = _told(tf.reduce_any(lost), lambda at, gone: source.lost(at[gone]), [places, lost])
        with tf.control_dependencies([met]):
            return tf.identity(images)

    return check


def _check_share(split: Split, splits: Splits, sound: np.ndarray) -> None:
    """Refuse to score a split that lacks more than its share of damaged images; one is always allowed."""
    bad = np.flatnonzero(~sound)
    whole = len(split) == len(getattr(splits, split.name))
    if whole and len(bad) > max(1, trouble.allowed(len(split))):
        ids = split.ids()
        reason = "its content cannot be decoded"
        named = [(ids[int(i)], reason) for i in bad[: trouble.SHOWN]]
        raise UserError(trouble.damaged(named, len(bad), len(split), f"{split.name} of {splits.name}"))


@as_written
def shrunk(dataset: tf.data.Dataset, side: int) -> tf.data.Dataset:
    """The batches of `training` or `scoring` with their images brought to uint8 [batch, side, side, 3], antialiased."""

    def shrink(images, *rest):
        smaller = tf.image.resize(images, (side, side), antialias=True)
        return tf.cast(tf.round(smaller), tf.uint8), *rest

    return dataset.map(shrink, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)


def _sound(split: Split, phases: Phases) -> np.ndarray:
    """Which images of the split can be decoded, bool [n]: those that nothing is known of yet are tried, once."""
    source = split.source
    if not isinstance(source, Encoded):
        return np.ones(len(split), bool)
    unknown = split.indices[~source.tried[split.indices]]
    if len(unknown):
        with phases.phase(f"checking the images of {split.name}", len(unknown)) as phase:
            source.know(unknown, stream.decodable(source.read, unknown, phase.advance))
    return ~source.damaged[split.indices]


def _finished(dataset: tf.data.Dataset, cardinality: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Rewriting the graph of a data set copies every tensor that its functions use: all that is kept in memory, once more.
    # What the rewriting is for is written out here, and no batch is shared between machines.
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(AHEAD).with_options(options)
