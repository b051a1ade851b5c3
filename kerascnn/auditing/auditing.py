"""An audit from its flags to its conclusion. It reads the images once, and changes nothing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn import data
from kerascnn.artefacts import own_images
from kerascnn.auditing import feature_neighbors, leaks, suspects
from kerascnn.auditing.audit_config import Audit
from kerascnn.auditing.audit_directory import AuditDirectory
from kerascnn.auditing.feature_neighbors import FeaturePair
from kerascnn.auditing.findings import KINDS, Finding, findings, of_problem
from kerascnn.auditing.leaks import Leaks
from kerascnn.auditing.name_groups import NameGroups, suggested
from kerascnn.auditing.suspects import Suspects
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Data
from kerascnn.data import Room, Splits, copies
from kerascnn.data.as_given import as_given
from kerascnn.data.copies import Copies, CopyPair
from kerascnn.data.corrections import excluded
from kerascnn.data.listing import FINGERPRINT, Listing
from kerascnn.data.looks import Looks, looks
from kerascnn.errors import UserError
from kerascnn.runs import Run, finding
from kerascnn.runs.earlier import alike
from kerascnn.scoring.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Audited:
    """What an audit found, and what follows from it.

    Attributes:
        section: The images, as the flags name them.
        splits: The data set in the splits in which `fit` would use it, or those of the run.
        seen: The look of each image of the source.
        skipped: (id, reason) of the files that the listing could not use.
        copies: The copies among the images that are used.
        neighbors: Neighbors in feature space that are no copies, or None without a run.
        suspects: Suspect labels, or None without a run or folds.
        run: The run, or None.
        notes: Lines about the splits.
    """

    section: Data
    splits: Splits
    seen: Looks
    skipped: tuple[tuple[str, str], ...]
    copies: Copies
    neighbors: tuple[FeaturePair, ...] | None
    suspects: Suspects | None
    run: Run | None
    notes: tuple[str, ...]

    @property
    def ids(self) -> Sequence[str]:
        """The ids of all images of the source."""
        return self.splits.train.source.ids

    @functools.cached_property
    def where(self) -> dict[str, str]:
        """Id -> split of the images that are used."""
        return leaks.splits_of(self.splits)

    @functools.cached_property
    def labels(self) -> dict[str, str]:
        """Id -> label, as text, of the images that are used."""
        return leaks.labels_of(self.splits)

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Id -> index in the source."""
        return {name: index for index, name in enumerate(self.ids)}

    @functools.cached_property
    def odd(self) -> list[Finding]:
        """Findings about single images that are used."""
        indices = np.concatenate([part.indices for part in self.splits.parts()])
        return findings(self.seen, self.ids, indices.tolist(), self.splits.image_size)

    @functools.cached_property
    def pairs(self) -> list[CopyPair]:
        """The copies as pairs, the most important first."""
        ranks = {name: (split, self.labels[name]) for name, split in self.where.items()}
        return leaks.by_importance(list(self.copies.pairs(ranks)), self.where, self.labels)

    @functools.cached_property
    def leaks(self) -> Leaks:
        """The copies that matter."""
        return leaks.leaks(self.copies, self.where, self.labels)

    @functools.cached_property
    def groups(self) -> list[NameGroups]:
        """Groups that the names suggest."""
        return suggested([name for name in self.ids if name in self.where], self.where, self.labels)

    @functools.cached_property
    def excluded(self) -> list[tuple[str, str]]:
        """(id, reason) for exclude.csv: what --exclude named, damaged and blank images, all but one of copies; each once."""
        found = dict.fromkeys(sorted(excluded(self.section)), "left out before") | dict(self.skipped)
        for one in self.odd:
            if KINDS[one.kind].damaged:
                found.setdefault(self.ids[one.place], f"{KINDS[one.kind].title}: {one.detail}")
        sizes = self.seen.facts["height"].astype(np.int64) * self.seen.facts["width"]
        left = {name: split for name, split in self.where.items() if name not in found}
        pixels = {name: int(sizes[self.places[name]]) for name in left}
        for name, reason in leaks.proposals(self.copies, left, self.labels, pixels):
            found.setdefault(name, reason)
        return list(found.items())


def audit(asked: Audit, room: Room, say: Callable[[str], None], phases: Phases = SILENT) -> Audited:
    """Returns what is found in a data set.

    Args:
        asked: The flags.
        room: Resources of the listing; copies are remembered in its folder.
        say: Takes lines.
        phases: Where the progress is shown.

    Raises:
        UserError: There is no such data set or run, the run was trained on other images, or an extra is missing.
        Stopped: The disk or the network share fails.
    """
    run = None if asked.run is None else _finished(asked)
    section = asked.data if run is None else _section_of(run, asked)
    listing = data.listed(section, room, phases)
    if run is not None and not alike(run, listing.fingerprint, listing.former):
        raise UserError(suspects.others(run))
    splits, notes = _splits(listing, section, run, room)
    for line in [*splits.lines(), *notes]:
        say(line)
    with phases.phase("looking at images", len(listing.source)) as phase:
        seen = looks(listing.source, phase.advance)
    found = copies.search(listing.source.ids, seen, room)
    copies.remember(room.contents, listing.fingerprint, found)
    used, gone = found.kept(leaks.splits_of(splits)), excluded(section)
    return Audited(
        section,
        splits,
        seen,
        skipped=tuple((name, reason) for name, reason in listing.skipped if name not in gone),
        copies=used,
        neighbors=None if run is None else _neighbors(run, splits, used, phases),
        suspects=_suspects(asked, run, splits, used, phases),
        run=run,
        notes=tuple(notes),
    )


def _finished(asked: Audit) -> Run:
    run = Run(finding.find(asked.run or "", asked.runs_dir))
    run.metrics()  # says what to do if it is not finished
    return run


def _section_of(run: Run, asked: Audit) -> Data:
    """Returns the run's images, at the place that the flags give."""
    given = asked.data.dataset != Data().dataset
    section = own_images.section_of(run, asked.data.dataset if given else None, asked.data.data_dir)
    fields = {
        name: getattr(asked.data, name) for name in ("exclude", "relabel") if getattr(asked.data, name) is not None
    }
    return section.model_copy(update=fields)


def _splits(listing: Listing, section: Data, run: Run | None, room: Room) -> tuple[Splits, list[str]]:
    """Returns the splits of the run, or those of `fit`; as given where `fit` would refuse the data."""
    if run is not None:
        return data.cut_of(listing, section, room).arranged(run.split_rows()), []
    try:
        return data.cut_of(listing, section, room), []
    except UserError as error:
        given = as_given(listing, listing.source.size, listing.source.mode)
        return given, [f"        fit would refuse these data: {error}"]


def _neighbors(run: Run, splits: Splits, used: Copies, phases: Phases) -> tuple[FeaturePair, ...]:
    """Returns neighbors in feature space that are not known as copies."""
    ids, found = feature_neighbors.features_of(run, splits, phases)
    groups = used.groups()
    pairs = feature_neighbors.neighbors(ids, found, phases)
    return tuple(pair for pair in pairs if pair.first not in groups or groups[pair.first] != groups.get(pair.second))


def _suspects(asked: Audit, run: Run | None, splits: Splits, used: Copies, phases: Phases) -> Suspects | None:
    if splits.train.source.several:
        if asked.folds is not None:
            raise UserError("--folds: suspect labels are found where each image has one label")
        return None
    if asked.folds is not None:
        found, folds = suspects.of_folds(Path(asked.folds), splits.class_names)
        _check_ids(found, splits, asked.folds)
        trained = _across_folds(found.ids, folds, used)
    elif run is not None:
        found = suspects.of_run(run, splits.fingerprint)
        trained = used.having([str(name) for name in found.ids], set(splits.train.ids()))
    else:
        return None
    with phases.phase("ranking labels"):
        return suspects.suspects(found, splits.class_names, trained)


def _across_folds(ids: np.ndarray, folds: np.ndarray, used: Copies) -> set[str]:
    """Returns the images with a copy in another fold: the network that predicts them has learned that copy's label."""
    found: set[str] = set()
    for fold in np.unique(folds):
        found |= used.having(ids[folds == fold].tolist(), ids[folds != fold].tolist())
    return found


def _check_ids(found: Predictions, splits: Splits, folder: str) -> None:
    """Refuses predictions of images that are not here, or that have another label here."""
    labels = {name: label for part in splits.parts() for name, label in zip(part.ids(), part.labels, strict=True)}
    strange = [name for name in found.ids.tolist() if name not in labels]
    if strange:
        raise UserError(
            f"--folds {folder} has predictions of {len(strange)} images that are not here, first {strange[0]!r}"
        )
    pairs = zip(found.ids.tolist(), found.labels, strict=True)
    wrong = sum(not np.array_equal(labels[name], label) for name, label in pairs)
    if wrong:
        raise UserError(f"--folds {folder}: {wrong} images had another label in training: train the folds anew")


def of_skipped(skipped: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Returns (id, kind of finding, reason) of files that the listing could not use."""
    return [(name, of_problem(reason), reason) for name, reason in skipped]


def directory(asked: Audit, splits: Splits) -> AuditDirectory:
    """Returns the folder of the results: that of --output, or one by the fingerprint of the data.

    Raises:
        UserError: It cannot be written, or is something else.
    """
    name = f"{splits.name}-{splits.fingerprint.removeprefix(FINGERPRINT)[:6]}"
    found = AuditDirectory(asked.output or asked.audits_dir / name)
    found.check()
    return found
