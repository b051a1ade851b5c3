"""--exclude and --relabel: CSV files that leave images out and correct labels. An audit proposes both. No TensorFlow."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from kerascnn.cli.escaping import expanded
from kerascnn.config import Data
from kerascnn.config.section import nearest
from kerascnn.data import split_file
from kerascnn.data.labels import SEPARATOR, counts, names
from kerascnn.data.listing import FINGERPRINT, Listing
from kerascnn.data.splits import OUT
from kerascnn.data.walking import composed
from kerascnn.errors import UserError


class NewLabel(NamedTuple):
    """A corrected label, and the label that the image should have before ("" where the file does not say)."""

    label: str
    given: str


def excluded(section: Data) -> frozenset[str]:
    """Returns the paths in the file of --exclude.

    Raises:
        UserError: The file cannot be read, or has no column `path`.
    """
    if section.exclude is None:
        return frozenset()
    rows = split_file.table(section.exclude, "--exclude", ("path",))
    return frozenset(composed(row["path"]) for row in rows if row["path"])


def relabelled(section: Data) -> dict[str, NewLabel]:
    """Returns path -> label in the file of --relabel.

    Raises:
        UserError: The file cannot be read, lacks a column, or names a path twice or without a label.
    """
    if section.relabel is None:
        return {}
    found: dict[str, NewLabel] = {}
    for number, row in enumerate(split_file.table(section.relabel, "--relabel", ("path", "label")), 1):
        path, label = composed(row["path"]), composed(row["label"])
        if not path or not label or path in found:
            raise UserError(
                f"--relabel {section.relabel}: row {number}: expected a path and a label, each path once;"
                f" got {path!r}, {label!r}"
            )
        found[path] = NewLabel(label, composed(row.get("given") or ""))
    return found


def contents(section: Data) -> tuple[bytes | None, bytes | None]:
    """Returns the files of --exclude and --relabel as they are now; None for one that is not given."""
    exclude, relabel = (
        None if file is None else expanded(file).read_bytes() for file in (section.exclude, section.relabel)
    )
    return exclude, relabel


def applied(listing: Listing, section: Data) -> Listing:
    """Returns a listing without the images of --exclude, and with the labels of --relabel.

    What the files change belongs to the fingerprint; where and how they are written does not.

    Raises:
        UserError: A file cannot be read, names an image that is not there or an unknown class, or leaves a class without images.
    """
    if section.exclude is None and section.relabel is None:
        return listing
    source, notes = copy.copy(listing.source), list(listing.notes)
    known = [*source.ids, *(name for name, _ in listing.skipped)]
    gone, labels = excluded(section), relabelled(section)
    if section.exclude is not None:
        told = f"--exclude {section.exclude}"
        gone = frozenset(split_file.matched(dict.fromkeys(gone), known, told, section.dataset))
    if section.relabel is not None:
        labels = split_file.matched(labels, known, f"--relabel {section.relabel}", section.dataset)
    given = np.array([OUT if name in gone else split for name, split in zip(source.ids, listing.given, strict=True)])
    left = int(np.sum((given == OUT) & (listing.given != OUT)))
    source.labels, changed = _with(
        labels, source.ids, source.labels, source.class_names, f"--relabel {section.relabel}"
    )
    _check_classes(listing.source.labels[listing.given != OUT], source.labels[given != OUT], source.class_names)
    notes += [f"{left} images are left out (--exclude)"] if left else []
    notes += [f"{len(changed)} images have another label (--relabel)"] if changed else []
    lines = sorted([f"-\0{name}" for name in gone & set(source.ids)] + [f"{name}\0{label}" for name, label in changed])
    if not lines:
        return replace(listing, notes=tuple(notes))
    fingerprint = FINGERPRINT + hashlib.sha256("\n".join((listing.fingerprint, *lines)).encode()).hexdigest()
    return replace(listing, source=source, given=given, fingerprint=fingerprint, notes=tuple(notes), former=None)


def _with(
    rows: dict[str, NewLabel], ids: Sequence[str], labels: np.ndarray, class_names: Sequence[str], told: str
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Returns the corrected labels, and (id, label) of the images whose label changed."""
    corrected, changed = labels.copy(), []
    places = {composed(name): place for place, name in enumerate(class_names)}
    for index, name in enumerate(ids):
        row = rows.get(name)
        if row is None:
            continue
        one = _encoded(row.label, places, labels, told)
        if np.array_equal(one, labels[index]):
            continue
        if row.given and not np.array_equal(_encoded(row.given, places, labels, told), labels[index]):
            raise UserError(
                f"{told}: {name} is {_shown(labels[index], class_names)!r}, where the file expects {row.given!r}:"
                " the data have changed since it was written"
            )
        corrected[index] = one
        changed.append((name, _shown(one, class_names)))
    return corrected, changed


def _encoded(label: str, places: dict[str, int], labels: np.ndarray, told: str) -> Any:
    several = labels.ndim == 2
    parts = [name for name in label.split(SEPARATOR) if name] if several else [label]
    for name in parts:
        if name not in places:
            raise UserError(f"{told}: there is no class {name!r}{nearest(name, places)}")
    at = [places[name] for name in parts]
    return np.isin(np.arange(len(places)), at) if several else np.asarray(at[0], labels.dtype)


def _shown(label: np.ndarray, class_names: Sequence[str]) -> str:
    return names(np.asarray(label)[None], class_names)[0]


def _check_classes(before: np.ndarray, after: np.ndarray, class_names: Sequence[str]) -> None:
    """Refuses corrections that leave a class without images: the network would still have an output for it."""
    classes = len(class_names)
    empty = (counts(before, classes) > 0) & (counts(after, classes) == 0)
    if empty.any():
        gone = ", ".join(repr(class_names[int(place)]) for place in np.flatnonzero(empty)[:5])
        raise UserError(f"--exclude and --relabel leave no images of {gone}: remove the class from the data instead")
