"""Items of a prediction -> pixels as the network takes them: files, the bytes of files, arrays."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.data import decode


class Stored(NamedTuple):
    """An image that lies in another file: in a shard, or in a column of a table.

    Attributes:
        name: What it is called.
        read: Returns the bytes of its file, or raises OSError; several threads call it.
    """

    name: str
    read: Callable[[], bytes]


Item = str | os.PathLike[str] | np.ndarray | Stored
# Images that a thread decodes together: a call for each would take longer than decoding a small image.
TOGETHER = 16


def pixels(items: Sequence[Item], size: int, mode: decode.Mode) -> list[np.ndarray | str]:
    """Returns each item as [size, size, 3], or why it cannot be used.

    Args:
        items: Some of them; their bytes are in memory together.
        size: Height and width.
        mode: Resize mode.
    """
    found = [fitted(item, size, mode) if isinstance(item, np.ndarray) else _content(item) for item in items]
    places = [place for place, one in enumerate(found) if isinstance(one, bytes)]
    images = _decoded([one for one in found if isinstance(one, bytes)], size, mode) if places else []
    for place, image in zip(places, images, strict=True):
        found[place] = image
    return found  # type: ignore[return-value]  # no bytes are left


def of_content(content: bytes, size: int, mode: decode.Mode) -> np.ndarray | str:
    """Returns the bytes of an image file as uint8 [size, size, 3], or why they cannot be used."""
    problem = decode.probe_content(content).problem
    return problem if problem is not None else _one(content, size, mode)


def fitted(image: np.ndarray, size: int, mode: decode.Mode) -> np.ndarray | str:
    """Returns an image as [size, size, 3], or why it cannot be used."""
    if image.ndim == 2:
        image = image[..., None].repeat(3, -1)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        return f"expected an image [height, width, 3] or [height, width], got an array {list(image.shape)}"
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        return f"expected uint8, or float in 0-255, got {image.dtype}"
    if not np.isfinite(image).all():
        return "it contains NaN or infinite values"
    if image.shape[:2] == (size, size):
        return image
    return decode.resize(image, size, mode).numpy()


def _content(item: str | os.PathLike[str] | Stored) -> bytes | str:
    """Returns the bytes of a file whose header is valid, or what is wrong with it."""
    try:
        if isinstance(item, Stored):
            content = item.read()
            return decode.probe_content(content).problem or content
        # The header first: a file that is no image may be of any size.
        return decode.probe(item).problem or Path(item).read_bytes()
    except OSError as error:
        return error.strerror or str(error)


def _decoded(contents: Sequence[bytes], size: int, mode: decode.Mode) -> list[Any]:
    """Returns the images of valid headers: those of a kind by one call."""
    found: list[Any] = [None] * len(contents)
    kinds = [decode.plain_format(content) for content in contents]
    for kind in dict.fromkeys(kinds):
        places = [place for place, one in enumerate(kinds) if one == kind]
        some = [contents[place] for place in places]
        try:
            images = list(_reader_of_several(size, mode, kind)(tf.constant(some, tf.string)).numpy())
        except tf.errors.OpError:  # the content of one is damaged: which one, and why
            images = [_one(content, size, mode) for content in some]
        for place, image in zip(places, images, strict=True):
            found[place] = image
    return found


def _one(content: bytes, size: int, mode: decode.Mode) -> np.ndarray | str:
    try:
        return _reader(size, mode)(content).numpy()
    except tf.errors.OpError:
        return decode.problem_of(content) or "it cannot be decoded"


@functools.cache
def _reader(size: int, mode: decode.Mode) -> Callable[[Any], Any]:
    """Returns a function from a file's bytes to uint8 [size, size, 3], traced once."""
    return tf.function(
        lambda content: decode.preprocess(decode.native(content), size, mode),
        input_signature=[tf.TensorSpec([], tf.string)],
        autograph=False,
    )


@functools.cache
def _reader_of_several(size: int, mode: decode.Mode, kind: Literal["jpeg", "png"] | None) -> Callable[[Any], Any]:
    """Returns a function from the bytes of n files of a `plain_format` to uint8 [n, size, size, 3], traced once."""

    def one(content):
        pixels = decode.decode(decode.native(content)) if kind is None else decode.decode_plain(content, kind)
        return decode.resize(pixels, size, mode)

    spec = tf.TensorSpec([size, size, 3], tf.uint8)
    return tf.function(
        # One after the other: several calls run at the same time, and a large image needs much memory.
        lambda contents: tf.map_fn(one, contents, fn_output_signature=spec, parallel_iterations=1),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
