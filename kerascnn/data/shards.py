"""Data sets of shards, files that hold many images each: listed from an index of each shard, which is made once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data import raw_labels, remote, shard_names, short_name, split_file
from kerascnn.data.contents import FileContent, learned
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing, fingerprint
from kerascnn.data.raw_labels import Label
from kerascnn.data.record_index import ImageFacts, RecordIndex
from kerascnn.data.room import Missing, Room
from kerascnn.data.shard_files import MemoryBudget, Shard, ShardBytes
from kerascnn.data.sources import Records
from kerascnn.data.splits import SPLIT_NAMES, TRAIN
from kerascnn.data.trouble import SYSTEM, gone, without_damaged
from kerascnn.data.walking import composed
from kerascnn.errors import Stopped, UserError

THREADS = 8  # shards that are indexed at the same time
VERSION = 1  # of the index


class ShardImage(NamedTuple):
    """One image of a shard.

    Attributes:
        name: Its name, or "" if it has none.
        label: What the shard says about its class, as JSON can hold it; the form of data set knows what it means.
        offset: Place of its bytes in the shard.
        content: Its bytes.
    """

    name: str
    label: Any
    offset: int
    content: bytes


class ShardForm(NamedTuple):
    """A form of shards.

    Attributes:
        name: Key of `data.FORMS`.
        samples: Function of a shard and of a text that tells what to read; yields its samples.
        labels: Function of all labels, the section and notes that returns the label of each image, None for an image without
            one, and the names of classes by number.
        plain: Whether a file's first bytes are those of a shard that is not compressed, whatever they resemble.
    """

    name: str
    samples: Callable[[Shard, str], Iterator[ShardImage]]
    labels: Callable[[list[Any]], tuple[list[Label | None], dict[int, str]]]
    plain: Callable[[bytes], bool] = lambda header: False


class ShardIndex(NamedTuple):
    """The images of a shard."""

    names: list[str]
    labels: list[Any]
    facts: ImageFacts


def listing(form: ShardForm, asked: str, section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns all images of the shards that `section.dataset` names.

    Args:
        form: The form of the shards.
        asked: Text that tells `form.samples` what to read.
        section, image_size, resize, room: As of every loader.

    Raises:
        UserError: There are no shards, one is damaged, an image has no label, or two have the same name.
        Stopped: The disk or the network share fails.
    """
    pattern = section.dataset.removeprefix(f"{form.name}:")
    notes: list[str] = []
    if is_remote(pattern):
        paths = remote.copies(remote.matched(form.name, pattern), section.cache, room)
    else:
        paths = shard_names.matched(form.name, pattern)
    shards, indexes = _indexed(form, asked, paths, room)
    counts = [len(index.names) for index in indexes]
    at = np.repeat(np.arange(len(shards)), counts)
    ids = _ids([shard.path for shard in shards], [index.names for index in indexes], notes)
    labels, known = form.labels([label for index in indexes for label in index.labels])
    given = _given([shard.path for shard in shards], at, ids, section.dataset)
    facts = _joined([index.facts for index in indexes])
    _, skipped = facts.valid(ids)
    notes += without_damaged(room.counted(skipped), len(ids) - len(skipped), section.dataset)
    used = [i for i in range(len(ids)) if i not in facts.problems and labels[i] is not None]
    if len(used) + len(skipped) < len(ids):
        notes.append(f"not used: {len(ids) - len(skipped) - len(used)} images without a label")
    if not used:
        raise Missing(f"{section.dataset} has no images with a label, in {len(shards)} files")
    order = np.array(sorted(used, key=ids.__getitem__), np.int64)
    numbers, names = raw_labels.arranged([labels[i] for i in order], section.class_names, known, notes)
    facts = facts.taken(order)
    source = Records(
        ShardBytes(shards, at[order], facts.offsets, facts.sizes).get,
        facts.kept,
        ids=[ids[i] for i in order],
        labels=numbers,
        class_names=names,
        size=image_size,
        mode=resize,
    )
    source.counted(room.counted(skipped), section.dataset)
    found = Listing(
        source,
        given[order],
        fingerprint(source, given[order], facts.hexadecimal()),
        short_name(section.dataset),
        tuple(notes),
        tuple(sorted(skipped)),
    )
    return split_file.applied(found, section)


def _indexed(form: ShardForm, asked: str, paths: Sequence[Path], room: Room) -> tuple[list[Shard], list[ShardIndex]]:
    """Returns the shards and the index of each; shards are read in parallel where it is not remembered."""
    budget, lock, ended = MemoryBudget(), threading.Lock(), threading.Event()
    total = sum(path.stat().st_size for path in paths)
    with room.counting("indexing shards (MB)", max(1, total >> 20)) as advance:
        done = shown = 0

        def told(count: int) -> None:
            nonlocal done, shown
            if ended.is_set():
                raise UserError("no longer needed")  # which nobody sees
            with lock:
                done += count
                if (done >> 20) > shown:
                    advance((done >> 20) - shown)
                    shown = done >> 20

        def one(path: Path) -> tuple[Shard, ShardIndex]:
            try:
                shard = Shard(path, budget, form.plain)
                return shard, _index(form, asked, shard, room, told)
            except OSError as error:
                reason = error.strerror or str(error)
                if error.errno in SYSTEM:
                    raise Stopped(gone([(str(path), reason)])) from None
                raise UserError(f"{path} cannot be read: {reason}") from None

        pool = ThreadPoolExecutor(THREADS)
        try:
            found = list(pool.map(one, paths))
        finally:  # after an error, or Ctrl-C, no further image is read
            ended.set()
            pool.shutdown(cancel_futures=True)
    return [shard for shard, _ in found], [index for _, index in found]


def _index(form: ShardForm, asked: str, shard: Shard, room: Room, told: Callable[[int], None]) -> ShardIndex:
    remembered = RecordIndex(room.contents, shard.path, f"{form.name} {VERSION} {asked}")
    remembered.status = shard.status  # a shard that is replaced in this moment is not remembered by its new status
    facts = remembered.load()
    if facts is not None:
        told(shard.status.st_size)
        names, labels = json.loads(facts.told)
        return ShardIndex(names, labels, facts)
    names, labels = list[str](), list[Any]()
    found, offsets = list[FileContent](), list[int]()
    scale, before = shard.status.st_size / max(1, shard.size), 0
    for sample in form.samples(shard, asked):
        names.append(_name(sample.name))
        labels.append(sample.label)
        found.append(learned(sample.content))
        offsets.append(sample.offset)
        told(int(scale * max(0, sample.offset - before)))
        before = max(before, sample.offset)
    told(shard.status.st_size - int(scale * before))
    facts = ImageFacts.of(len(found))
    for place, content in enumerate(found):
        facts.put(place, content, offsets[place])
    facts.told = json.dumps([names, labels])
    remembered.keep(facts)
    return ShardIndex(names, labels, facts)


def _name(name: str) -> str:
    """Returns a name as an id: composed Unicode, bytes that are none as \\x.."""
    return composed(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _ids(paths: Sequence[Path], names: Sequence[Sequence[str]], notes: list[str]) -> list[str]:
    """Returns the names of all images; those of their shards stand in front where they are not unique.

    Raises:
        UserError: Two images of a shard have the same name.
    """
    flat = [name for each in names for name in each]
    if all(flat) and len(set(flat)) == len(flat):
        return flat
    if all(flat):
        notes.append("names of images occur in several shards: they are preceded by the name of their shard")
    else:
        notes.append("images without a name: they are called by their shard and their number in it")
        names = [[f"{place:06d}" for place in range(len(each))] for each in names]
    stems = [shard_names.stem(path) for path in paths]
    if len(set(stems)) < len(stems):
        stems = [f"{path.parent.name}/{stem}" for path, stem in zip(paths, stems, strict=True)]
    found = [f"{stem}/{name}" for stem, each in zip(stems, names, strict=True) for name in each]
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise UserError(f"two images are called {one_line(twice[0])!r}: give each its own name")
    return found


def _given(paths: Sequence[Path], at: np.ndarray, ids: Sequence[str], dataset: str) -> np.ndarray:
    """Returns the given split of each image, str [n]: by the name of its shard, else by the first folder of its name.

    Raises:
        UserError: Only some shards are named after splits.
    """
    told = np.array([shard_names.split_of(path) for path in paths])
    if len(set(told.tolist())) > 1:
        if not told.all():
            path = paths[int(np.flatnonzero(told == "")[0])]
            raise UserError(
                f"{dataset}: some shards are named after a split, and {path.name} is not: name its split as well"
            )
        return told[at]
    inside = np.array([SPLIT_NAMES.get(name.partition("/")[0].lower(), "") for name in ids])
    return inside if inside.all() and (inside == TRAIN).any() else np.full(len(ids), "", "U5")


def _joined(facts: Sequence[ImageFacts]) -> ImageFacts:
    starts = np.cumsum([0, *(len(each.kept) for each in facts)]).tolist()
    problems = {
        start + at: why for start, each in zip(starts, facts, strict=False) for at, why in each.problems.items()
    }
    digests, kept, offsets, sizes = (
        np.concatenate([getattr(each, name) for each in facts]) for name in ("digests", "kept", "offsets", "sizes")
    )
    return ImageFacts(digests, kept, problems, offsets, sizes)
