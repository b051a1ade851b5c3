"""Random access to images: a source knows its class names, labels, ids and length, and fetches any of its images."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn.data import decode, stream, trouble
from kerascnn.errors import Stopped, UserError

ALIGNMENT = 64  # bytes; TensorFlow's kernels abort with less
STRING = 32  # bytes of a TensorFlow string besides its content


class Source:
    """The interface of all sources.

    Args:
        ids: Unique name of each image, in predictions and split files.
        labels: Class of each image, int [n], as an index in `class_names`; or bool [n, classes], any number of classes each.
        class_names: Names of the classes, in the order of labels.
        size: Height and width of fetched images.
        mode: Resize mode: crop, pad or squash.
    """

    # The exception that ended a stream of its images, of which TensorFlow passes on only a message.
    ended_by: Stopped | UserError | None = None

    def __init__(
        self, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int, mode: decode.Mode
    ):
        if len(ids) != len(labels):
            raise ValueError(f"expected one label per image, got {len(labels)} labels for {len(ids)} images")
        labels = np.asarray(labels)
        if labels.ndim == 2 and (labels.dtype != bool or labels.shape[1] != len(class_names)):
            raise ValueError(f"expected bool [n, {len(class_names)}], got {labels.dtype} {labels.shape}")
        self.ids, self.labels = ids, labels if labels.ndim == 2 else labels.astype(np.int32)
        self.class_names, self.size, self.mode = tuple(class_names), size, mode

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def several(self) -> bool:
        """Whether an image may have any number of labels: `labels` is bool [n, classes]."""
        return self.labels.ndim == 2

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [n, size, size, 3], the images at `indices`."""
        raise NotImplementedError

    def stored(self, index: int) -> bytes | np.ndarray:
        """Returns an image as it is stored: the bytes of its file, or its pixels, uint8 [h, w] or [h, w, 3].

        Raises:
            OSError: It cannot be read.
        """
        raise NotImplementedError

    def failures(self) -> list[tuple[str, str]]:
        """Returns (id, reason) of the images that could not be decoded so far."""
        return []


class Pixels(Source):
    """Images of one size in memory, uint8 [n, h, w] (gray) or [n, h, w, 3].

    They are resized by `mode`, as `decode.resize` does with the same image in a file.
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
        """Returns uint8 [batch, size, size, 3] for int64 [batch] indices."""
        images = self.gathered(indices)
        if images.shape.rank == 3:
            images = tf.repeat(images[..., None], 3, axis=-1)
        rows, columns = (self.size - side for side in images.shape[1:3])
        # `squash` only adds a border, without resizing; the other modes enlarge the image.
        near = 0 <= rows <= decode.BORDER and 0 <= columns <= decode.BORDER
        if self.mode != "squash" or not near:
            images = decode.resize(images, self.size, self.mode)
        elif rows or columns:
            border = [[0, 0], [rows // 2, rows - rows // 2], [columns // 2, columns - columns // 2], [0, 0]]
            images = tf.pad(images, border)
        return tf.ensure_shape(images, [None, self.size, self.size, 3])

    def gathered(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns the images at int64 [batch] indices as they are stored."""
        return tf.gather(self.images, indices)

    def stored(self, index: int) -> np.ndarray:
        """Returns the pixels of an image, before they are resized."""
        return self.gathered(tf.constant([index], tf.int64))[0].numpy()


class Encoded(Source):
    """Encoded images: `read` returns the bytes of one, `fetch` decodes and resizes several.

    An image that cannot be decoded is left out and counted: the data set is refused beyond `trouble.allowed`. An image that
    cannot be read, or no longer, ends the operation, so that nothing is trained or scored on a substitute for a missing file.

    Attributes:
        damaged: bool [n], True if the content is damaged; images that were not tried count as valid.
        tried: bool [n], True if the state is known.
    """

    def __init__(
        self, ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], size: int, mode: decode.Mode
    ):
        super().__init__(ids, labels, class_names, size, mode)
        self.damaged, self.tried = np.zeros(len(ids), bool), np.zeros(len(ids), bool)
        self._skipped: Sequence[tuple[str, str]] = ()
        self._where = "the data set"
        self._one_at_a_time = threading.Lock()

    def counted(self, skipped: Sequence[tuple[str, str]], where: str) -> None:
        """Takes over the (id, reason) of files that the listing left out, and the name of the data set."""
        self._skipped, self._where = skipped, where

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of an image, string [], for an int64 [] index."""
        raise NotImplementedError

    def stored(self, index: int) -> bytes | np.ndarray:
        """Returns the bytes of an image."""
        return self.read(tf.constant(index, tf.int64)).numpy()

    def encoded_size(self, indices: np.ndarray) -> int:
        """Returns the bytes that these images would take in encoded form; 0 if they are in memory already."""
        raise NotImplementedError

    def why(self, index: int) -> tuple[str, bool]:
        """Returns why an image could not be decoded, and whether its content is damaged (or it could not be read)."""
        raise NotImplementedError

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns uint8 [batch, size, size, 3] for int64 [batch] indices, or an error of TensorFlow if one is damaged."""
        spec = tf.TensorSpec([self.size, self.size, 3], tf.uint8)
        return tf.map_fn(
            lambda i: decode.preprocess(self.read(i), self.size, self.mode), indices, fn_output_signature=spec
        )

    def know(self, indices: np.ndarray, valid: np.ndarray) -> None:
        """Records which images could be decoded; raises as `judge`."""
        self.judge(indices[~valid])
        self.tried[indices] = True

    def judge(self, indices: Iterable[int]) -> None:
        """Finds out why images could not be decoded, and counts those with damaged content.

        Raises:
            Stopped: Some could not be read: they are missing, or the disk or the network share fails.
            UserError: Too many images of the data set are damaged.
        """
        with self._one_at_a_time:
            unread: list[tuple[str, str]] = []
            most = trouble.allowed(len(self) + len(self._skipped)) - len(self._skipped)
            for index in dict.fromkeys(int(index) for index in indices):
                if self.damaged[index] or self.damaged.sum() > most + trouble.SHOWN or len(unread) >= trouble.SHOWN:
                    continue
                reason, damaged = self.why(index)
                if damaged:
                    self.damaged[index] = self.tried[index] = True
                else:
                    unread.append((self.ids[index], reason))
            if unread:
                raise Stopped(trouble.gone(unread))
            if self.damaged.sum() > most:
                found = [(self.ids[int(i)], self.why(int(i))[0]) for i in np.flatnonzero(self.damaged)[: trouble.SHOWN]]
                bad, count = int(self.damaged.sum()) + len(self._skipped), len(self) + len(self._skipped)
                raise UserError(trouble.damaged([*found, *self._skipped], f"at least {bad}", count, self._where))

    def met(self, indices: np.ndarray) -> bool:
        """As `judge`, from a stream, which ends if this is False; `ended_by` holds the reason."""
        try:
            self.judge(indices)
        except (Stopped, UserError) as error:
            self.ended_by = error
        return self.ended_by is None

    def lost(self, indices: np.ndarray) -> bool:
        """Records, from a stream, images that were valid before and cannot be decoded now: sets `ended_by`, returns False."""
        some = [int(index) for index in indices[: trouble.SHOWN]]
        self.ended_by = Stopped(trouble.gone([(self.ids[index], self.why(index)[0]) for index in some]))
        return False

    def failures(self) -> list[tuple[str, str]]:
        """Returns (id, reason) of the images with damaged content so far."""
        reason = "damaged: its header is valid, its content is not"
        return [(self.ids[int(i)], reason) for i in np.flatnonzero(self.damaged)]


@contextlib.contextmanager
def telling(source: Source) -> Iterator[None]:
    """Raises the exception that ended a stream of the source's images in place of TensorFlow's error."""
    try:
        yield
    except tf.errors.OpError:
        if source.ended_by is None:
            raise
        found, source.ended_by = source.ended_by, None
        raise found from None


class Files(Encoded):
    """Image files.

    Args:
        paths: Paths in the file system's own bytes (a name need not be text).
        sizes: Number of bytes that `read` returns for each, int64 [n].
    """

    def __init__(self, paths: Sequence[bytes], sizes: np.ndarray, **known: Any):
        super().__init__(**known)
        self.paths, self.sizes = tf.constant(paths, tf.string), sizes

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of a file in a format that TensorFlow decodes."""
        return stream.read_file(self.paths[index])

    def stored(self, index: int) -> bytes:
        """Returns the bytes of a file in its own format, which `read` may have converted."""
        return Path(os.fsdecode(self.paths[index].numpy())).read_bytes()

    def why(self, index: int) -> tuple[str, bool]:
        """Returns why a file could not be decoded, and whether it is damaged."""
        path = self.paths[index].numpy()
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the path is bytes
                while file.read(1 << 20):
                    pass
        except OSError as error:
            return error.strerror or str(error), False
        problem = decode.problem(os.fsdecode(path))
        return (problem, True) if problem else ("it could not be read just now", False)

    def encoded_size(self, indices: np.ndarray) -> int:
        """The bytes of the contents, and of TensorFlow's strings."""
        return int(self.sizes[indices].sum()) + STRING * len(indices)


class Records(Encoded):
    """Encoded images that lie in other files: shards, columns of tables.

    Args:
        get: Function of an index that returns the bytes of an image, or raises OSError; several threads call it.
        sizes: Number of bytes that `read` returns for each, int64 [n].
    """

    def __init__(self, get: Callable[[int], bytes], sizes: np.ndarray, **known: Any):
        super().__init__(**known)
        self.get, self.sizes = get, sizes

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of an image in a format that TensorFlow decodes."""
        content = tf.numpy_function(stream.as_written(lambda at: self.get(int(at))), [index], tf.string)
        return stream.native(tf.ensure_shape(content, []))

    def stored(self, index: int) -> bytes:
        """Returns the bytes of an image in its own format."""
        return self.get(index)

    def why(self, index: int) -> tuple[str, bool]:
        """Returns why an image could not be decoded, and whether it is damaged."""
        try:
            problem = decode.problem_of(self.get(index))
        except OSError as error:
            return error.strerror or str(error), False
        return (problem, True) if problem else ("it could not be read just now", False)

    def encoded_size(self, indices: np.ndarray) -> int:
        """The bytes of the contents, and of TensorFlow's strings."""
        return int(self.sizes[indices].sum()) + STRING * len(indices)


class Buffers(Encoded):
    """Encoded images in memory: string [n]."""

    def __init__(self, buffers: tf.Tensor, **known: Any):
        super().__init__(**known)
        self.buffers = buffers

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Returns the bytes of an image."""
        return self.buffers[index]

    def why(self, index: int) -> tuple[str, bool]:
        """Returns that the content is damaged: bytes in memory can always be read."""
        return "its content cannot be decoded", True

    def encoded_size(self, indices: np.ndarray) -> int:
        """Returns 0."""
        return 0


def table(shape: tuple[int, ...]) -> np.ndarray:
    """Returns an uint8 array to fill, which `resident` takes over without a copy."""
    size = int(np.prod(shape))
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    return buffer[start : start + size].reshape(shape)


def resident(array: np.ndarray) -> tf.Tensor:
    """Returns the array as a tensor in main memory; an array from `table` is not copied, so that a large one fits once."""
    if array.ctypes.data % ALIGNMENT or not array.flags.c_contiguous or not array.flags.writeable:
        with tf.device("CPU:0"):
            return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
