"""Turns splits into batches of uint8 images: `training` without end, `scoring` with each image once, both in full batches."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Augment
from kerascnn.data import augment as augmentation
from kerascnn.data import decode, mixing, sampling, stream, trouble, views
from kerascnn.data.augment import AUGMENTATIONS
from kerascnn.data.cache import Cache, Decoded, Undecoded
from kerascnn.data.input_wait import InputWait, timed
from kerascnn.data.sampling import PLAIN, Sampling
from kerascnn.data.sources import Encoded, telling
from kerascnn.data.splits import Split, Splits
from kerascnn.data.stream import as_written
from kerascnn.data.targets import balanced, plain, targets_of
from kerascnn.data.worker_slice import WHOLE, WorkerSlice, wanted
from kerascnn.errors import UserError

__all__ = ["InputWait", "balanced", "scoring", "shrunk", "steps_per_epoch", "telling", "timed", "training"]

AHEAD = 2  # prefetched batches: more would cost memory without hiding more waiting


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Returns the number of batches that show `count` images at least once; the last one reaches into the next epoch."""
    return math.ceil(count / batch_size)


@as_written
def training(
    splits: Splits,
    *,
    augment: Augment,
    seed: int,
    batch_size: int,
    start_step: int = 0,
    label_smoothing: float | None = 0.0,
    class_weights: np.ndarray | None = None,
    sampled: Sampling = PLAIN,
    part: WorkerSlice = WHOLE,
    cache: Cache | None = None,
    phases: Phases = SILENT,
    answers: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns an endless data set of training batches, from batch number `start_step` on.

    Order and augmentation are pure functions of (seed, epoch, index): they do not depend on the start of the stream, on the
    number of threads or on the cache. A damaged image is replaced by its successor in the split. An image that cannot be
    read, or too many damaged images, end the stream with an error of TensorFlow (`telling`).

    Args:
        label_smoothing: Share of a label's weight that is spread; None for the task's default.
        class_weights: Weights of the classes in the loss, float [classes], or None.
        sampled: Which images an epoch shows.
        part: The part of each batch that is returned; nothing else is read or decoded, except images that it is mixed with.
        cache: Keeps the images in memory for this stream and later ones, or None.
        phases: Shows the reading and decoding into memory.
        answers: What a teacher answers for each image of train, float32 [n, width], or None.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot or several labels [batch, classes] with smoothing and mixing applied,
        float32 weights [batch], or [batch, classes] of several labels with class weights), of infinite cardinality. With
        `--augmix-jsd` images are `views`; with answers, labels are (labels, answers).
    """
    names = augmentation.chosen(augment, splits.image_size)
    windows, each, mixes = (
        tuple(name for name in names if augmentation.row_of(name).stage == stage)
        for stage in ("window", "image", "batch")
    )
    among = wanted(part, batch_size, augment.mix_mode if mixes else None)
    targets = targets_of(splits, label_smoothing, class_weights, among)
    stride = sampling.stride(sampled, splits.train.labels)

    vary = views.vary if augment.augmix_jsd else augmentation.vary

    def finish(epoch, index, images, used, valid):
        images = vary(images, each, augment, seed, epoch, index)
        share = None
        if mixes:
            images, share = mixing.mix(images, mixes, augment, seed, epoch, index, stride, among)
        labels, weights = targets(used, valid, share)
        return images, labels if answers is None else (labels, tf.gather(answers, used)), weights

    store = (cache or Cache("off")).store(splits.train, whole=not windows, phases=phases)
    epoch_of = sampling.epoch_of(sampled, splits.train.labels, seed, batch_size)
    pairs = stream.order(epoch_of, len(splits.train), batch_size, start_step)
    if part != WHOLE:
        pairs = pairs.map(lambda epoch, index: (tf.gather(epoch, among.positions), tf.gather(index, among.positions)))
    if isinstance(store, Decoded):
        batches = _fetched(pairs, splits, store, windows, augment, seed, phases)
    else:
        batches = _decoded(pairs, splits, store, windows, augment, seed, len(among.positions))
    return _finished(batches.map(finish, num_parallel_calls=tf.data.AUTOTUNE), tf.data.INFINITE_CARDINALITY)


def _fetched(
    pairs, splits: Splits, store: Decoded, windows: tuple[str, ...], augment: Augment, seed: int, phases: Phases
):
    """Returns batches of (epoch, index, images, used, valid) from decoded images.

    `used` is the image in place of `index`, another one if that is damaged; `valid` is 0 if there is none.
    """
    used_for, there = stream.successors(_valid(splits.train, phases))

    def fetch(epoch, index):
        used = tf.gather(used_for, index)
        images = augmentation.vary(store.fetch(used), windows, augment, seed, epoch, index)
        return epoch, index, images, used, tf.gather(there, index)

    return pairs.map(fetch, num_parallel_calls=tf.data.AUTOTUNE)


def _decoded(pairs, splits: Splits, store: Undecoded, windows: tuple[str, ...], augment: Augment, seed: int, rows: int):
    """As `_fetched`, from encoded images, which are decoded in parallel, in batches of `rows`."""
    count, size, mode = len(splits.train), splits.image_size, splits.resize

    def with_draws(epoch, index):
        numbers = [augmentation.draws(name, seed, epoch, index, AUGMENTATIONS[name].draws) for name in windows]
        # Not [rows, 0]: unbatching an empty tensor crashes TensorFlow 2.21.
        return epoch, index, numbers[0] if numbers else tf.zeros([rows, 1])

    def one(epoch, index, numbers):
        def attempt(step):
            other = (index + step) % count
            if not windows:
                image = decode.resize(stream.decoded(store.read(other)), size, mode)
            else:
                image = augmentation.cropped(store.read(other), numbers, size, augment)
            return epoch, index, image, other, 1.0

        blank = epoch, index, tf.zeros([size, size, 3], tf.uint8), index, 0.0
        tries = tf.data.Dataset.range(min(count, stream.TRIES)).map(attempt)
        return stream.or_else(tries, tf.data.Dataset.from_tensors(blank))

    def tried(index, used, valid):
        """Returns the indices in the source of all images that were tried in vain."""
        steps = np.where(valid > 0, (used - index) % count, min(count, stream.TRIES))
        at = [(first + np.arange(step)) % count for first, step in zip(index, steps, strict=True) if step]
        return splits.train.indices[np.concatenate(at)]

    def noted(epoch, index, image, used, valid):
        lost = tf.reduce_any((used != index) | (valid == 0))
        met = _told(lost, lambda *found: store.source.met(tried(*found)), [index, used, valid])
        with tf.control_dependencies([met]):
            return epoch, index, tf.identity(image), used, valid

    batches = stream.in_order(pairs.map(with_draws).unbatch(), one).batch(rows, drop_remainder=True)
    return batches.map(noted)


def _told(lost, judge, found):
    """Returns an op that calls `judge` with `found` if `lost`, and fails if it returns False, which ends the stream."""

    def ask():
        return tf.ensure_shape(tf.numpy_function(lambda *arrays: np.bool_(judge(*arrays)), found, tf.bool), [])

    fine = tf.cond(lost, ask, lambda: tf.constant(True))
    return tf.debugging.Assert(fine, ["images cannot be read or decoded"])


@as_written
def scoring(
    split: Split,
    splits: Splits,
    batch_size: int,
    cache: Cache | None = None,
    phases: Phases = SILENT,
    part: WorkerSlice = WHOLE,
) -> tf.data.Dataset:
    """Returns a data set of every image of `split` once, in its order, in full batches.

    Padding rows have weight 0 and real rows rows / n, so that the mean of Keras over rows is the mean over the n images. A
    damaged image is black, has weight 0 and does not count in n. An image that can no longer be read ends the stream
    (`telling`). Of several workers each gets its `part` of every batch.

    Returns:
        (uint8 [batch, size, size, 3], float32 one-hot or several labels [batch, classes], float32 weights [batch]).

    Raises:
        UserError: The split has no images, or too many damaged ones.
        Stopped: Images cannot be read.
    """
    store = (cache or Cache("off")).store(split, whole=True, phases=phases)
    valid = _valid(split, phases)
    if not valid.any():
        raise UserError(f"{split.name} has no image that could be scored, of {len(split)}")
    _check_share(split, splits, valid)
    rows = math.ceil(len(split) / batch_size) * batch_size
    # Padding rows repeat the first valid image.
    positions = np.r_[np.arange(len(split)), np.full(rows - len(split), valid.argmax())]
    weights = np.r_[valid * (rows / valid.sum()), np.zeros(rows - len(split))].astype(np.float32)
    steps, own = rows // batch_size, part.own(batch_size)
    positions, weights = (values.reshape(steps, batch_size)[:, own].ravel() for values in (positions, weights))
    batch_size = len(own)
    labels, targets_for = split.labels[positions], plain(len(splits.class_names), splits.task)
    targets = tf.data.Dataset.from_tensor_slices((labels, weights)).batch(batch_size, drop_remainder=True)
    targets = targets.map(lambda label, weight: (targets_for(label), weight))
    images = tf.data.Dataset.from_tensor_slices(positions)
    if isinstance(store, Decoded):
        images = images.batch(batch_size, drop_remainder=True).map(store.fetch, num_parallel_calls=tf.data.AUTOTUNE)
    else:
        images = stream.scored(images, store.read, splits.image_size, splits.resize)
        known = tf.data.Dataset.from_tensor_slices((split.indices[positions], valid[positions]))
        images, known = (each.batch(batch_size, drop_remainder=True) for each in (images, known))
        images = tf.data.Dataset.zip((images, known)).map(_checked(store.source))
    dataset = tf.data.Dataset.zip((images, targets)).map(lambda image, target: (image, *target))
    return _finished(dataset, steps)


def _checked(source: Encoded):
    """Passes a batch of images on if all that are known to be valid were decoded."""

    def check(decoded, known):
        (images, sound), (positions, valid) = decoded, known
        lost = valid & ~sound
        met = _told(tf.reduce_any(lost), lambda at, gone: source.lost(at[gone]), [positions, lost])
        with tf.control_dependencies([met]):
            return tf.identity(images)

    return check


def _check_share(split: Split, splits: Splits, valid: np.ndarray) -> None:
    """Refuses a split with too large a share of damaged images; one is always allowed."""
    bad = np.flatnonzero(~valid)
    whole = len(split) == len(getattr(splits, split.name))
    if whole and len(bad) > max(1, trouble.allowed(len(split))):
        ids = split.ids()
        reason = "its content cannot be decoded"
        named = [(ids[int(i)], reason) for i in bad[: trouble.SHOWN]]
        raise UserError(trouble.damaged(named, len(bad), len(split), f"{split.name} of {splits.name}"))


@as_written
def shrunk(dataset: tf.data.Dataset, side: int, *, keep: bool = False) -> tf.data.Dataset:
    """Returns the batches of `training` or `scoring` with images resized to uint8 [batch, side, side, 3], antialiased.

    Args:
        dataset: The batches; images may be `views`.
        side: Height and width in pixels.
        keep: Whether labels become (labels, images at full size), for a teacher.
    """

    def shrink(images, labels, weights):
        lined = tf.reshape(images, [-1, *images.shape[-3:]])
        smaller = tf.cast(tf.round(tf.image.resize(lined, (side, side), antialias=True)), tf.uint8)
        smaller = tf.reshape(smaller, [*images.shape[:-3], side, side, 3])
        return smaller, (labels, views.first(images)) if keep else labels, weights

    return dataset.map(shrink, num_parallel_calls=tf.data.AUTOTUNE).prefetch(AHEAD)


def _valid(split: Split, phases: Phases) -> np.ndarray:
    """Returns which images of the split can be decoded, bool [n]; images of unknown state are tried once."""
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
    # Graph optimization of a data set would copy every tensor that its functions capture, which is all of the cache. Its
    # rewrites are done by hand here, and no batch is shared between machines.
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.apply(tf.data.experimental.assert_cardinality(cardinality)).prefetch(AHEAD).with_options(options)
