"""The splits train, val and test as plain arrays and strings. No TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.data import labels
from kerascnn.errors import UserError
from kerascnn.scoring import task as tasks
from kerascnn.scoring.task import Task

if TYPE_CHECKING:
    from kerascnn.data.decode import Mode
    from kerascnn.data.listing import Former, Listing
    from kerascnn.data.sources import Source

TRAIN, VAL, TEST = "train", "val", "test"
CALIBRATION = "calibration"  # images that choose nothing, for the thresholds of prediction sets
# Arrays of splits that are filled later: NumPy cuts a longer name to the longest that it has seen.
NAMES_TYPE = f"<U{len(CALIBRATION)}"
OUT = "out"  # an image that is not used
# Names of splits in data sets, in lower case.
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}


@dataclass(frozen=True, eq=False)
class Split:
    """Some images of a source.

    Attributes:
        name: train, val, calibration or test.
        source: The source of the images.
        indices: Indices in the source, int64 [n].
        labels: Indices in the class names, int32 [n], or bool [n, classes] where images have any number of labels.
    """

    name: str
    source: Source
    indices: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def ids(self) -> list[str]:
        """Returns one name per image: its path below the data set's folder, or its given split and index."""
        return [self.source.ids[i] for i in self.indices]


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set in splits. A run trains on train, chooses by val (empty with --val-fraction 0) and reads test once.

    Attributes:
        train, val, test: The three splits; with `marked`, test is val.
        class_names: Names of the classes, in the order of labels.
        fingerprint: A sha256 that tells whether two runs saw the same data, wherever those are stored.
        name: Short name for the names of runs.
        image_size: Height and width after resizing.
        resize: Resize mode: crop, pad or squash.
        notes: Decisions about the splits, one line each.
        skipped: (path, reason) of every file that was left out.
        former: The fingerprint of the same images in earlier versions, or None.
        marked: Whether test is the val that chose the model (--val-is-val).
        groups: Group of each image of the source, as in Listing, or None.
        calibration: Images that choose nothing (--calibration-fraction), or None.
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    fingerprint: str
    name: str
    image_size: int
    resize: Mode
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    former: Former | None = None
    marked: bool = False
    groups: np.ndarray | None = None
    calibration: Split | None = None

    @classmethod
    def of(
        cls,
        listing: Listing,
        splits: Mapping[str, Split],
        image_size: int,
        resize: Mode,
        notes: Sequence[str],
        marked: bool = False,
    ) -> Splits:
        """Returns `splits`, by their names, of what a data set lists; the rest as in the attributes."""
        return cls(
            train=splits[TRAIN],
            val=splits[VAL],
            test=splits[TEST],
            class_names=listing.source.class_names,
            fingerprint=listing.fingerprint,
            name=listing.name,
            image_size=image_size,
            resize=resize,
            notes=tuple(notes),
            skipped=listing.skipped,
            former=listing.former,
            marked=marked,
            groups=listing.groups,
            calibration=splits.get(CALIBRATION),
        )

    def arranged(self, rows: Mapping[str, str]) -> Splits:
        """Returns the same images in the splits of a run, by whatever rule they were cut.

        Args:
            rows: Id -> train, val, calibration or test, from the run's split.csv; an empty one changes nothing.

        Raises:
            UserError: An image is missing.
        """
        if not rows:
            return self
        source = self.train.source
        indices = {name: index for index, name in enumerate(source.ids)}
        missing = [name for name in rows if name not in indices]
        if missing:
            raise UserError(f"{self.name} lacks {len(missing)} images of the run's split.csv, first {missing[0]!r}")
        found = {}
        for split in (self.train, self.val, self.test, *([self.calibration] if self.calibration else [])):
            kept = VAL if self.marked and split.name == TEST else split.name
            at = np.sort(np.array([indices[name] for name, where in rows.items() if where == kept], np.int64))
            found[split.name] = replace(split, indices=at, labels=source.labels[at])
        return replace(self, train=found[TRAIN], val=found[VAL], test=found[TEST], calibration=found.get(CALIBRATION))

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return tasks.of_labels(self.train.labels)

    def parts(self) -> tuple[Split, ...]:
        """Returns the splits that share no image, train first and test last."""
        apart = (self.calibration,) if self.calibration is not None else ()
        return (self.train, self.val, *apart, *(() if self.marked else (self.test,)))

    def rows(self) -> list[tuple[str, ...]]:
        """Returns (path, label, split) of every image, the rows of split.csv; and its group where groups are known."""
        rows = [
            (path, label, split.name)
            for split in self.parts()
            for path, label in zip(split.ids(), labels.names(split.labels, self.class_names), strict=True)
        ]
        if self.groups is None:
            return list(rows)
        groups = [group for split in self.parts() for group in self.groups[split.indices].tolist()]
        return [(*row, group) for row, group in zip(rows, groups, strict=True)]

    def summary(self) -> dict[str, object]:
        """Returns the content of data.json: fingerprint, class names, images per split and class.

        The task is named where images have several labels; the images of a class are then those with its label.
        """
        counts = {split.name: labels.counts(split.labels, len(self.class_names)) for split in self.parts()}
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "class_names": list(self.class_names),
            "image_size": self.image_size,
            "resize": self.resize,
            **({"task": self.task.name} if self.task.several else {}),
            "images": {split.name: len(split) for split in self.parts()},
            "counts": {
                name: {label: int(k) for label, k in zip(self.class_names, count, strict=True)}
                for name, count in counts.items()
            },
            "skipped": len(self.skipped),
            "test_is_val": self.marked,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """Returns the lines about the data at the start of a run."""
        counts = ", ".join(f"{len(split):,} {split.name}" for split in self.parts() if len(split))
        head = f"data    {self.name}: {counts}; {len(self.class_names)} classes, {self.image_size} px"
        if self.task.several:
            mean = sum(split.labels.sum() for split in self.parts()) / sum(len(split) for split in self.parts())
            head += f", {mean:.2g} labels per image"
        return [head, *(f"        {note}" for note in self.notes)]

    def failures(self) -> list[tuple[str, str]]:
        """Returns (path, reason) of the files with damaged content so far."""
        return self.train.source.failures()
