"""wds:PATTERN: WebDataset shards, tar files of images (.jpg, .png, ...) beside their labels (.cls, .json, .txt)."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from kerascnn.cli.escaping import one_line
from kerascnn.config import Data
from kerascnn.data import shards
from kerascnn.data.decode import Mode
from kerascnn.data.formats import SUFFIXES
from kerascnn.data.listing import Listing
from kerascnn.data.raw_labels import Label
from kerascnn.data.room import Room
from kerascnn.data.shard_files import Shard, ShardPlace
from kerascnn.data.shards import ShardForm, ShardImage
from kerascnn.errors import UserError

LABELS = (".cls", ".json", ".txt")  # the first one that tells a label counts
KEYS = ("label", "cls", "class", "labels", "class_name", "class_id")  # of a .json
LONGEST = 1 << 20  # bytes of a file with a label
_BLOCK = 512


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the images of the tar files of `section.dataset`.

    Raises:
        UserError: A tar file is damaged or truncated, an image has no label, or two images have the same key.
    """
    return shards.listing(
        ShardForm("wds", _samples, _labels), section.label_key or "", section, image_size, resize, room
    )


def images(shard: Shard) -> Iterator[ShardPlace]:
    """Yields the places of all images of a tar file, with or without labels.

    Raises:
        UserError: It is damaged or truncated.
    """
    for member in _members(shard):
        path = PurePosixPath(member.name)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            yield ShardPlace(member.name.removeprefix("./"), member.offset_data, member.size)


class _Group:
    """The members of one key."""

    def __init__(self) -> None:
        self.image: tarfile.TarInfo | None = None
        self.told: dict[str, bytes] = {}


def _samples(shard: Shard, key: str) -> Iterator[ShardImage]:
    """Yields the images of a tar file with the text of their labels; members of a key may lie anywhere.

    Args:
        shard: The tar file.
        key: Key of a .json that holds the label, or "" for the usual ones.
    """
    waiting: dict[str, _Group] = {}
    finished: set[int] = set()
    last = ""
    for member in _members(shard):
        name = member.name.removeprefix("./")
        path = PurePosixPath(name)
        stem, _, _ = path.name.partition(".")
        if not stem:  # hidden
            continue
        own = str(path.parent / stem)
        if own != last and last in waiting and waiting[last].image and waiting[last].told:
            finished.add(hash(last))
            yield _sample(shard, waiting.pop(last), key)
        last, suffix = own, path.suffix.lower()
        if suffix not in SUFFIXES and suffix not in LABELS:
            continue
        group = waiting.setdefault(own, _Group())
        if suffix in LABELS:
            group.told[suffix] = _small(shard, member)
        elif group.image is not None or hash(own) in finished:
            raise UserError(
                f"{shard.path}: two images have the key {one_line(own)!r}, the second is {one_line(name)!r}"
            )
        else:
            group.image = member
    for own, group in waiting.items():
        if group.image is None:
            continue
        if not group.told:
            raise UserError(
                f"{shard.path}: {one_line(group.image.name)!r} has no label: expected {one_line(own)}.cls, .json or .txt"
            )
        yield _sample(shard, group, key)


def _members(shard: Shard) -> Iterator[tarfile.TarInfo]:
    """Yields the files of a tar archive.

    Raises:
        UserError: It is damaged or truncated, or holds a link in place of an image.
    """
    try:
        with shard.open() as file, tarfile.open(fileobj=file, mode="r:") as archive:
            while member := archive.next():
                archive.members = []  # type: ignore[attr-defined]  # they would all be kept
                if member.offset_data + max(0, member.size) > shard.size or member.size < 0:
                    raise tarfile.ReadError(f"{member.name!r} reaches beyond its end")
                if member.isreg() and not member.issparse():
                    yield member
                elif not member.isdir() and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                    raise UserError(
                        f"{shard.path}: {one_line(member.name)!r} is a link or sparse: write files with"
                        " tar --dereference --hard-dereference"
                    )
            end = archive.offset
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError) as error:
        raise UserError(f"{shard.path} is no tar file, or damaged or truncated: {one_line(str(error))}") from None
    mark = shard.read(end, 1 << 16)
    if len(mark) < _BLOCK or any(mark[:_BLOCK]):
        raise UserError(f"{shard.path} is damaged or truncated at byte {end:,}: it has no end mark")
    if any(mark):
        raise UserError(
            f"{shard.path} goes on after its end mark at byte {end:,}: join archives with tar --concatenate"
        )


def _small(shard: Shard, member: tarfile.TarInfo) -> bytes:
    if member.size > LONGEST:
        raise UserError(f"{shard.path}: {one_line(member.name)!r} has {member.size:,} bytes: expected a label")
    return shard.read(member.offset_data, member.size)


def _sample(shard: Shard, group: _Group, key: str) -> ShardImage:
    image = group.image
    assert image is not None
    name = image.name.removeprefix("./")
    try:
        label = _label(group.told, key)
    except (ValueError, UnicodeError, RecursionError) as error:
        raise UserError(f"{shard.path}: label of {one_line(name)!r}: {one_line(str(error))}") from None
    return ShardImage(name, label, image.offset_data, shard.read(image.offset_data, image.size))


def _label(told: dict[str, bytes], key: str) -> Label:
    """Returns the label that the files of one key tell.

    Raises:
        ValueError: They tell none.
    """
    if ".cls" in told and not key:
        return _plain(told[".cls"])
    if ".json" in told:
        found = json.loads(told[".json"])
        if isinstance(found, dict):
            keys = [name for name in ([key] if key else KEYS) if name in found]
            if not keys and (key or ".txt" not in told):
                expected = repr(key) if key else " or ".join(map(repr, KEYS[:4]))
                raise ValueError(
                    f"its .json has no key {expected}, but {', '.join(map(repr, list(found)[:10]))} (--label-key)"
                )
            found = found[keys[0]] if keys else None
        if found is not None:
            return _checked(found)
    if ".txt" in told:
        return _plain(told[".txt"])
    raise ValueError("expected a number, a name or a list of them")


def _plain(content: bytes) -> int | str:
    text = content.decode("utf-8-sig").strip()
    if not text:
        raise ValueError("it is empty")
    return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII) else text


def _checked(found: Any) -> Label:
    single = found if isinstance(found, list) else [found]
    if any(isinstance(value, bool) or not isinstance(value, int | str) or value == "" for value in single):
        raise ValueError(f"expected a number, a name or a list of them, got {json.dumps(found)[:100]}")
    return found


def _labels(told: list[Any]) -> tuple[list[Label | None], dict[int, str]]:
    """Returns the labels; a negative number is none."""
    return [None if isinstance(label, int) and label < 0 else label for label in told], {}
