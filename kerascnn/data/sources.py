"""Random access to images. A source knows its class names, labels, ids and length, and fetches any of its images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn.data import decode, stream

ALIGNMENT = 64  # bytes; TensorFlow's kernels abort on less
STRING = 32  # bytes that TensorFlow keeps for a string beside its content


class Source:
    """What every source knows.

    Args:
        ids: One name per image, unique; what predictions and split files call it.
        labels: int [n], places in `class_names`.
        class_names: Sorted as the labels count.
        size: Height and width of fetched images.
        mode: How they are brought to it: crop, pad or squash.
    """

    def __init__(
        self, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int, mode: decode.Mode
    ):
        if len(ids) != len(labels):
            raise ValueError(f"expected one label per image, got {len(labels)} labels for {len(ids)} images")
        self.ids, self.labels = ids, np.asarray(labels, np.int32)
        self.class_names, self.size, self.mode = tuple(class_names), size, mode

    def __len__(self) -> int:
        return len(self.ids)

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 [n, size, size, 3] of the images at `indices`."""
        raise NotImplementedError

    def failures(self) -> list[tuple[str, str]]:
        """(id, reason) of the images that could not be decoded, so far."""
        return []


class Table(Source):
    """Images of one size in memory, uint8 [n, h, w] (grey) or [n, h, w, 3].

    They are resized by `mode`, as `decode.resize` does it with the same image in a file.
    """

    def __init__(
        self,
        images: np.ndarray,
        ids: Sequence[str],
        labels: np.ndarray,
        class_names: Sequence[str],
        size: int,
        mode: decode.Mode,
    ):
        super().__init__(ids, labels, class_names, size, mode)
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise ValueError(f"expected uint8 [n, h, w] or [n, h, w, 3], got {images.dtype} {images.shape}")
        self.images = resident(images)

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 [batch, size, size, 3] of int64 [batch] places."""
        images = tf.gather(self.images, indices)
        if images.shape.rank == 3:
            images = tf.repeat(images[..., None], 3, axis=-1)
        rows, columns = (self.size - side for side in images.shape[1:3])
        # What `squash` only frames needs no resizing; the other modes enlarge it.
        near = 0 <= rows <= decode.BORDER and 0 <= columns <= decode.BORDER
        if self.mode != "squash" or not near:
            images = decode.resize(images, self.size, self.mode)
        elif rows or columns:
            border = [[0, 0], [rows // 2, rows - rows // 2], [columns // 2, columns - columns // 2], [0, 0]]
            images = tf.pad(images, border)
        return tf.ensure_shape(images, [None, self.size, self.size, 3])


class Encoded(Source):
    """Encoded images: `read` gives one's bytes, `fetch` decodes and resizes some of them.

    Attributes:
        damaged: bool [n], True where decoding failed; what was not tried yet counts as sound.
        tried: bool [n], True where it is known.
        replaced: The same as `damaged` for images that training came across, as a variable that its stream can set.
    """

    def __init__(
        self, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int, mode: decode.Mode
    ):
        super().__init__(ids, labels, class_names, size, mode)
        self.damaged, self.tried = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        with tf.device("CPU:0"):
            self.replaced = tf.Variable(tf.zeros([len(ids)], tf.bool), trainable=False, name="replaced")

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """string [] of an int64 [] place."""
        raise NotImplementedError

    def encoded_size(self, indices: np.ndarray) -> int:
        """Bytes that keeping these images encoded would take; 0 where they are in memory already."""
        raise NotImplementedError

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 [batch, size, size, 3] of int64 [batch] places; an error of TensorFlow where one is damaged."""
        spec = tf.TensorSpec([self.size, self.size, 3], tf.uint8)
        return tf.map_fn(
            lambda i: decode.preprocess(self.read(i), self.size, self.mode), indices, fn_output_signature=spec
        )

    def know(self, indices: np.ndarray, sound: np.ndarray) -> None:
        """Keep what was learned while images were decoded."""
        self.tried[indices], self.damaged[indices] = True, ~sound

    def failures(self) -> list[tuple[str, str]]:
        """(id, reason) of the images whose content turned out to be damaged, so far."""
        return [
            (self.ids[int(i)], "damaged: its header is sound, its content is not")
            for i in np.flatnonzero(self.damaged | self.replaced.numpy())
        ]


class Files(Encoded):
    """Image files.

    Args:
        paths: Where they are, as the file system's own bytes (a name need not be text).
        sizes: int64 [n], bytes that `read` gives of each.
    """

    def __init__(self, paths: Sequence[bytes], sizes: np.ndarray, **known: Any):
        super().__init__(**known)
        self.paths, self.sizes = tf.constant(paths, tf.string), sizes

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The file's bytes, in a form that TensorFlow decodes."""
        return stream.read_file(self.paths[index])

    def encoded_size(self, indices: np.ndarray) -> int:
        """Their content, and what a string takes beside it."""
        return int(self.sizes[indices].sum()) + STRING * len(indices)


class Buffers(Encoded):
    """Encoded images in memory: string [n]."""

    def __init__(self, buffers: tf.Tensor, **known: Any):
        super().__init__(**known)
        self.buffers = buffers

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The bytes."""
        return self.buffers[index]

    def encoded_size(self, indices: np.ndarray) -> int:
        """Nothing more than there is."""
        return 0


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
