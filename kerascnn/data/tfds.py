"""tfds:NAME: a prepared data set of TensorFlow Datasets, read into memory once, without network access."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kerascnn.config import Data
from kerascnn.data import decode, short_name, split_file
from kerascnn.data.listing import FINGERPRINT, Former, Listing
from kerascnn.data.prepared import Spec, find, folder, parse
from kerascnn.data.room import Room
from kerascnn.data.sources import Buffers, Pixels, Source, table
from kerascnn.data.splits import OUT, SPLIT_NAMES
from kerascnn.data.stream import as_written
from kerascnn.devices.free_memory import free_memory
from kerascnn.errors import UserError

SMALL = 64  # pixels; images of one size up to this are kept decoded


class Columns(NamedTuple):
    """Names of the features, and height and width of the images if all have the same."""

    image: str
    label: str
    side: tuple[int | None, ...]


def listing(section: Data, image_size: int, resize: decode.Mode, room: Room) -> Listing:
    """Returns the images of a prepared data set in its own splits; splits other than train, val and test are not used.

    Raises:
        UserError: It is not prepared (without --download), has no image or label, or is too large for memory.
    """
    import tensorflow_datasets as tfds

    spec = parse(section.dataset)
    home = folder(section.data_dir)
    if section.download:
        _fetch(tfds, spec, home)
    place = find(spec, home)
    builder = tfds.builder_from_directory(place)
    columns = _columns(tfds, builder.info, section.dataset)
    notes: list[str] = []
    spans = _spans(tfds, builder.info, spec, section.dataset, notes)
    small = all(side is not None and side <= SMALL for side in columns.side) and image_size <= SMALL
    _check_memory(builder.info, spans, columns.side if small else None, section.dataset)
    read = _decoded if small else _encoded
    content = hashlib.blake2b()
    with room.counting("reading images", sum(span.images for span in spans)) as advance:
        images, labels = read(tfds, builder, spans, columns, content, advance)
    given = np.repeat([SPLIT_NAMES.get(span.split, "") for span in spans], [span.images for span in spans])
    for span in spans:
        unlabelled = (given == SPLIT_NAMES.get(span.split, "")) & (labels < 0)
        if unlabelled.any():
            notes.append(f"not used: {unlabelled.sum()} images of {span.split} without a label")
    given = np.where(labels < 0, OUT, given)
    known: dict[str, Any] = {
        "ids": [f"{span.split}/{place}" for span in spans for place in range(span.first, span.first + span.images)],
        "labels": labels,
        "class_names": tuple(builder.info.features[columns.label].names),
        "size": image_size,
        "mode": resize,
    }
    source: Source = Pixels(images, **known) if small else Buffers(images, **known)
    identity = [builder.info.full_name, *(f"{span.split} {span.first} {span.images}" for span in spans)]
    former = Former(_hashed(identity), max(file.stat().st_mtime for file in place.iterdir()))
    whole = [*identity, *known["class_names"], hashlib.blake2b(labels.tobytes()).hexdigest(), content.hexdigest()]
    name = short_name(section.dataset)
    found = Listing(source, given, FINGERPRINT + _hashed(whole), name, tuple(notes), former=former)
    return split_file.applied(found, section)


def _hashed(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _fetch(tfds: Any, spec: Spec, home: Path) -> None:
    name = spec.name + (f"/{spec.config}" if spec.config else "") + (f":{spec.version}" if spec.version else "")
    try:
        tfds.builder(name, data_dir=home).download_and_prepare()
    except Exception as error:  # no network, a wrong checksum, an unknown name: each raises different errors
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"TensorFlow Datasets could not prepare {name!r} in {home}: {first}") from error


def _columns(tfds: Any, info: Any, dataset: str) -> Columns:
    """Returns the features of image and label: the supervised keys, else the only feature of each kind."""
    features = info.features
    keys = info.supervised_keys or ()
    chosen = []
    for kind in (tfds.features.Image, tfds.features.ClassLabel):
        names = [name for name in keys if isinstance(name, str) and isinstance(features[name], kind)]
        names = names or [name for name, feature in features.items() if isinstance(feature, kind)]
        if len(names) != 1:
            raise UserError(
                f"{dataset} is not an image classification data set: expected one {kind.__name__}, found {len(names)}"
            )
        chosen.append(names[0])
    image = features[chosen[0]]
    if np.dtype(image.np_dtype) not in (np.uint8, np.uint16):
        raise UserError(f"{dataset}: expected images of 8 or 16 bits, got {np.dtype(image.np_dtype)}")
    return Columns(chosen[0], chosen[1], tuple(image.shape[:2]))


class Span(NamedTuple):
    """`images` images of one of the data set's own splits, starting at `first`."""

    split: str
    first: int
    images: int


def _spans(tfds: Any, info: Any, spec: Spec, dataset: str, notes: list[str]) -> list[Span]:
    names = [name for name in info.splits if name.lower() in SPLIT_NAMES and info.splits[name].num_examples]
    others = [name for name in info.splits if name not in names]
    if not names:
        names, others = others[:1], others[1:]
    if others:
        notes.append(f"not used: the splits {', '.join(others)}")
    spans = []
    for name in names:
        try:
            parts = tfds.core.ReadInstruction.from_spec(f"{name}[{spec.slice}]" if spec.slice else name).to_absolute(
                info.splits
            )
        except (ValueError, AssertionError) as error:
            raise UserError(f"{dataset}: cannot slice: {str(error).splitlines()[0]}") from None
        spans += [
            Span(
                name,
                part.from_ or 0,
                (info.splits[name].num_examples if part.to is None else part.to) - (part.from_ or 0),
            )
            for part in parts
        ]
    spans = [span for span in spans if span.images > 0]
    if not spans:
        raise UserError(f"{dataset} has no images")
    return spans


def _check_memory(info: Any, spans: list[Span], side: tuple[int | None, ...] | None, dataset: str) -> None:
    if side:
        needed = sum(span.images for span in spans) * math.prod(filter(None, side)) * 3
    else:
        needed = sum(info.splits[s.split].num_bytes * s.images // info.splits[s.split].num_examples for s in spans)
    quarter = free_memory() // 4
    if needed > quarter:
        raise UserError(
            f"{dataset} takes {needed / 1e9:.1f} GB, a quarter of the free memory is {quarter / 1e9:.1f} GB: "
            f"take a slice, such as tfds:NAME[:10%]"
        )


@as_written
def _dataset(tfds: Any, builder: Any, span: Span, columns: Columns) -> tf.data.Dataset:
    """Returns (encoded image, label) in the order of the files."""
    wanted = tfds.decode.PartialDecoding(
        {columns.image: True, columns.label: True}, decoders={columns.image: tfds.decode.SkipDecoding()}
    )
    config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    split = tfds.core.ReadInstruction(span.split, from_=span.first, to=span.first + span.images, unit="abs")
    dataset = builder.as_dataset(split=split, decoders=wanted, read_config=config, shuffle_files=False)
    return dataset.map(lambda row: (row[columns.image], row[columns.label]))


@as_written
def _decoded(
    tfds: Any, builder: Any, spans: list[Span], columns: Columns, content: Any, advance: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns uint8 [n, h, w, 3] and labels; `content` hashes every encoded image."""
    count = sum(span.images for span in spans)
    images, labels, at = table((count, *filter(None, columns.side), 3)), np.empty(count, np.int32), 0
    for span in spans:
        rows = _dataset(tfds, builder, span, columns)
        rows = rows.map(lambda image, label: (decode.decode(image), label, image), num_parallel_calls=tf.data.AUTOTUNE)
        for some, theirs, encoded in rows.batch(1024).prefetch(2).as_numpy_iterator():
            images[at : at + len(some)], labels[at : at + len(some)] = some, theirs
            _take_in(encoded, content)
            at += len(some)
            advance(len(some))
    return images, labels


@as_written
def _encoded(
    tfds: Any, builder: Any, spans: list[Span], columns: Columns, content: Any, advance: Callable[[int], None]
) -> tuple[tf.Tensor, np.ndarray]:
    """Returns string [n] and labels; `content` hashes every encoded image."""
    parts = [next(iter(_dataset(tfds, builder, span, columns).batch(span.images))) for span in spans]
    images, labels = (tf.concat(column, 0) if len(parts) > 1 else column[0] for column in zip(*parts, strict=True))
    for first in range(0, len(labels), 1024):
        _take_in(images[first : first + 1024].numpy(), content)
        advance(min(1024, len(labels) - first))
    return images, labels.numpy().astype(np.int32)


def _take_in(encoded: np.ndarray, content: Any) -> None:
    """Hashes the length and bytes of each image."""
    for image in encoded:
        content.update(len(image).to_bytes(8, "little"))
        content.update(image)
