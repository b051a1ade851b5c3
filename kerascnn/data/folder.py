"""A folder of images: one folder per class, optionally in train/, val/ and test/."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerascnn.config import Data
from kerascnn.config.addresses import is_remote
from kerascnn.data import existing, short_name, split_file
from kerascnn.data.contents import ContentTable, FileContent, contents
from kerascnn.data.decode import Mode
from kerascnn.data.formats import NAMES, SUFFIXES
from kerascnn.data.listing import Former, Listing, fingerprint, hashed
from kerascnn.data.room import Missing, Room
from kerascnn.data.sorted_names import is_folder
from kerascnn.data.sources import Files
from kerascnn.data.splits import SPLIT_NAMES, TRAIN
from kerascnn.data.trouble import without_damaged
from kerascnn.data.walking import Walk, composed
from kerascnn.errors import UserError


class FoundFile(NamedTuple):
    """A file that may be an image: `label` is the name of its class folder, `given` its given split or ""."""

    path: str
    label: str
    given: str


class Image(NamedTuple):
    """A valid image file; its id is the path below the data set's folder in composed Unicode (macOS decomposes)."""

    id: str
    found: FoundFile
    size: int  # bytes
    content: FileContent


class Layout(NamedTuple):
    """All files, and (split, label) of every class folder."""

    found: list[FoundFile]
    folders: list[tuple[str, str]]


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns all images below the folder of `section.dataset`.

    Raises:
        UserError: The folder is missing, has no class folders, only one, an empty one, folders that cannot be opened, or more
            than 1 % (or 100) damaged files.
        Stopped: The disk or the network share fails.
    """
    if is_remote(section.dataset.removeprefix("folder:")):
        from kerascnn.data import remote_folder  # which needs pyarrow and fsspec

        return remote_folder.listing(section, image_size, resize, room)
    root = existing.folder(section.dataset)
    notes: list[str] = []
    walk = Walk(section.leave_out, root)
    layout = _by_file(root, section, walk, notes) if section.split_file else _by_layout(root, walk, notes)
    _say_passed(root, walk, notes)
    images, skipped = _probe(root, [*layout.found, *(FoundFile(path, "", "") for path in walk.hollow)], room, notes)
    _check_classes(root, layout, images, notes)
    images.sort(key=lambda image: image.id)
    class_names = tuple(sorted({image.found.label for image in images}))
    places = {name: place for place, name in enumerate(class_names)}
    source = Files(
        [os.fsencode(image.found.path) for image in images],
        np.array([image.content.kept for image in images], np.int64),
        ids=[image.id for image in images],
        labels=np.array([places[image.found.label] for image in images], np.int32),
        class_names=class_names,
        size=image_size,
        mode=resize,
    )
    source.counted(room.counted(skipped), str(root))
    given = np.array([image.found.given for image in images])
    labels = [image.found.label for image in images]
    sizes = [str(image.size) for image in images]
    return Listing(
        source,
        given,
        fingerprint(source, given, [image.content.digest.hex() for image in images]),
        short_name(section.dataset),
        tuple(notes),
        tuple(sorted(skipped)),
        Former(hashed(given.tolist(), labels, source.ids, sizes), max(image.content.changed for image in images) / 1e9),
    )


def _name(raw: str) -> str:
    """A file name as text: composed Unicode, bytes that are none as \\x.."""
    return composed(os.fsencode(raw).decode("utf-8", "backslashreplace"))


def _by_layout(root: Path, walk: Walk, notes: list[str]) -> Layout:
    """Returns class folders, or class folders in split folders if there is a train/ that contains folders."""
    splits: dict[str, os.DirEntry[str]] = {}
    top = walk.folders(root)
    for entry in top:
        split = SPLIT_NAMES.get(entry.name.lower())
        if split and _has_folders(entry.path):
            if split in splits:
                raise UserError(f"{root} has both {splits[split].name}/ and {entry.name}/: keep one of them")
            splits[split] = entry
    if TRAIN not in splits and len(splits) < len(top):
        splits = {}  # a class with the name test
    others = [entry.name for entry in top if splits and entry not in splits.values()]
    if others:
        more = " ..." if len(others) > 5 else ""
        notes.append(f"not used: {', '.join(others[:5])}{more} beside {', '.join(e.name for e in splits.values())}")
    found: list[FoundFile] = []
    folders: list[tuple[str, str]] = []
    for split, parent in splits.items() or [("", None)]:
        path = parent.path if parent else str(root)
        _note_loose(path, notes)
        for folder in walk.folders(path):
            label, passed = _name(folder.name), len(walk.passed)
            inside = [FoundFile(file, label, split) for file in walk.files(folder.path)]
            if len(walk.passed) > passed and not any(_may_be_image(item.path) for item in inside):
                continue  # it contains only files that this program wrote
            if (split, label) in folders:
                raise UserError(f"{path} has two folders called {label!r} in different Unicode forms: merge them")
            folders.append((split, label))
            found += inside
    return Layout(found, folders)


def _has_folders(path: str) -> bool:
    try:
        return bool(Walk().folders(path))
    except OSError:  # noted by `Walk`
        return True


def _may_be_image(path: str) -> bool:
    return Path(path).suffix.lower() in SUFFIXES


def _note_loose(path: str, notes: list[str]) -> None:
    with os.scandir(path) as entries:
        loose = sum(_may_be_image(entry.name) and not is_folder(entry) for entry in entries)
    if loose:
        notes.append(f"not used: {loose} images that lie in {Path(path).name}/ itself, in no class folder")


def _say_passed(root: Path, walk: Walk, notes: list[str]) -> None:
    """Notes the folders that were skipped; refuses folders that cannot be opened.

    Raises:
        UserError: A folder cannot be opened.
    """
    if walk.closed:
        listed = "".join(f"\n  {identity(root, path)!r}: {why}" for path, why in walk.closed[:5])
        raise UserError(
            f"{len(walk.closed)} folders in {root} cannot be opened: make them readable, or name them after --leave-out."
            f" The first:{listed}"
        )
    notes += [f"--leave-out {name}: there is no such folder" for name in walk.patterns if name not in walk.used]
    reasons: dict[str, list[str]] = {}
    for path, why in walk.passed.items():
        reasons.setdefault(why, []).append(identity(root, path))
    for why, folders in reasons.items():
        shown = ", ".join(folders[:3])
        notes.append(f"skipped: {len(folders)} folders {why} ({shown}{' ...' if len(folders) > 3 else ''})")


def _by_file(root: Path, section: Data, walk: Walk, notes: list[str]) -> Layout:
    """Returns the images of the split file with its labels; other images are cut by a hash of their own path."""
    file = section.split_file or ""
    found: dict[str, str] = {}
    for path in walk.files(str(root)):
        name = identity(root, path)
        if name in found:
            raise UserError(f"{root} has two files called {name!r} in different Unicode forms: rename one")
        found[name] = path
    rows = split_file.matched(split_file.read(file), found, f"--split-file {file}", str(root))
    labels = {row.label for row in rows.values()}
    unnamed = [name for name in found if name not in rows]
    new = [name for name in unnamed if _may_be_image(found[name]) and _class_of(name) in labels]
    places = split_file.placed(new, rows, section, notes)
    if len(new) < len(unnamed):
        notes.append(f"not used: {len(unnamed) - len(new)} files of other classes that the split file does not list")
    named = [FoundFile(found[name], row.label, row.split) for name, row in rows.items()]
    return Layout([*named, *(FoundFile(found[name], _class_of(name), split) for name, split in places.items())], [])


def _class_of(name: str) -> str:
    """Returns the class folder of an id: the first folder, or the next one if the first is a split."""
    parts = name.split("/")[:-1]
    if len(parts) > 1 and parts[0].lower() in SPLIT_NAMES:
        return parts[1]
    return parts[0] if parts else ""


def identity(root: Path, path: str) -> str:
    """Returns the name of a file in split.csv: its path below `root` as text."""
    return _name(os.path.relpath(path, root).replace(os.sep, "/"))


def _probe(
    root: Path, found: list[FoundFile], room: Room, notes: list[str]
) -> tuple[list[Image], list[tuple[str, str]]]:
    """Returns the files whose headers are valid, and (id, reason) of damaged image files."""
    images, skipped, foreign = [], [], Counter[str]()
    table = ContentTable(room.contents, root)
    with room.counting("reading files", len(found)) as advance:
        read = contents([item.path for item in found], table, advance)
        for item, content in zip(found, read, strict=True):
            suffix = Path(item.path).suffix.lower()
            if content.problem is None:
                images.append(Image(identity(root, item.path), item, content.size, content))
            elif suffix in SUFFIXES:
                skipped.append((identity(root, item.path), content.problem))
            elif not is_folder(item.path):
                foreign[suffix or "no suffix"] += 1
    if foreign:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in foreign.most_common(5))
        notes.append(f"not used: {foreign.total()} files that are not images in {NAMES} ({kinds})")
    notes += without_damaged(room.counted(skipped), len(images), str(root))
    twice = [name for name, times in Counter(image.id for image in images).items() if times > 1]
    if twice:
        raise UserError(f"{root} has two files called {twice[0]!r} in different Unicode forms: rename one")
    return images, skipped


def _check_classes(root: Path, layout: Layout, images: list[Image], notes: list[str]) -> None:
    filled = {(image.found.given, image.found.label) for image in images}
    if not filled:
        raise Missing(f"no images in class folders below {root}: expected one folder of images per class ({NAMES})")
    labels = sorted({label for _, label in filled})
    if len(labels) == 1:
        inner = (
            f"; did you mean --dataset {shlex.quote(str(root / labels[0]))}?"
            if _has_folders(str(root / labels[0]))
            else ""
        )
        raise UserError(f"{root} has only one class, {labels[0]!r}: expected at least two class folders{inner}")
    empty = [folder for folder in layout.folders if folder not in filled]
    in_train = ["/".join(filter(None, folder)) for folder in empty if folder[0] in ("", TRAIN)]
    if in_train:
        raise UserError(f"class folders without a valid image: {', '.join(in_train[:10])}: fill them or remove them")
    if empty:
        notes.append(f"without images: {', '.join('/'.join(folder) for folder in empty[:10])}")
    similar = [names for names in _similar(labels) if len(names) > 1]
    if similar:
        notes.append(f"classes whose names differ only in case: {', '.join(similar[0])}: one class or two?")


def _similar(labels: list[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.strip().casefold(), []).append(label)
    return list(groups.values())
