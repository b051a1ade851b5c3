"""Predictions of other programs as entries of a comparison, alone or beside finished runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kerascnn.cli.escaping import as_file_name
from kerascnn.cli.screen import Screen
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.contrasts import ArchPredictions
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.finished import FinishedRuns
from kerascnn.errors import UserError
from kerascnn.outside import OutsideSystem, Truth, read_systems


@dataclass(frozen=True)
class OutsideEntry(Entry):
    """A system of another program; it has no runs.

    Args:
        system: Its predictions.
        truth: The images and their labels.
        paired: The seed with which each of its files is paired.
        scored: Split of the images.
    """

    system: OutsideSystem = field(kw_only=True)
    truth: Truth = field(kw_only=True)
    paired: tuple[int, ...] = field(kw_only=True)
    scored: str = field(kw_only=True)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds with which its files are paired."""
        return self.paired

    @property
    def data_name(self) -> str:
        """Where the images and labels come from."""
        return self.truth.where

    @property
    def split(self) -> str:
        """What the verdict is read from."""
        return self.scored

    @property
    def train_seconds(self) -> float | None:
        """Training time as given."""
        return self.system.cost.train_seconds

    @cached_property
    def answers(self) -> ArchPredictions:
        """Its predictions."""
        by_seed = dict(zip(self.paired, self.system.predictions, strict=True))
        return ArchPredictions(
            self.arch, self.truth.class_names, by_seed, self.truth.groups, by_class_only=self.system.by_class_only
        )

    @property
    def source(self) -> str:
        """Its files, what was read as what, and the files' digest."""
        files = ", ".join(path.name for path in self.system.files)
        return f"{files}: {self.system.said} (sha256 {self.system.digest[:12]})"


@dataclass(frozen=True)
class OutsideEntries:
    """The systems of other programs in a comparison.

    Args:
        entries: One per system.
        terms: What they add to the terms of the comparison.
    """

    entries: tuple[OutsideEntry, ...] = ()
    terms: dict[str, Any] = field(default_factory=dict)

    def name(self, found: FinishedRuns) -> str:
        """Returns a name for the comparison of these systems and runs."""
        if not self.entries:
            return found.name
        names = [*found.groups, *(entry.arch for entry in self.entries)]
        labels = as_file_name("_".join(names).replace(" ", "-").replace(",", ""))
        runs = sorted(run.name for runs in found.groups.values() for run in runs.values())
        digests = [entry.system.digest for entry in self.entries]
        return f"{labels}-{hashlib.sha256(' '.join([*runs, *digests]).encode()).hexdigest()[:6]}"


NONE = OutsideEntries()


def read(compare: Compare, found: FinishedRuns, screen: Screen) -> OutsideEntries:
    """Returns the systems of `--predictions`, matched with the runs' images, and says what was read as what.

    Raises:
        UserError: They cannot be understood, are not about the same images, or there are no two systems.
    """
    truth, split = _truth_of(found) if found.groups else (None, "test")
    with screen.phase("reading predictions"):
        truth, systems = read_systems(compare.predictions, truth, compare.truth)
    if len(found.groups) + len(systems) < 2:
        raise UserError(
            f"expected two systems, got one ({systems[0].name}): name them, as in --predictions timm=a.csv yolo=b.csv, or "
            "name runs beside them"
        )
    if both := sorted(found.groups.keys() & {system.name for system in systems}):
        raise UserError(f"--predictions {both[0]}=...: a run has that name: choose another one")
    seeds = sorted({seed for runs in found.groups.values() for seed in runs})
    entries = []
    for system in systems:
        paired = _paired(len(system.files), seeds)
        count = f"{len(system.files)} file{'s' if len(system.files) > 1 else ''}"
        screen.say(
            f"read    {system.name}: {count} as seed{'s' if len(paired) > 1 else ''} {' '.join(map(str, paired))}"
        )
        screen.say(f"        {system.said}")
        entries.append(
            OutsideEntry(system.name, "", {}, system.cost, system=system, truth=truth, paired=paired, scored=split)
        )
    return OutsideEntries(tuple(entries), {"predictions": {system.name: system.digest for system in systems}})


def _paired(files: int, seeds: Sequence[int]) -> tuple[int, ...]:
    """Returns the seed of each file: those of the runs in their order, then further ones.

    Runs of two programs share no draws, so that any pairing of their seeds is as good as another.
    """
    further = range(max(seeds, default=-1) + 1, max(seeds, default=-1) + 1 + files)
    return tuple([*seeds, *further][:files])


def _truth_of(found: FinishedRuns) -> tuple[Truth, str]:
    """Returns the images and labels of the runs, and their split.

    Raises:
        UserError: The runs are those of folds, or have several labels per image.
    """
    label, runs = next(iter(found.groups.items()))
    first = next(iter(runs.values()))
    entry = Entry(label, "", {seed: run for seed, run in runs.items() if run is first}, None)  # type: ignore[arg-type]
    answers = entry.answers
    if first.config().data.fold is not None:
        raise UserError(
            "--predictions beside runs of folds: each fold is another split; compare with runs without --folds"
        )
    if answers.task.several:
        raise UserError("--predictions with several labels per image are not compared: one class per image is")
    where = f"run {first.name}"
    return Truth(answers.ids, answers.labels, answers.class_names, where, answers.groups), entry.split
