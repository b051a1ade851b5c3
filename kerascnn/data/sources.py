"""Random access to images. A source knows its class names, labels, ids and length, and fetches any of its images."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn.data import decode, stream, trouble
from kerascnn.errors import Stopped, UserError

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

    # What ended a stream of its images: it has crossed TensorFlow, which keeps nothing of it but a message.
    ended_by: Stopped | UserError | None = None

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

    An image that cannot be decoded is left out, and counts: beyond `trouble.allowed` the data set is refused. One that cannot
    be read at all, or no more, ends what is being done: nothing is trained or scored on what stands in for a missing file.

    Attributes:
        damaged: bool [n], True where the content is damaged; what was not tried yet counts as sound.
        tried: bool [n], True where it is known.
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
        """Take over the (id, reason) of files that the listing left out, and what the data set is called."""
        self._skipped, self._where = skipped, where

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """string [] of an int64 [] place."""
        raise NotImplementedError

    def encoded_size(self, indices: np.ndarray) -> int:
        """Bytes that keeping these images encoded would take; 0 where they are in memory already."""
        raise NotImplementedError

    def why(self, place: int) -> tuple[str, bool]:
        """Why an image could not be decoded just now, and whether its content is damaged: else it could not be read."""
        raise NotImplementedError

    def fetch(self, indices: tf.Tensor) -> tf.Tensor:
        """uint8 [batch, size, size, 3] of int64 [batch] places; an error of TensorFlow where one is damaged."""
        spec = tf.TensorSpec([self.size, self.size, 3], tf.uint8)
        return tf.map_fn(
            lambda i: decode.preprocess(self.read(i), self.size, self.mode), indices, fn_output_signature=spec
        )

    def know(self, indices: np.ndarray, sound: np.ndarray) -> None:
        """Keep what was learned while images were decoded; raises as `judge` does."""
        self.judge(indices[~sound])
        self.tried[indices] = True

    def judge(self, places: Iterable[int]) -> None:
        """Find out why images could not be decoded, and count those whose content is damaged.

        Raises:
            Stopped: Some could not be read: they are gone, or the disk or the share fails.
            UserError: More of the data set is damaged than may be left out.
        """
        with self._one_at_a_time:
            unread: list[tuple[str, str]] = []
            most = trouble.allowed(len(self) + len(self._skipped)) - len(self._skipped)
            for place in dict.fromkeys(int(place) for place in places):
                if self.damaged[place] or self.damaged.sum() > most + trouble.SHOWN or len(unread) >= trouble.SHOWN:
                    continue
                reason, damaged = self.why(place)
                if damaged:
                    self.damaged[place] = self.tried[place] = True
                else:
                    unread.append((self.ids[place], reason))
            if unread:
                raise Stopped(trouble.gone(unread))
            if self.damaged.sum() > most:
                found = [(self.ids[int(i)], self.why(int(i))[0]) for i in np.flatnonzero(self.damaged)[: trouble.SHOWN]]
                bad, count = int(self.damaged.sum()) + len(self._skipped), len(self) + len(self._skipped)
                raise UserError(trouble.damaged([*found, *self._skipped], f"at least {bad}", count, self._where))

    def met(self, places: np.ndarray) -> bool:
        """`judge` from within a stream, which ends where this is False; `ended_by` says why."""
        try:
            self.judge(places)
        except (Stopped, UserError) as error:
            self.ended_by = error
        return self.ended_by is None

    def lost(self, places: np.ndarray) -> bool:
        """From within a stream: images that were sound before and cannot be decoded now; False, and `ended_by` is set."""
        some = [int(place) for place in places[: trouble.SHOWN]]
        self.ended_by = Stopped(trouble.gone([(self.ids[place], self.why(place)[0]) for place in some]))
        return False

    def failures(self) -> list[tuple[str, str]]:
        """(id, reason) of the images whose content turned out to be damaged, so far."""
        reason = "damaged: its header is sound, its content is not"
        return [(self.ids[int(i)], reason) for i in np.flatnonzero(self.damaged)]


@contextlib.contextmanager
def telling(source: Source) -> Iterator[None]:
    """Let what ended a stream of the source's images be raised in place of TensorFlow's error."""
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
        paths: Where they are, as the file system's own bytes (a name need not be text).
        sizes: int64 [n], bytes that `read` gives of each.
    """

    def __init__(self, paths: Sequence[bytes], sizes: np.ndarray, **known: Any):
        super().__init__(**known)
        self.paths, self.sizes = tf.constant(paths, tf.string), sizes

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The file's bytes, in a form that TensorFlow decodes."""
        return stream.read_file(self.paths[index])

    def why(self, place: int) -> tuple[str, bool]:
        """Why a file could not be decoded just now, and whether it is damaged."""
        path = self.paths[place].numpy()
        try:
            with open(path, "rb") as file:  # noqa: PTH123 - the path is bytes
                while file.read(1 << 20):
                    pass
        except OSError as error:
            return error.strerror or str(error), False
        problem = decode.problem(os.fsdecode(path))
        return (problem, True) if problem else ("it could not be read a moment ago", False)

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

    def why(self, place: int) -> tuple[str, bool]:
        """What is in memory can be read: its content is damaged."""
        return "its content cannot be decoded", True

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
