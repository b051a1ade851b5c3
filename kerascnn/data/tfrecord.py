"""tfrecord:PATTERN: TFRecord files of tf.train.Example, each with an encoded image and its label."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError

from kerascnn.config import Data
from kerascnn.config.section import nearest
from kerascnn.data import checksums, shards
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing
from kerascnn.data.raw_labels import Label
from kerascnn.data.room import Room
from kerascnn.data.shard_files import Shard, ShardPlace
from kerascnn.data.shards import ShardForm, ShardImage
from kerascnn.errors import UserError

# Usual names of the features; those of TensorFlow's own scripts, then those of TensorFlow Datasets.
IMAGE = ("image/encoded", "image")
LABEL = ("image/class/label", "label")
TEXT, NAME = "image/class/text", ("image/filename", "filename", "file_name")
_HEAD, _FOOT = 12, 4  # bytes around a record: its length and the length's checksum, the content's checksum
_BLOCK = 8 << 20


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the images of the TFRecord files of `section.dataset`.

    Raises:
        UserError: A file is damaged or truncated, or a record is no Example with an image and a label.
    """
    asked = "\n".join((section.image_key or "", section.label_key or ""))
    return shards.listing(ShardForm("tfrecord", _samples, _labels, is_plain), asked, section, image_size, resize, room)


def images(shard: Shard, image_key: str = "") -> Iterator[ShardPlace]:
    """Yields the places of all images of a TFRecord file, with or without labels; an image without a name has its number.

    Args:
        shard: The file.
        image_key: Name of the feature, or "" for the usual ones.

    Raises:
        UserError: The file is damaged or truncated, or a record is no Example with an image.
    """
    for number, (offset, content) in enumerate(_records(shard)):
        found = _features(shard, number, content)
        try:
            encoded = _image(found, image_key)
        except ValueError as error:
            raise UserError(f"{shard.path}: record {number}: {error}") from None
        yield ShardPlace(_name(found) or f"{number:06d}", offset + content.index(encoded), len(encoded))


def is_plain(header: bytes) -> bool:
    """Returns whether a file begins with the length of a record and its checksum: the length may resemble gzip."""
    return checksums.masked_of_eight(header[:8]) == int.from_bytes(header[8:12], "little")


def _samples(shard: Shard, asked: str) -> Iterator[ShardImage]:
    image, label = asked.split("\n")
    for number, (offset, content) in enumerate(_records(shard)):
        found = _features(shard, number, content)
        try:
            encoded = _image(found, image)
            told = _told(found, label)
        except ValueError as error:
            raise UserError(f"{shard.path}: record {number}: {error}") from None
        # Equal bytes elsewhere in the record are as good.
        yield ShardImage(_name(found), told, offset + content.index(encoded), encoded)


def _features(shard: Shard, number: int, content: bytes) -> Any:
    try:
        return tf.train.Example.FromString(content).features.feature
    except DecodeError:
        raise UserError(f"{shard.path}: record {number} is no tf.train.Example") from None


def _name(found: Mapping[str, Any]) -> str:
    return next((_texts(found[key])[0] for key in NAME if key in found and _texts(found[key])), "")


def _records(shard: Shard) -> Iterator[tuple[int, bytes]]:
    """Yields place and content of each record; all checksums are verified.

    Raises:
        UserError: The file is damaged or truncated.
    """
    at = number = 0
    while at < shard.size:
        block = shard.read(at, _BLOCK)
        places = _framed(shard, block, at, number)
        if not places:  # a record that is longer than a block
            block = shard.read(at, _HEAD + _length(shard, block, at, number) + _FOOT)
            places = _framed(shard, block, at, number)
        if not places:
            raise UserError(f"{shard.path} is truncated: it ends within record {number}, at byte {at:,}")
        contents = [block[start:end] for start, end in places]
        given = [int.from_bytes(block[end : end + _FOOT], "little") for _, end in places]
        bad = (checksums.masked(checksums.crc32c(contents)) != given).nonzero()[0]
        if len(bad):
            start = at + places[int(bad[0])][0]
            raise UserError(f"{shard.path}: record {number + int(bad[0])} at byte {start:,} is damaged (checksum)")
        for (start, _), content in zip(places, contents, strict=True):
            yield at + start, content
        at += places[-1][1] + _FOOT
        number += len(places)


def _framed(shard: Shard, block: bytes, at: int, number: int) -> list[tuple[int, int]]:
    """Returns start and end of the whole records in a block."""
    places: list[tuple[int, int]] = []
    start = 0
    while start + _HEAD <= len(block):
        length = _length(shard, block[start : start + _HEAD], at + start, number + len(places))
        end = start + _HEAD + length
        if end + _FOOT > len(block):
            break
        places.append((start + _HEAD, end))
        start = end + _FOOT
    return places


def _length(shard: Shard, head: bytes, at: int, number: int) -> int:
    if len(head) < _HEAD:
        raise UserError(f"{shard.path} is truncated: it ends within record {number}, at byte {at:,}")
    length, given = struct.unpack("<QI", head[:_HEAD])
    if checksums.masked_of_eight(head[:8]) != given:
        hint = "no TFRecord file" if at == 0 else f"damaged: the length of record {number} at byte {at:,} (checksum)"
        raise UserError(f"{shard.path} is {hint}")
    if at + _HEAD + length + _FOOT > shard.size:
        raise UserError(f"{shard.path} is truncated: it ends within record {number}, at byte {at:,}")
    return length


def _key(found: Mapping[str, Any], told: str, usual: tuple[str, ...], flag: str) -> str:
    for key in (told,) if told else usual:
        if key in found:
            return key
    names = sorted(found)
    wanted = repr(told) + nearest(told, names) if told else " or ".join(map(repr, usual))
    shown = ", ".join(map(repr, names[:10])) + (" ..." if len(names) > 10 else "")
    raise ValueError(f"no feature {wanted}; it has {shown or 'none'} ({flag})")


def _image(found: Mapping[str, Any], told: str) -> bytes:
    key = _key(found, told, IMAGE, "--image-key")
    values = found[key].bytes_list.value
    if len(values) != 1 or not values[0]:
        raise ValueError(f"feature {key!r}: expected the bytes of one encoded image, got {len(values)} byte strings")
    return values[0]


def _texts(feature: Any) -> list[str]:
    return [value.decode("utf-8", "backslashreplace") for value in feature.bytes_list.value]


def _told(found: Mapping[str, Any], told: str) -> list[list[Any]]:
    """Returns all numbers of the label, and the names of the same classes.

    Raises:
        ValueError: There is no label.
    """
    texts = _texts(found[TEXT]) if TEXT in found else []
    if texts and not told and not any(key in found for key in LABEL):
        return [[], texts]
    key = _key(found, told, LABEL, "--label-key")
    kind = found[key].WhichOneof("kind")
    if kind == "bytes_list":
        return [[], _texts(found[key])]
    if kind == "float_list":
        raise ValueError(f"feature {key!r}: expected int64 or text, got real numbers")
    return [list(found[key].int64_list.value), texts]


def _labels(told: list[Any]) -> tuple[list[Label | None], dict[int, str]]:
    """Returns the labels, and the names of their numbers. Images have several labels if one does not have exactly one.

    Raises:
        UserError: A number has two names.
    """
    known: dict[int, str] = {}
    labels = []
    for numbers, texts in told:
        labels.append(numbers or texts)
        if len(numbers) == len(texts):
            for number, text in zip(numbers, texts, strict=True):
                if text and known.setdefault(number, text) != text:
                    raise UserError(f"label {number} is called {known[number]!r} and {text!r}: --class-names decides")
    if any(len(each) != 1 for each in labels):
        return labels, known
    return [None if isinstance(each[0], int) and each[0] < 0 else each[0] for each in labels], known
