"""A folder of images in a store (s3://, gs://, https://, hf://): class folders, optionally in train/, val/ and test/."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kerascnn.config import Data
from kerascnn.config.addresses import without_secrets
from kerascnn.data import remote, remote_images, short_name, split_file, table_rows
from kerascnn.data.decode import Mode
from kerascnn.data.formats import SUFFIXES
from kerascnn.data.listing import Listing, fingerprint
from kerascnn.data.remote import RemoteFile
from kerascnn.data.room import Missing, Room
from kerascnn.data.splits import SPLIT_NAMES, TRAIN
from kerascnn.data.table_images import TableImages
from kerascnn.data.trouble import without_damaged
from kerascnn.data.walking import DROPPINGS, composed
from kerascnn.errors import UserError


class RemoteImage(NamedTuple):
    """An image below the folder: its id, class, given split ("" if there is none), and its path as the store has it."""

    id: str
    label: str
    given: str
    name: str


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns all images below an address, by the rules of local folders.

    Raises:
        UserError: There is no such folder, or it has no two class folders of images.
        Stopped: The store cannot be reached.
    """
    root = section.dataset.removeprefix("folder:").rstrip("/")
    notes: list[str] = []
    with remote.outage():
        found = remote.listed(root)
    names = _kept(list(found), section, notes)
    images = sorted(_placed(names))
    if not images:
        raise Missing(f"no images in class folders below {without_secrets(root)}")
    facts = _images(root, images, [remote.described(found[image.name]) for image in images], section, room)
    good, skipped = facts.facts.valid([image.id for image in images])
    notes += without_damaged(room.counted(skipped), len(good), without_secrets(root))
    images, kept = [images[place] for place in good.tolist()], facts.facts.taken(good)
    class_names = tuple(sorted({image.label for image in images}))
    if len(class_names) < 2:
        raise UserError(
            f"{without_secrets(root)} has only one class, {class_names[0]!r}: expected at least two folders"
        )
    source = facts.source(
        good,
        kept,
        ids=[image.id for image in images],
        labels=np.array([class_names.index(image.label) for image in images], np.int32),
        class_names=class_names,
        size=image_size,
        mode=resize,
    )
    source.counted(room.counted(skipped), without_secrets(root))
    given = np.array([image.given for image in images])
    mark, name = fingerprint(source, given, kept.hexadecimal()), short_name(section.dataset)
    listed = Listing(source, given, mark, name, tuple(notes), tuple(sorted(skipped)))
    return split_file.applied(listed, section)


def _images(
    root: str, images: Sequence[RemoteImage], said: Sequence[RemoteFile], section: Data, room: Room
) -> TableImages:
    addresses = [remote.joined(root, image.name) for image in images]
    found, missing = remote_images.of(addresses, said, root, section.cache, room)
    if missing:
        raise Missing(f"{without_secrets(addresses[missing[0]])} went away while the folder was listed")
    return found


def _kept(names: list[str], section: Data, notes: list[str]) -> list[str]:
    """Returns the names that may be images, without hidden folders, droppings and what --leave-out names."""
    patterns, used = {composed(pattern.strip("/")) for pattern in section.leave_out}, set[str]()
    kept = []
    for name in names:
        parts = name.split("/")
        hidden = any(part.startswith(".") or part.casefold() in DROPPINGS for part in parts)
        left_out = table_rows.is_left_out(posixpath.dirname(composed(name)), patterns, used)
        if not hidden and not left_out and posixpath.splitext(name)[1].lower() in SUFFIXES:
            kept.append(name)
    notes += [f"--leave-out {pattern}: there is no such folder" for pattern in sorted(patterns - used)]
    if len(kept) < len(names):
        notes.append(f"not used: {len(names) - len(kept)} files that are not images, or left out")
    return kept


def _placed(names: list[str]) -> list[RemoteImage]:
    """Returns the images in class folders, or in class folders in split folders if there is a train/ that contains folders."""
    paths = [name.split("/") for name in names]
    tops = {parts[0] for parts in paths if len(parts) > 1}
    splits = {
        parts[0]: SPLIT_NAMES[parts[0].lower()] for parts in paths if len(parts) > 2 and parts[0].lower() in SPLIT_NAMES
    }
    if TRAIN not in splits.values() and len(splits) < len(tops):
        splits = {}  # a class with the name test
    if len(set(splits.values())) < len(splits):
        raise UserError(f"two folders are the same split: {', '.join(sorted(splits))}: keep one of each")
    found = []
    for name, parts in zip(names, paths, strict=True):
        given = splits.get(parts[0], "")
        if len(parts) > 1 + bool(splits) and bool(given) == bool(splits):
            found.append(RemoteImage(composed(name), composed(parts[1 if splits else 0]), given, name))
    return found
