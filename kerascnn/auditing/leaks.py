"""Copies that matter: test images that train has seen, the same image under two labels; and which copies to leave out.

No TensorFlow.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kerascnn.config import Data
from kerascnn.data.copies import Copies, CopyPair, find, known
from kerascnn.data.labels import names as names_of
from kerascnn.data.room import Room
from kerascnn.data.splits import TEST, TRAIN, VAL, Splits
from kerascnn.errors import UserError

_KEPT_FIRST = {TEST: 0, VAL: 1, TRAIN: 2}


@dataclass(frozen=True)
class Leaks:
    """Copies that matter.

    Attributes:
        test: Test images with a copy in train.
        val: Val images with a copy in train.
        chosen: Test images with a copy in val, which chooses the model, but none in train.
        conflicts: Pairs of copies with different labels.
    """

    test: frozenset[str]
    val: frozenset[str]
    chosen: frozenset[str]
    conflicts: tuple[CopyPair, ...]

    def __bool__(self) -> bool:
        return bool(self.test or self.conflicts)

    @property
    def line(self) -> str:
        """What was found, in one line."""
        images = {name for pair in self.conflicts for name in pair[:2]}
        parts = [f"{len(self.test)} test images have a copy in train"] if self.test else []
        parts += [f"{len(images)} images have a copy with another label"] if images else []
        return ", ".join(parts)


def leaks(copies: Copies, where: Mapping[str, str], labels: Mapping[str, str]) -> Leaks:
    """Returns the copies that matter.

    Args:
        copies: Of the data set.
        where: Id -> split of the images that are used.
        labels: Id -> label of the same.
    """
    used = copies.kept(where)
    names = {split: {name for name in used.ids if where[name] == split} for split in (TRAIN, VAL, TEST)}
    test = used.having(names[TEST], names[TRAIN])
    conflicts = [pair for pair in used.pairs(labels) if labels[pair.first] != labels[pair.second]]
    return Leaks(
        frozenset(test),
        frozenset(used.having(names[VAL], names[TRAIN])),
        frozenset(used.having(names[TEST], names[VAL]) - test),
        tuple(conflicts),
    )


def of_splits(splits: Splits, copies: Copies) -> Leaks:
    """Returns the copies that matter in the splits of a run."""
    return leaks(copies, splits_of(splits), labels_of(splits))


def splits_of(splits: Splits) -> dict[str, str]:
    """Returns id -> split of the images that are used."""
    return {name: part.name for part in splits.parts() for name in part.ids()}


def labels_of(splits: Splits) -> dict[str, str]:
    """Returns id -> label, as text, of the images that are used."""
    return {
        name: label
        for part in splits.parts()
        for name, label in zip(part.ids(), names_of(part.labels, splits.class_names), strict=True)
    }


def check(splits: Splits, section: Data, room: Room, strict: bool) -> str:
    """Returns one line about the leaks and conflicts that an audit of these images has found, or nothing.

    Args:
        splits: The data of a run.
        section: The images.
        room: Where an audit has remembered its copies.
        strict: Whether leaks and conflicts are refused; images with equal pixels are then also found without an audit.

    Raises:
        UserError: There are some, and `strict` is set.
    """
    source, fingerprint = splits.train.source, splits.fingerprint
    copies = find(source, fingerprint, room, near=False) if strict else known(room.contents, fingerprint)
    found = None if copies is None else of_splits(splits, copies)
    if not found:
        return ""
    advice = f"kerascnn audit {shlex.quote(section.dataset)} lists them and writes exclude.csv"
    if strict:
        raise UserError(f"--strict: {found.line}: {advice}, for --exclude")
    return f"note    {found.line}: {advice}"


def proposals(
    copies: Copies, where: Mapping[str, str], labels: Mapping[str, str], pixels: Mapping[str, int]
) -> list[tuple[str, str]]:
    """Returns (id, reason) of the copies to leave out, so that each picture is left once, in test before val before train.

    Of a split the copy with the most pixels stays. Copies under different labels are all left out: which label is right is
    not known.
    """
    used = copies.kept(where)
    members: dict[str, list[str]] = {}
    for name, group in used.groups().items():
        members.setdefault(group, []).append(name)
    found: list[tuple[str, str]] = []
    for names in members.values():
        known = sorted({labels[name] for name in names})
        if len(known) > 1:
            found += [(name, f"copies under different labels: {', '.join(known)}") for name in names]
            continue
        kept = _best(names, where, pixels)
        found += [(name, f"a copy of {kept}, which is in {where[kept]}") for name in names if name != kept]
    return found


def _best(names: Sequence[str], where: Mapping[str, str], pixels: Mapping[str, int]) -> str:
    return min(names, key=lambda name: (_KEPT_FIRST[where[name]], -pixels[name], name))


def counts(copies: Copies, where: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Returns the number of pairs by kind, within a split and across two."""
    found: dict[str, dict[str, int]] = {}
    for pair in copies.kept(where).pairs(where):
        splits = sorted((where[pair.first], where[pair.second]), key=lambda split: -_KEPT_FIRST[split])
        place = f"within {splits[0]}" if splits[0] == splits[1] else f"{splits[0]} and {splits[1]}"
        row = found.setdefault(pair.kind, {})
        row[place] = row.get(place, 0) + 1
    return found


def by_importance(pairs: Sequence[CopyPair], where: Mapping[str, str], labels: Mapping[str, str]) -> list[CopyPair]:
    """Returns pairs in the order of a page: other labels, test and train, other splits, then within one."""

    def rank(pair: CopyPair) -> tuple[int, int, str]:
        splits = {where[pair.first], where[pair.second]}
        across = 0 if splits == {TEST, TRAIN} else 1 if len(splits) > 1 else 2
        return int(labels[pair.first] == labels[pair.second]), across, pair.first

    return sorted(pairs, key=rank)
