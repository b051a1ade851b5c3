"""Folds (--folds, --fold): the images cut N ways by the hash of the path. Each fold is the test of one run.

A given test is apart: no fold has its images, no run of a fold sees them. Everything else is in exactly one fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kerascnn.config import Data
from kerascnn.data import grouping
from kerascnn.data.cut import assign, majority
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing
from kerascnn.data.splits import CALIBRATION, OUT, TEST, TRAIN, VAL, Split, Splits
from kerascnn.errors import UserError


def applied(listing: Listing, section: Data) -> Listing:
    """Returns `listing` with the fold of `section` as its test and the other folds as its train.

    Raises:
        UserError: There are more folds than images (or groups) of a class, or a split file contradicts the folds.
    """
    assert section.folds is not None
    given, notes = _pool(listing, section)
    number = _numbered(listing, given, section)
    where = np.where(number == section.fold, TEST, np.where(number > 0, TRAIN, OUT))
    notes.append(
        f"fold {section.fold} of {section.folds} is test: {int(np.sum(where == TEST)):,} images that choose nothing"
    )
    return replace(listing, given=where, notes=(*listing.notes, *notes))


def whole(listing: Listing, section: Data, image_size: int, resize: Mode) -> Splits:
    """Returns the images of all folds as train, without val, and the given test: what an ensemble of all folds has seen.

    Raises:
        UserError: As `applied`.
    """
    given, notes = _pool(listing, section)
    _numbered(listing, given, section)
    source = listing.source
    indices = {name: np.flatnonzero(given == name) for name in (TRAIN, VAL, TEST)}
    splits = {name: Split(name, source, at, source.labels[at]) for name, at in indices.items()}
    notes.append(f"all of {section.folds} folds are train")
    return Splits.of(listing, splits, image_size, resize, (*listing.notes, *notes))


def _pool(listing: Listing, section: Data) -> tuple[np.ndarray, list[str]]:
    """Returns train for the images of the folds, test for those that are apart, OUT for those that are not used, and notes."""
    # Calibration images are cut again from the other folds of each run.
    given = np.where(listing.given == CALIBRATION, TRAIN, listing.given)
    present = set(np.unique(given).tolist()) - {OUT}
    if len(present) == 1:
        return np.where(given == OUT, OUT, TRAIN), []
    if TRAIN not in present:
        raise UserError(
            f"--folds: expected a train split, found {', '.join(sorted(present))}: folds are cut from train"
        )
    if VAL in present and section.split_file is not None:
        raise UserError(
            f"--split-file {section.split_file} has {int(np.sum(given == VAL)):,} images in val, but --folds cuts val from the"
            " other folds: name them train (or test, which is apart), or leave out --folds"
        )
    notes = []
    if TEST not in present:
        given = np.where(given == VAL, TEST, given)
        notes.append("the given val is used as test")
    elif VAL in present:
        given = np.where(given == VAL, TRAIN, given)
        notes.append("the given val is in the folds: val is cut from the other folds")
    notes.append(f"the given test is apart: none of its {int(np.sum(given == TEST)):,} images is in a fold")
    return given, notes


def _numbered(listing: Listing, given: np.ndarray, section: Data) -> np.ndarray:
    """Returns the fold of each image, int [n], from 1; 0 for images outside of the folds."""
    assert section.folds is not None
    inside = np.flatnonzero(given == TRAIN)
    labels = listing.source.labels[inside]
    every, _ = grouping.keys(listing, section.group_by)
    keys = [every[i] for i in inside]
    _check(keys, labels, listing, section)
    number = np.zeros(len(given), np.int64)
    number[inside] = fold_of(keys, labels, section.folds, section.split_seed)
    return number


def fold_of(keys: Sequence[str], labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Returns a fold for each image, int [n], from 1 to `folds`, by the rank of its key's number within its class.

    Each fold has its share of each class to within one image, or to within half a group.
    """
    names = {str(i): 1 / folds for i in range(1, folds)}
    part = assign(keys, labels, names, seed)
    number = np.array([0 if name == TRAIN else int(name) for name in part.tolist()])
    if labels.ndim == 1:
        # Every class has its larger parts in the same places: classes take turns, so that the folds are equally large.
        unit_of = _units(keys)
        number += majority(unit_of, labels)[unit_of]
    return number % folds + 1


def _units(keys: Sequence[str]) -> np.ndarray:
    """Returns the number of each image's group, int [n]."""
    return np.unique(np.array(keys, object).astype(str), return_inverse=True)[1]


def _check(keys: Sequence[str], labels: np.ndarray, listing: Listing, section: Data) -> None:
    """Refuses more folds than there are images or groups, of each class if an image has one class: some fold would lack it."""
    assert section.folds is not None
    units, what = _units(keys), "groups" if section.group_by or listing.groups is not None else "images"
    if labels.ndim == 2:  # a rare label may be in fewer images than there are folds: its score is then not known there
        fewest, whose = int(units.max(initial=-1)) + 1, listing.name
    else:
        names = listing.source.class_names
        pairs = np.unique(np.stack([labels, units]), axis=1)
        counts = np.bincount(pairs[0], minlength=len(names))
        smallest = int(np.where(counts > 0, counts, len(keys) + 1).argmin())
        fewest, whose = int(counts[smallest]), repr(names[smallest])
    if fewest < section.folds:
        raise UserError(
            f"--folds {section.folds}: {whose} has {fewest} {what}, and each fold needs one: at most --folds {fewest}"
        )
