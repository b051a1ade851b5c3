"""Copies among the images of a data set: equal pixels, and near-copies by perceptual hashes; found once and remembered.

What was found lies beside the runs, by the fingerprint of the data: an audit, `--dedupe`, `fit` and `evaluate` read the same.
No TensorFlow.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerascnn.data.looks import Looks, looks
from kerascnn.data.near import NearPairs, least_alike, near_pairs
from kerascnn.runs.files import CONTENTS_FOLDER, write_file

if TYPE_CHECKING:
    from kerascnn.config import Data
    from kerascnn.data.listing import Listing
    from kerascnn.data.room import Room
    from kerascnn.data.sources import Source

METHOD = 1  # of finding them: copies that another method found are searched again


class CopyPair(NamedTuple):
    """Two images that show the same: the ids, the kind (exact, near or mirrored), and the correlation of the thumbnails."""

    first: str
    second: str
    kind: str
    alike: float


@dataclass(frozen=True, eq=False)
class Copies:
    """The images of a data set that have copies.

    Attributes:
        ids: Their ids, each once.
        picture: Number of the picture that each one shows to the last pixel, int32 [n], from 0.
        first, second: Pictures that are near-copies of each other, int32 [m].
        mirrored: Whether they are mirrored, bool [m].
        alike: Correlation of their thumbnails, float32 [m].
        near: Whether near-copies were searched too.
        least: Least correlation of near-copies in this data set; 1 if they were not searched.
    """

    ids: tuple[str, ...]
    picture: np.ndarray
    first: np.ndarray
    second: np.ndarray
    mirrored: np.ndarray
    alike: np.ndarray
    near: bool
    least: float = 1.0

    def having(self, ids: Collection[str], others: Collection[str]) -> set[str]:
        """Returns the images among `ids` that have a copy among `others`."""
        mine, theirs = self._among(ids), self._among(others)
        pictures = int(self.picture.max(initial=-1)) + 1
        count = np.bincount(self.picture[theirs], minlength=pictures)
        beside = np.zeros(pictures, bool)
        beside[self.first[count[self.second] > 0]] = True
        beside[self.second[count[self.first] > 0]] = True
        # An image is not a copy of itself.
        found = mine & (beside[self.picture] | (count[self.picture] > theirs))
        return {self.ids[i] for i in np.flatnonzero(found)}

    def _among(self, ids: Collection[str]) -> np.ndarray:
        known = ids if isinstance(ids, set | frozenset | dict) else set(ids)
        return np.fromiter((name in known for name in self.ids), bool, len(self.ids))

    def kept(self, ids: Collection[str]) -> Copies:
        """Returns the copies among these images only."""
        inside = self._among(ids)
        there = np.unique(self.picture[inside])
        place = np.full(int(self.picture.max(initial=-1)) + 1, -1, np.int32)
        place[there] = np.arange(len(there), dtype=np.int32)
        pairs = (place[self.first] >= 0) & (place[self.second] >= 0)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in np.flatnonzero(inside)),
            picture=place[self.picture[inside]],
            first=place[self.first[pairs]],
            second=place[self.second[pairs]],
            mirrored=self.mirrored[pairs],
            alike=self.alike[pairs],
        )

    def groups(self) -> dict[str, str]:
        """Returns id -> the first id of all images that are copies of each other, directly or over others."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        pictures = int(self.picture.max(initial=-1)) + 1
        if not pictures:
            return {}
        edges = coo_array((np.ones(len(self.first), bool), (self.first, self.second)), shape=(pictures, pictures))
        group = connected_components(edges, directed=False)[1][self.picture]
        names: dict[int, str] = {}
        for number, name in zip(group.tolist(), self.ids, strict=True):
            names.setdefault(number, name)
        found = {name: names[number] for name, number in zip(self.ids, group.tolist(), strict=True)}
        several = np.bincount(group)[group] > 1
        return {name: found[name] for name, more in zip(self.ids, several.tolist(), strict=True) if more}

    def pairs(self, rank: Mapping[str, object] | None = None) -> Iterator[CopyPair]:
        """Yields pairs: an image with each equal one, and one pair for each two pictures that are near-copies.

        Args:
            rank: What tells images of a picture apart, such as (split, label): one pair for each two of these.
        """
        members: dict[int, list[str]] = {}
        for name, number in zip(self.ids, self.picture.tolist(), strict=True):
            members.setdefault(number, []).append(name)
        for same in members.values():
            for name in same[1:]:
                yield CopyPair(same[0], name, "exact", 1.0)
        shown = {number: _one_each(same, rank or {}) for number, same in members.items()}
        pairs = zip(*(column.tolist() for column in (self.first, self.second, self.mirrored, self.alike)), strict=True)
        for first, second, mirrored, alike in pairs:
            for one in shown[first]:
                for other in shown[second]:
                    yield CopyPair(one, other, "mirrored" if mirrored else "near", alike)


def _one_each(same: Sequence[str], rank: Mapping[str, object]) -> list[str]:
    found: dict[object, str] = {}
    for name in same:
        found.setdefault(rank.get(name), name)
    return list(found.values())


def among(ids: Sequence[str], seen: Looks, pairs: NearPairs | None, least: float = 1.0) -> Copies:
    """Returns the copies among the images of a source.

    Args:
        ids: Of all n images.
        seen: Their looks.
        pairs: Pairs of near-copies by index, among the first images of each picture; None where none were searched.
        least: Least correlation of near-copies.
    """
    _, first_of = distinct(seen)
    found = pairs or NearPairs.none()
    counts = np.bincount(first_of, minlength=len(ids))
    involved = counts > 1
    involved[found.first] = involved[found.second] = True
    inside = involved[first_of]
    inside[list(seen.problems)] = False
    numbers, picture = np.unique(first_of[inside], return_inverse=True)
    return Copies(
        tuple(ids[i] for i in np.flatnonzero(inside).tolist()),
        picture.astype(np.int32),
        np.searchsorted(numbers, found.first).astype(np.int32),
        np.searchsorted(numbers, found.second).astype(np.int32),
        found.mirrored,
        found.alike,
        near=pairs is not None,
        least=least,
    )


def distinct(seen: Looks) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices of the first image of each picture, and for each image that of its picture, int [n].

    Images that cannot be decoded are in no picture: each has its own index and is not among the first.
    """
    whole = np.ascontiguousarray(seen.digests).view("V32").reshape(-1)
    _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
    first_of = first[inverse]
    bad = np.array(sorted(seen.problems), np.int64)
    first_of[bad] = bad
    return np.setdiff1d(first, bad), first_of


def search(ids: Sequence[str], seen: Looks, room: Room) -> Copies:
    """Returns the copies among the images of a source, near-copies by their perceptual hashes included."""
    unique, _ = distinct(seen)
    hashes, mirrored, thumbnails = (column[unique] for column in (seen.hashes, seen.mirrored, seen.thumbnails))
    least = least_alike(hashes, thumbnails)
    with room.counting("comparing images", len(unique)) as advance:
        found = near_pairs(hashes, mirrored, thumbnails, advance, least=least)
    by_index = found._replace(first=unique[found.first], second=unique[found.second])
    return among(ids, seen, by_index, least)


def find(source: Source, fingerprint: str, room: Room, *, near: bool = True) -> Copies:
    """Returns the copies among the images of a source: those that are known, or else found and remembered.

    Args:
        source: The images.
        fingerprint: That of the data.
        room: Where they are remembered, and the display of the progress.
        near: Whether near-copies are needed, which takes the extra `audit`.

    Raises:
        UserError: The extra is missing.
        Stopped: The disk or the network share fails.
    """
    found = known(room.contents, fingerprint)
    if found is not None and (found.near or not near):
        return found
    with room.counting("looking at images", len(source)) as advance:
        seen = looks(source, advance, hashed=near)
    found = search(source.ids, seen, room) if near else among(source.ids, seen, None)
    remember(room.contents, fingerprint, found)
    return found


def grouped(listing: Listing, section: Data, room: Room) -> Listing:
    """Returns a listing whose groups also hold copies together (--dedupe group)."""
    from kerascnn.data import grouping

    keys, _ = grouping.keys(listing, section.group_by)
    copies = find(listing.source, listing.fingerprint, room).groups()
    groups = np.array(_joined(listing.source.ids, keys, copies))
    note = f"{len(copies)} of {len(keys)} images have near-copies, which stay in one split (--dedupe group)"
    return replace(listing, groups=groups if (groups != "").any() else None, notes=(*listing.notes, note))


def _joined(ids: Sequence[str], keys: Sequence[str], copies: dict[str, str]) -> list[str]:
    """Returns the group of each image, "" where it stands alone: groups that share copies are one."""
    above: dict[tuple[str, str], tuple[str, str]] = {}

    def top(one: tuple[str, str]) -> tuple[str, str]:
        while one in above:
            one = above[one]
        return one

    for name, key in zip(ids, keys, strict=True):
        if name in copies and (a := top(("group", key))) != (b := top(("copies", copies[name]))):
            above[b] = a
    tops = [top(("group", key))[1] for key in keys]
    counts: dict[str, int] = {}
    for one in tops:
        counts[one] = counts.get(one, 0) + 1
    return [one if counts[one] > 1 else "" for one in tops]


def known(folder: Path | None, fingerprint: str) -> Copies | None:
    """Returns the copies that an earlier start found in these data, or None."""
    file = _file(folder, fingerprint)
    if file is None or not file.exists():
        return None
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if int(arrays["method"]) != METHOD or str(arrays["fingerprint"]) != fingerprint:
                return None
            columns = {name: arrays[name] for name in ("picture", "first", "second", "mirrored", "alike")}
            raw = arrays["ids"].tobytes()
            ids = tuple(raw.decode("utf-8", "surrogateescape").split("\0")) if raw else ()
            return Copies(ids=ids, near=bool(arrays["near"]), least=float(arrays["least"]), **columns)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # damaged: searched again


def remember(folder: Path | None, fingerprint: str, copies: Copies) -> None:
    """Writes what was found beside the runs; a folder that cannot be written costs only time."""
    file = _file(folder, fingerprint)
    if file is None:
        return
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        method=np.array(METHOD),
        fingerprint=np.array(fingerprint),
        near=np.array(copies.near),
        least=np.array(copies.least),
        ids=np.frombuffer("\0".join(copies.ids).encode("utf-8", "surrogateescape"), np.uint8),
        picture=copies.picture,
        first=copies.first,
        second=copies.second,
        mirrored=copies.mirrored,
        alike=copies.alike,
    )
    with contextlib.suppress(OSError):
        write_file(file, buffer.getvalue())


def _file(folder: Path | None, fingerprint: str) -> Path | None:
    return None if folder is None else folder / CONTENTS_FOLDER / f"copies-{fingerprint[:18]}.npz"
