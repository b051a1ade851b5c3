"""A folder of images: one folder per class, perhaps below train/, val/ and test/."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kerascnn.config import Data, UserError
from kerascnn.data import existing, short_name, split_file
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing
from kerascnn.data.named import SUFFIXES
from kerascnn.data.sources import Files
from kerascnn.data.splits import SPLIT_NAMES, TRAIN
from kerascnn.data.transcode import probe, transcode

SHARE, MOST = 0.01, 100  # of files that may be damaged before the folder counts as broken


class Found(NamedTuple):
    """A file that may be an image; `label` is its class folder's name, `given` the split that its folder names, or ""."""

    path: str
    label: str
    given: str


class Image(NamedTuple):
    """A file that is one, by its id: the path below the data set's folder, in composed Unicode (macOS decomposes)."""

    id: str
    found: Found
    size: int  # bytes of the file
    kept: int  # bytes in memory


class Layout(NamedTuple):
    """All files, and (split, label) of every class folder."""

    found: list[Found]
    folders: list[tuple[str, str]]


def listing(section: Data, image_size: int, resize: Mode) -> Listing:
    """All images below the folder that `section.dataset` names.

    Raises:
        UserError: It is missing, has no class folders, an empty one or only one, or over 1 % (or 100) damaged files.
    """
    root = existing.folder(section.dataset)
    notes: list[str] = []
    layout = _by_file(root, section.split_file, notes) if section.split_file else _by_layout(root, notes)
    images, skipped = _probe(root, layout.found, notes)
    _check_classes(root, layout, images, notes)
    images.sort(key=lambda image: image.id)
    class_names = tuple(sorted({image.found.label for image in images}))
    places = {name: place for place, name in enumerate(class_names)}
    lines = sorted(f"{i.found.given}\0{i.found.label}\0{i.id}\0{i.size}" for i in images)
    source = Files(
        [os.fsencode(image.found.path) for image in images],
        np.array([image.kept for image in images], np.int64),
        ids=[image.id for image in images],
        labels=np.array([places[image.found.label] for image in images], np.int32),
        class_names=class_names,
        size=image_size,
        mode=resize,
    )
    return Listing(
        source,
        np.array([image.found.given for image in images]),
        hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        short_name(section.dataset),
        tuple(notes),
        tuple(sorted(skipped)),
    )


def _name(raw: str) -> str:
    """A file name as text: composed Unicode, bytes that are none as \\x.."""
    return unicodedata.normalize("NFC", os.fsencode(raw).decode("utf-8", "backslashreplace"))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _folders(path: str | Path) -> list[os.DirEntry[str]]:
    """Folders that can be classes or splits: hidden ones and what Mac archives add are none."""
    with os.scandir(path) as entries:
        kept = [e for e in entries if not e.name.startswith(".") and e.name != "__MACOSX" and _is_folder(e)]
    return sorted(kept, key=lambda entry: entry.name)


def _by_layout(root: Path, notes: list[str]) -> Layout:
    """Class folders, or class folders below split folders where there is a train/ that holds folders."""
    splits: dict[str, os.DirEntry[str]] = {}
    top = _folders(root)
    for entry in top:
        split = SPLIT_NAMES.get(entry.name.lower())
        if split and _folders(entry.path):
            if split in splits:
                raise UserError(f"{root} has both {splits[split].name}/ and {entry.name}/: keep one of them")
            splits[split] = entry
    if TRAIN not in splits and len(splits) < len(top):
        splits = {}  # a class that is called test
    others = [entry.name for entry in top if splits and entry not in splits.values()]
    if others:
        more = " ..." if len(others) > 5 else ""
        notes.append(f"not used: {', '.join(others[:5])}{more} beside {', '.join(e.name for e in splits.values())}")
    found: list[Found] = []
    folders: list[tuple[str, str]] = []
    for split, parent in splits.items() or [("", None)]:
        path = parent.path if parent else str(root)
        _note_loose(path, notes)
        for folder in _folders(path):
            label = _name(folder.name)
            if (split, label) in folders:
                raise UserError(f"{path} has two folders called {label!r} in different Unicode forms: merge them")
            folders.append((split, label))
            found += _walk(folder.path, label, split)
    return Layout(found, folders)


def _note_loose(path: str, notes: list[str]) -> None:
    with os.scandir(path) as entries:
        loose = sum(Path(entry.name).suffix.lower() in SUFFIXES and not _is_folder(entry) for entry in entries)
    if loose:
        notes.append(f"not used: {loose} images that lie in {Path(path).name}/ itself, in no class folder")


def _by_file(root: Path, file: str, notes: list[str]) -> Layout:
    """What the split file names, with its labels."""
    rows = split_file.read(file)
    found = {identity(root, item.path): item for item in _walk(str(root), "", "")}
    split_file.require(rows, found, file, str(root))
    if len(found) > len(rows):
        notes.append(f"not used: {len(found) - len(rows)} files that the split file does not name")
    return Layout([Found(found[name].path, row.label, row.split) for name, row in rows.items()], [])


def _walk(folder: str, label: str, given: str, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Found]:
    """Every file at any depth; a folder that holds nothing, links to itself or cannot be opened counts as a file."""
    try:
        here = os.stat(folder)  # noqa: PTH116 - half a million Path objects are felt
        with os.scandir(folder) as entries:
            inside = sorted(
                (entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name
            )
    except OSError:
        inside = []
    if not inside or (here.st_dev, here.st_ino) in above:
        yield Found(folder, label, given)
        return
    for entry in inside:
        if _is_folder(entry):
            yield from _walk(entry.path, label, given, above | {(here.st_dev, here.st_ino)})
        else:
            yield Found(entry.path, label, given)


def identity(root: Path, path: str) -> str:
    """What a file is called in split.csv: its path below `root`, as text."""
    return _name(os.path.relpath(path, root).replace(os.sep, "/"))


def _probe(root: Path, found: list[Found], notes: list[str]) -> tuple[list[Image], list[tuple[str, str]]]:
    """The files that can be decoded, by their headers; (id, reason) of those that should be images and cannot."""
    images, skipped, foreign = [], [], Counter[str]()
    with ThreadPoolExecutor(8) as pool:
        for item, (size, kept, reason) in zip(found, pool.map(_look, (item.path for item in found)), strict=True):
            suffix = Path(item.path).suffix.lower()
            if reason is None:
                images.append(Image(identity(root, item.path), item, size, kept))
            elif suffix in SUFFIXES:
                skipped.append((identity(root, item.path), reason))
            elif not Path(item.path).is_dir():
                foreign[suffix or "no suffix"] += 1
    if foreign:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in foreign.most_common(5))
        notes.append(f"not used: {foreign.total()} files that are no JPEG, PNG, GIF, BMP or WebP ({kinds})")
    if len(skipped) > min(MOST, SHARE * (len(images) + len(skipped))):
        examples = "".join(f"\n  {name!r}: {reason}" for name, reason in skipped[:5])
        raise UserError(
            f"{len(skipped)} of {len(images) + len(skipped)} files in {root} cannot be decoded "
            f"(at most 1 % and {MOST} are skipped): mend or remove them. The first:{examples}"
        )
    if skipped:
        notes.append(f"{len(skipped)} files cannot be decoded and are skipped (listed in skipped.csv)")
    return images, skipped


def _look(path: str) -> tuple[int, int, str | None]:
    """Bytes of the file, bytes that keeping it would take, and why it cannot be used, or None."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError as error:
        return 0, 0, error.strerror
    if stat.S_ISDIR(status.st_mode):
        return 0, 0, "a folder without images, or a link to one above it"
    found = probe(path)
    if found.native or found.problem:
        return status.st_size, status.st_size, found.problem
    # A GIF, BMP or WebP may be cut off unnoticed, and is kept as PNG: a third of what each epoch costs, once.
    try:
        return status.st_size, len(transcode(Path(path).read_bytes())), None
    except (OSError, ValueError) as error:
        return status.st_size, 0, str(error)


def _check_classes(root: Path, layout: Layout, images: list[Image], notes: list[str]) -> None:
    filled = {(image.found.given, image.found.label) for image in images}
    if not filled:
        raise UserError(
            f"no images in class folders below {root}: expected one folder of JPEG, PNG, GIF, BMP or WebP per class"
        )
    labels = sorted({label for _, label in filled})
    if len(labels) == 1:
        inner = f"; did you mean --dataset {shlex.quote(str(root / labels[0]))}?" if _folders(root / labels[0]) else ""
        raise UserError(f"{root} has one class only, {labels[0]!r}: expected at least two class folders{inner}")
    empty = [folder for folder in layout.folders if folder not in filled]
    in_train = ["/".join(filter(None, folder)) for folder in empty if folder[0] in ("", TRAIN)]
    if in_train:
        raise UserError(f"class folders without a usable image: {', '.join(in_train[:10])}: fill them or remove them")
    if empty:
        notes.append(f"without images: {', '.join('/'.join(folder) for folder in empty[:10])}")
    similar = [names for names in _similar(labels) if len(names) > 1]
    if similar:
        notes.append(
            f"classes whose names differ in upper and lower case only: {', '.join(similar[0])}: one class or two?"
        )


def _similar(labels: list[str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.strip().casefold(), []).append(label)
    return list(groups.values())
