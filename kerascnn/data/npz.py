"""npz:FILE: arrays of images and labels, as numpy.savez writes them; in memory if they fit, else read from the file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data import existing, raw_labels, remote, short_name, split_file
from kerascnn.data.arrays import Arrays, Member
from kerascnn.data.contents import DIGEST, FileContent
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing, fingerprint
from kerascnn.data.raw_labels import Label
from kerascnn.data.record_index import ImageFacts, RecordIndex
from kerascnn.data.room import Missing, Room
from kerascnn.data.shard_files import MemoryBudget, Shard
from kerascnn.data.sources import Pixels, table
from kerascnn.data.splits import SPLIT_NAMES
from kerascnn.data.trouble import gone
from kerascnn.devices.free_memory import free_memory
from kerascnn.errors import Stopped, UserError

THREADS, PART = 4, 256  # images of a task of hashing
IDS, CLASS_NAMES, SPLIT = ("ids", "id", "names", "filenames"), ("class_names", "classes", "label_names"), "split"


class PixelsInFile(Pixels):
    """Images of one size in a file, uint8 [n, h, w] or [n, h, w, 3] in parts; they are read, not mapped.

    A mapped file that is truncated would end the process with a signal, and its pages would count as memory in use.

    Args:
        file: The file.
        parts: Place and number of images of each part.
        shape: Shape of one image.
    """

    def __init__(self, file: Shard, parts: Sequence[tuple[int, int]], shape: tuple[int, ...], **known: Any) -> None:
        super().__init__(np.zeros((1, *shape), np.uint8), **known)
        self.file, self.shape, self.bytes = file, shape, int(np.prod(shape))
        self.offsets = np.concatenate([offset + self.bytes * np.arange(count) for offset, count in parts])

    def gathered(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns the images at int64 [batch] indices as they are stored."""
        images = tf.numpy_function(self.read, [indices], tf.uint8)
        return tf.ensure_shape(images, [None, *self.shape])

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Returns the images at `indices`."""
        images = np.empty((len(indices), *self.shape), np.uint8)
        try:
            for image, offset in zip(images, self.offsets[indices].tolist(), strict=True):
                image[...] = np.frombuffer(self.file.read(offset, self.bytes), np.uint8).reshape(self.shape)
        except UserError as error:
            self.ended_by = error
            raise
        except (OSError, ValueError) as error:
            self.ended_by = Stopped(gone([(str(self.file.path), str(error))]))
            raise
        return images


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the images of the arrays of `section.dataset`.

    Raises:
        UserError: The file is damaged or pickled, its arrays are not images and labels, or they do not fit into memory.
    """
    where = section.dataset.removeprefix("npz:")
    path = remote.copies([where], section.cache, room)[0] if is_remote(where) else existing.npz(section.dataset)
    notes: list[str] = []
    with Arrays(path) as arrays:
        pairs = arrays.pairs()
        shape = _checked(arrays, pairs)
        others = sorted(arrays.members.keys() - {member.name for _, *both in pairs for member in both})
        given = np.concatenate([np.full(images.shape[0], split, "U5") for split, images, _ in pairs])
        labels = _labels(arrays, pairs)
        ids = _ids(arrays, pairs, others)
        told = tuple(section.class_names) or _texts(arrays, CLASS_NAMES, others)
        if SPLIT in others and not given.any():
            given = _splits(arrays, len(given), others)
        notes += [f"not used: the arrays {', '.join(map(one_line, others))}"] if others else []
        known: dict[str, Any] = {"size": image_size, "mode": resize, "ids": ids}
        used = [i for i, label in enumerate(labels) if not (isinstance(label, int) and label < 0)]
        if not used:
            raise Missing(f"{path} has no images with a label")
        numbers, known["class_names"] = raw_labels.arranged([labels[i] for i in used], told, notes=notes)
        known["labels"] = numbers
        if len(used) < len(labels):
            notes.append(f"not used: {len(labels) - len(used)} images without a label")
            known["ids"], given = [ids[i] for i in used], given[used]
        source, digests = _source(arrays, pairs, shape, used, room, known)
    found = Listing(source, given, fingerprint(source, given, digests), short_name(section.dataset), tuple(notes))
    return split_file.applied(found, section)


def _checked(arrays: Arrays, pairs: Sequence[tuple[str, Member, Member]]) -> tuple[int, ...]:
    """Returns the shape of one image: [h, w] or [h, w, 3]."""
    shapes = set()
    for _, images, labels in pairs:
        shape = images.shape[1:-1] if len(images.shape) == 4 and images.shape[-1] == 1 else images.shape[1:]
        what = f"{arrays.path}: {one_line(images.name)}"
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[-1] != 3) or 0 in shape or images.fortran:
            turned = ": put the channels last, images.transpose(0, 2, 3, 1)" if shape[:1] in ((1,), (3,)) else ""
            order = " in Fortran order" if images.fortran else ""
            raise UserError(f"{what}: expected [n, h, w] or [n, h, w, 3], got {list(images.shape)}{order}{turned}")
        if images.dtype != np.uint8:
            hint = "" if images.dtype.hasobject else ": (images * 255).round().astype('uint8') for values from 0 to 1"
            raise UserError(f"{what}: expected uint8 from 0 to 255, got {images.dtype}{hint}")
        if labels.shape[:1] != images.shape[:1]:
            raise UserError(
                f"{what} has {images.shape[0]} images and {one_line(labels.name)} {list(labels.shape)} labels"
            )
        shapes.add(shape)
    if len(shapes) > 1:
        raise UserError(f"{arrays.path}: images of one size are expected, got {' and '.join(map(str, sorted(shapes)))}")
    return shapes.pop()


def _labels(arrays: Arrays, pairs: Sequence[tuple[str, Member, Member]]) -> list[Label]:
    """Returns numbers or names; lists of numbers for 0/1 columns of which not exactly one is 1."""
    columns = [arrays.read(labels.name) for _, _, labels in pairs]
    columns = [column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column for column in columns]
    names = ", ".join(labels.name for _, _, labels in pairs)
    if len({column.shape[1:] for column in columns}) > 1 or columns[0].ndim > 2:
        raise UserError(f"{arrays.path}: {names}: expected [n] or [n, classes], the same for all")
    whole = np.concatenate(columns)
    if whole.ndim == 2:
        if not np.isin(whole, (0, 1)).all():
            raise UserError(f"{arrays.path}: {names}: expected 0 or 1 in each column")
        if (whole.sum(axis=1) == 1).all():
            return whole.argmax(axis=1).tolist()
        return [np.flatnonzero(row).tolist() for row in whole]
    if whole.dtype.kind in "US":
        return whole.astype(str).tolist()
    if whole.dtype.kind not in "iub":
        raise UserError(f"{arrays.path}: {names}: expected whole numbers or texts, got {whole.dtype}")
    return whole.astype(np.int64).tolist()


def _ids(arrays: Arrays, pairs: Sequence[tuple[str, Member, Member]], others: list[str]) -> list[str]:
    count = sum(images.shape[0] for _, images, _ in pairs)
    found = list(_texts(arrays, IDS, others))
    if not found:
        return [f"{split or 'images'}/{place}" for split, images, _ in pairs for place in range(images.shape[0])]
    if len(found) != count or len(set(found)) != count:
        raise UserError(
            f"{arrays.path}: its ids: expected {count}, each once, got {len(found)} ({len(set(found))} of them differ)"
        )
    return found


def _texts(arrays: Arrays, names: Sequence[str], others: list[str]) -> tuple[str, ...]:
    name = next((name for name in names if name in others), None)
    if name is None:
        return ()
    others.remove(name)
    return tuple(str(value) for value in np.ravel(arrays.read(name)).tolist())


def _splits(arrays: Arrays, count: int, others: list[str]) -> np.ndarray:
    found = [SPLIT_NAMES.get(text.strip().lower()) for text in _texts(arrays, (SPLIT,), others)]
    if len(found) != count or None in found:
        raise UserError(f"{arrays.path}: split: expected train, val or test for each of the {count} images")
    return np.array(found, "U5")


def _source(
    arrays: Arrays,
    pairs: Sequence[tuple[str, Member, Member]],
    shape: tuple[int, ...],
    used: list[int],
    room: Room,
    known: dict[str, Any],
) -> tuple[Pixels, list[str]]:
    """Returns the source of the used images and the digests of their pixels."""
    members = [images for _, images, _ in pairs]
    needed, quarter = sum(member.size for member in members), free_memory() // 4
    count = sum(member.shape[0] for member in members)
    if needed <= quarter:
        pixels, at = table((count, *shape)), 0
        for member in members:
            arrays.rows(member, pixels[at : at + member.shape[0]].reshape(member.shape))
            at += member.shape[0]
        if len(used) < count:
            pixels = pixels[used]
        return Pixels(pixels, **known), _digests(pixels, room)
    if any(member.offset < 0 for member in members):
        raise UserError(
            f"{arrays.path} takes {needed / 1e9:.1f} GB, a quarter of the free memory is {quarter / 1e9:.1f} GB, and it is"
            " compressed, so that it cannot be read in parts: write it again with numpy.savez instead of savez_compressed"
        )
    parts = [(member.offset, member.shape[0]) for member in members]
    source = PixelsInFile(Shard(arrays.path, MemoryBudget()), parts, shape, **known)
    source.offsets = source.offsets[used]
    index = RecordIndex(room.contents, arrays.path, "pixels")
    facts = index.load()
    if facts is None or len(facts.kept) != len(used):
        facts = ImageFacts.of(len(used))
        for place, digest in enumerate(_digests(source, room)):
            facts.put(place, FileContent(bytes.fromhex(digest), source.bytes, source.bytes, None, 0))
        index.keep(facts)
    return source, facts.hexadecimal()


def _digests(images: np.ndarray | PixelsInFile, room: Room) -> list[str]:
    count = len(images)

    def some(first: int) -> list[str]:
        end = min(first + PART, count)
        part = images[first:end] if isinstance(images, np.ndarray) else images.read(np.arange(first, end))
        return [hashlib.blake2b(image.tobytes(), digest_size=DIGEST).hexdigest() for image in part]

    found: list[str] = []
    with (
        room.counting("reading images", count) as advance,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool,
    ):
        for part in pool.map(some, range(0, count, PART)):
            found += part
            advance(len(part))
    return found
