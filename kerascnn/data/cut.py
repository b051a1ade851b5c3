"""Splits a listed data set: given splits stay, missing ones are cut by the rank of a hash of the path."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerascnn.config import Data
from kerascnn.data import grouping, label_cut
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing
from kerascnn.data.shares import BOTH, ONE, numbers
from kerascnn.data.sources import Source
from kerascnn.data.splits import CALIBRATION, NAMES_TYPE, OUT, TEST, TRAIN, VAL, Split, Splits
from kerascnn.errors import UserError


def cut(listing: Listing, section: Data, image_size: int, resize: Mode) -> Splits:
    """Returns the splits of `listing` by the rules of `section`.

    Raises:
        UserError: A split would be empty, train lacks a class, or an option does not fit the data.
    """
    source, notes = listing.source, list(listing.notes)
    shares, marked, given = _plan(listing.given, section, notes)
    keys = _groups(listing, section, notes)
    if section.group_by or listing.groups is not None:
        _report_straddling(keys, given, notes)
    free = np.flatnonzero(given == TRAIN)
    where = given.astype(NAMES_TYPE)
    # Another val for each fold: with one order for all, some images would be trained on in no run.
    purpose = f"fold {section.fold} " if section.fold else ""
    where[free] = assign([keys[i] for i in free], source.labels[free], shares, section.split_seed, purpose)
    apart = [CALIBRATION] if CALIBRATION in shares or CALIBRATION in given else []
    indices = {name: np.flatnonzero(where == name) for name in (TRAIN, VAL, *apart, TEST)}
    _check(indices, source, section, marked)
    indices[TRAIN] = _fraction(indices[TRAIN], source, section, notes)
    if marked:
        indices[TEST] = indices[VAL]
    splits = {name: Split(name, source, at, source.labels[at]) for name, at in indices.items()}
    return Splits.of(listing, splits, image_size, resize, notes, marked)


def _plan(given: np.ndarray, section: Data, notes: list[str]) -> tuple[dict[str, float], bool, np.ndarray]:
    """Returns the shares to cut from train, whether scores are marked, and the given splits by their final names."""
    shares, marked, given = _val_and_test(given, section, notes)
    if not section.calibration_fraction:
        return shares, marked, given
    if CALIBRATION in given:
        notes.append("calibration is given: --calibration-fraction has no effect")
        return shares, marked, given
    notes.append(f"calibration is cut ({section.calibration_fraction * 100:.3g} %): images that choose nothing")
    # The last cut: the others have the same images as without it.
    return {**shares, CALIBRATION: section.calibration_fraction}, marked, given


def _val_and_test(given: np.ndarray, section: Data, notes: list[str]) -> tuple[dict[str, float], bool, np.ndarray]:
    present = set(np.unique(given).tolist()) - {OUT, CALIBRATION}
    if section.val_is_val and (VAL not in present or TEST in present):
        raise UserError("--val-is-val keeps a given val where no test is given; this data set has " + _names(present))
    if len(present) == 1:
        val = BOTH if section.val_fraction is None else section.val_fraction
        notes.append(f"no splits are given: test is cut ({BOTH * 100:g} % of all); " + _cut_note(val, "of all"))
        return {TEST: BOTH, VAL: val}, False, np.where(given == OUT, OUT, TRAIN)
    if TRAIN not in present:
        raise UserError(f"expected a train split, found {_names(present)}: name the images to learn from train")
    if VAL in present and (TEST in present or section.val_is_val):
        if section.val_fraction is not None:
            notes.append("val is given: --val-fraction has no effect")
        if section.val_is_val:
            notes.append("val is kept as val and no test is left: scores are of the images that chose the model")
        return {}, section.val_is_val, given
    val = ONE if section.val_fraction is None else section.val_fraction
    if VAL in present:
        notes.append(f"the given val is used as test; {_cut_note(val, 'of train')} (--val-is-val keeps it as val)")
        given = np.where(given == VAL, TEST, given)
    else:
        notes.append(_cut_note(val, "of train"))
    return {VAL: val}, False, given


def _cut_note(val: float, of: str) -> str:
    return (
        f"val is cut ({val * 100:.3g} % {of})"
        if val
        else "no val: all of train is trained on, and the last epoch is kept"
    )


def _names(present: set[str]) -> str:
    return ", ".join(sorted(name or "no split" for name in present))


def assign(
    keys: Sequence[str], labels: np.ndarray, shares: dict[str, float], seed: int, purpose: str = ""
) -> np.ndarray:
    """Returns a split for each image, str [n], by the rank of its key's number within its class or its rarest labels.

    Each cut has its share of each class to within one image, or to within half a group. A class that is too small gives one
    image to each split, as far as possible. Later images may move earlier ones: --split-file with a run's split.csv keeps
    those in their splits.
    """
    units, unit_of = np.unique(np.array(keys, object).astype(str), return_inverse=True)
    names = [name for name, share in shares.items() if share > 0]
    ends = np.cumsum([shares[name] for name in names])
    if ends.size and ends[-1] >= 1:
        raise UserError(
            f"{' and '.join(names)} would take {ends[-1]:.0%} of the images: lower --val-fraction"
            + (" or --calibration-fraction" if CALIBRATION in names else "")
        )
    at = numbers(units.tolist(), seed, purpose)
    if labels.ndim == 2:
        return label_cut.assign(unit_of, at, labels, names, ends)[unit_of]
    unit_labels, sizes = majority(unit_of, labels), np.bincount(unit_of)
    result = np.full(len(units), TRAIN, NAMES_TYPE)
    for label in np.unique(unit_labels):
        members = np.flatnonzero(unit_labels == label)
        members = members[np.argsort(at[members], kind="stable")]
        images = np.r_[0, np.cumsum(sizes[members])]  # in the first k units
        nearest = np.abs(images[:, None] - ends * images[-1]).argmin(axis=0)
        bounds = label_cut.bounds(nearest.tolist(), len(members))
        for name, low, high in zip(names, [0, *bounds], bounds, strict=False):
            result[members[low:high]] = name
    return result[unit_of]


def majority(unit_of: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the most frequent label of each unit, the first of equals, int [units], without a table of units and classes.

    >>> majority(np.array([0, 1, 1, 1, 0]), np.array([7, 3, 3, 2, 5])).tolist()
    [5, 3]
    """
    classes = int(labels.max(initial=0)) + 1
    cells, counts = np.unique(unit_of.astype(np.int64) * classes + labels, return_counts=True)
    order = np.lexsort((cells, -counts, cells // classes))
    first = np.unique(cells[order] // classes, return_index=True)[1]
    return cells[order][first] % classes


def _groups(listing: Listing, section: Data, notes: list[str]) -> list[str]:
    """Returns the key of each image: its group in the source, or the part of its id that `pattern` matches, else the id."""
    ids, pattern = listing.source.ids, section.group_by
    if pattern is None and listing.groups is None:
        return list(ids)
    keys, lonely = grouping.keys(listing, pattern)
    if lonely == len(ids):
        told = "--group-column names no group" if pattern is None else f"--group-by {pattern!r} matches no path"
        raise UserError(f"{told}; a path here is {ids[0]!r}")
    by = "--group-by" if pattern is not None else "--dedupe" if section.dedupe == "group" else "the table's column"
    notes.append(
        f"{len(set(keys))} groups by {by}" + (f"; {lonely} images match nothing and stand alone" if lonely else "")
    )
    return keys


def _report_straddling(keys: list[str], given: np.ndarray, notes: list[str]) -> None:
    places: dict[str, set[str]] = {}
    for key, split in zip(keys, given.tolist(), strict=True):
        places.setdefault(key, set()).add(split)
    straddling = sum(len(names) > 1 for names in places.values())
    if straddling:
        notes.append(f"{straddling} groups lie in more than one given split: what is given is not moved")


def _check(indices: dict[str, np.ndarray], source: Source, section: Data, marked: bool) -> None:
    further = [CALIBRATION] if CALIBRATION in indices else []
    needed = [
        TRAIN,
        *further,
        *([] if marked else [TEST]),
        *([] if section.val_fraction == 0 and not marked else [VAL]),
    ]
    for name in needed:
        if not len(indices[name]):
            raise UserError(
                f"{name} has no images ({len(source)} in all): give more, or another --split-seed, --group-by or --val-fraction"
            )
    counts = {name: _present(source, at) for name, at in indices.items()}
    for name in (VAL, *further, TEST):
        missing = sorted(counts[name] - counts[TRAIN])
        if missing:
            labels = ", ".join(repr(source.class_names[label]) for label in missing[:10])
            known = ", ".join(repr(source.class_names[label]) for label in sorted(counts[TRAIN])[:10])
            strangers = "" if counts[name] & counts[TRAIN] else f", or --leave-out {name} where it has no classes"
            raise UserError(
                f"{name} has images of {labels}, which train lacks (it has {known}): give train some or rename it{strangers}"
            )
    if len(counts[TRAIN]) < (1 if source.several else 2):
        if source.several:
            raise UserError("no image of train has a label")
        raise UserError(
            f"expected at least two classes, found {[source.class_names[label] for label in counts[TRAIN]]}"
        )


def _present(source: Source, at: np.ndarray) -> set[int]:
    """Returns the classes with images at these indices."""
    labels = source.labels[at]
    return set((np.flatnonzero(labels.any(axis=0)) if source.several else np.unique(labels)).tolist())


def _fraction(train: np.ndarray, source: Source, section: Data, notes: list[str]) -> np.ndarray:
    """Returns the share of train that --fraction keeps: the lowest numbers of each class, so that smaller shares are subsets."""
    if section.fraction == 1:
        return train
    at = numbers([source.ids[i] for i in train], section.split_seed, "fraction ")
    if source.several:
        return label_cut.lowest(train, at, source.labels[train], section.fraction, notes)
    labels, kept = source.labels[train], []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(section.fraction * len(members)))
        kept.append(members[np.argsort(at[members], kind="stable")[:count]])
    return label_cut.chosen(train, np.concatenate(kept), section.fraction, notes)
