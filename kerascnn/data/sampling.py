"""Which training images an epoch shows, and how often: pure functions of (seed, epoch).

`shuffle` shows every image once. `balanced` shows all classes equally often, `sqrt` in proportion to the root of their sizes
(as CLIP's and detection's samplers do): an epoch keeps its number of images. With repeats (Hoffer et al., 2020; Berman et al.,
2019) an epoch shows a share of the images, each several times in one batch; as many epochs show them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerascnn.config.training import SamplingName
from kerascnn.errors import UserError

# An epoch's number -> (showing, index), int64 [count] each: augmentation draws by (seed, showing, index), so that an image that
# is shown again looks different.
Epoch = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# Powers of the classes' sizes in their shares of an epoch.
POWERS = {"balanced": 0.0, "sqrt": 0.5}


@dataclass(frozen=True)
class Sampling:
    """How an epoch is made.

    Attributes:
        name: shuffle, balanced or sqrt.
        repeats: Times that an image is shown in one batch.
    """

    name: SamplingName = "shuffle"
    repeats: int = 1

    @property
    def plain(self) -> bool:
        """Whether an epoch is a permutation of the images."""
        return self.name == "shuffle" and self.repeats == 1


PLAIN = Sampling()


def epoch_of(sampling: Sampling, labels: np.ndarray, seed: int, batch_size: int) -> Epoch:
    """Returns the function of an epoch.

    Raises:
        UserError: Images with several labels are to be sampled by class.
    """
    count, key = len(labels), tf.constant(seed % 2**63, tf.int64)

    def shuffled(epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        index = tf.range(count, dtype=tf.int64)
        index = tf.random.experimental.stateless_shuffle(index, seed=tf.stack([key, epoch]))
        return tf.zeros_like(index), index

    if sampling.plain:
        return lambda epoch: (tf.fill([count], epoch), shuffled(epoch)[1])
    again = shuffled if sampling.name == "shuffle" else _by_class(sampling.name, labels, key, shuffled)
    return _repeated(again, count, sampling.repeats, stride(sampling, labels), batch_size)


def stride(sampling: Sampling, labels: np.ndarray) -> int:
    """Returns how many numbers of showings an epoch has: showing // stride is the epoch."""
    if sampling.plain:
        return 1
    most = 1
    if sampling.name != "shuffle":
        sizes, shares = _shares(sampling.name, labels)
        most = int(np.max(np.ceil((shares * len(labels) + 1) / np.maximum(sizes, 1)) * (sizes > 0)))
    # Odd, since some augmentations alternate between even and odd showings.
    return most * sampling.repeats + (most * sampling.repeats + 1) % 2


def _shares(name: SamplingName, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes' sizes, and their shares of an epoch, float64."""
    sizes = np.bincount(labels)
    weights = np.where(sizes, np.maximum(sizes, 1.0) ** POWERS[name], 0.0)
    return sizes, weights / weights.sum()


def _by_class(name: SamplingName, labels: np.ndarray, key: tf.Tensor, shuffled: Epoch) -> Epoch:
    """Returns a function from an epoch to (time of showing, index).

    A class has its share of the epoch to within one image: fractions are drawn for all classes by one number.
    """
    if labels.ndim == 2:
        raise UserError(
            f"--sampling {name}: images with several labels have no one class to sample by: --sampling shuffle"
        )
    sizes, shares = _shares(name, labels)
    ends = tf.constant(np.cumsum(shares) * len(labels), tf.float64)
    starts = tf.constant(np.r_[0, np.cumsum(sizes)[:-1]], tf.int64)
    of_class, classes = tf.constant(sizes, tf.int64), tf.constant(labels, tf.int64)

    def epoch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        _, index = shuffled(number)
        # Within a class in the order of the shuffle: other images first in each epoch.
        members = tf.gather(index, tf.argsort(tf.gather(classes, index), stable=True))
        offset = tf.random.stateless_uniform([], tf.stack([key, number]), dtype=tf.float64)
        # The last end is the number of images, which rounding must neither miss nor exceed.
        until = tf.minimum(tf.cast(tf.floor(ends + offset), tf.int64), len(labels))
        until = tf.concat([until[:-1], [len(labels)]], 0)
        quotas = until - tf.concat([[0], until[:-1]], 0)
        slot = tf.repeat(tf.range(len(sizes), dtype=tf.int64), quotas)
        place = tf.range(len(labels), dtype=tf.int64) - tf.gather(until - quotas, slot)
        own = tf.gather(of_class, slot)
        shown = tf.gather(members, tf.gather(starts, slot) + place % own)
        mixed = tf.random.experimental.stateless_shuffle(
            tf.range(len(labels), dtype=tf.int64), seed=tf.stack([key, -1 - number])
        )
        return tf.gather(place // own, mixed), tf.gather(shown, mixed)

    return epoch


def _repeated(again: Epoch, count: int, repeats: int, apart: int, batch_size: int) -> Epoch:
    """Returns the epochs in which each of a share of `again`'s images is shown several times in a batch.

    Copies do not stand next to each other, since mixup and cutmix mix neighbors.
    """
    chosen = math.ceil(count / repeats)
    group = max(1, batch_size // repeats)  # different images of a batch

    def epoch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        times, index = again(number // repeats)
        position = tf.range(count, dtype=tf.int64)
        first = position // (group * repeats) * group
        size = tf.minimum(tf.constant(group, tf.int64), chosen - first)
        within = position % (group * repeats)
        place = (number % repeats * chosen + first + within % size) % count
        time = tf.gather(times, place) * repeats + within // size
        return number * apart + time, tf.gather(index, place)

    return epoch


def shown(epoch: Epoch, labels: np.ndarray, classes: int, first: int, images: int) -> np.ndarray:
    """Returns how often each class is shown by `images` images from position `first` of the endless order on, int64 [classes]."""
    counts = np.zeros(classes, np.int64)
    while images > 0:
        number, offset = divmod(first, len(labels))
        some = epoch(tf.constant(number, tf.int64))[1].numpy()[offset : offset + images]
        counts += np.bincount(labels[some], minlength=classes) if labels.ndim == 1 else labels[some].sum(0)
        first, images = first + len(some), images - len(some)
    return counts
