"""Random access to images. A source knows its class names, labels, ids and length, and fetches any of its images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

ALIGNMENT = 64  # bytes; TensorFlow's kernels abort on less


class Source:
    """What every source knows.

    Args:
        ids: One name per image, unique; what predictions and split files call it.
        labels: int [n], places in `class_names`.
        class_names: Sorted as the labels count.
        size: Height and width of fetched images.
    """

    def __init__(self, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int):
        if len(ids) != len(labels):
            raise ValueError(f"expected one label per image, got {len(labels)} labels for {len(ids)} images")
        self.ids, self.labels = ids, np.asarray(labels, np.int32)
        self.class_names, self.size = tuple(class_names), size

    def __len__(self) -> int:
        return len(self.ids)

    def failures(self) -> list[tuple[str, str]]:
        """(id, reason) of the images that could not be decoded, so far."""
        return []


class Table(Source):
    """Images of one size in memory: uint8 [n, h, w] (grey) or [n, h, w, 3]; a smaller image gets a black border."""

    def __init__(
        self, images: np.ndarray, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int
    ):
        super().__init__(ids, labels, class_names, size)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or max(images.shape[1:3]) > size:
            raise ValueError(
                f"expected uint8 [n, h, w] or [n, h, w, 3] of at most {size} px, got {images.dtype} {images.shape}"
            )
        self.images = resident(images)

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 [batch, size, size, 3] of int64 [batch] places."""
        images = tf.gather(self.images, indices)
        if images.shape.rank == 3:
            images = tf.repeat(images[..., None], 3, axis=-1)
        rows, columns = (self.size - side for side in self.images.shape[1:3])
        if rows or columns:
            images = tf.pad(
                images, [[0, 0], [rows // 2, rows - rows // 2], [columns // 2, columns - columns // 2], [0, 0]]
            )
        return tf.ensure_shape(images, [None, self.size, self.size, 3])


def table(shape: tuple[int, ...]) -> np.ndarray:
    """An uint8 array to fill, which `resident` takes over as it is."""
    size = int(np.prod(shape))
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].reshape(shape)


def resident(array: np.ndarray) -> tf.Tensor:
    """The array as a tensor in main memory; one from `table` is not copied, so that a large one fits once."""
    if array.ctypes.data % ALIGNMENT or not array.flags.c_contiguous or not array.flags.writeable:
        with tf.device("CPU:0"):
            return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
