"""Contrasts of two archs on the same images: predictions of their runs, paired by image and seed, and the tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerascnn import statistics
from kerascnn.data import labels
from kerascnn.data.grouping import groups_of
from kerascnn.errors import UserError
from kerascnn.runs import Run
from kerascnn.scoring import paired_scores
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.paired_scores import OfClass, Sampler
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import Task
from kerascnn.statistics import Difference, Interval, McNemar


def scored_split(metrics: Mapping[str, Any]) -> str:
    """Returns the split of a finished run's verdict: val if test is val (--val-is-val)."""
    return "test" if "test" in metrics else "val"


@dataclass(frozen=True)
class ArchPredictions:
    """The predictions of one arch's runs for the same images.

    Args:
        arch: Its name.
        class_names: In the labels' order.
        by_seed: Predictions for the m images, by seed; at least one.
        groups: Number of each image's group (--group-by), [m]; None where every image stands alone.
        by_class_only: Whether only predicted classes are known, each with probability 1 in `by_seed`.
    """

    arch: str
    class_names: tuple[str, ...]
    by_seed: dict[int, Predictions]
    groups: np.ndarray | None = None
    by_class_only: bool = False

    @property
    def ids(self) -> np.ndarray:
        """Path or name of each image, [m]."""
        return next(iter(self.by_seed.values())).ids

    @property
    def labels(self) -> np.ndarray:
        """True classes, [m], or several labels, bool [m, C]."""
        return next(iter(self.by_seed.values())).labels

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return next(iter(self.by_seed.values())).task

    @classmethod
    def read(cls, arch: str, runs: dict[int, Run], split: str = "test") -> "ArchPredictions":
        """Returns the predictions of finished runs by seed.

        Raises:
            UserError: There is no run or no image, a run is unfinished or lacks such predictions, or images differ.
        """
        found: ArchPredictions | None = None
        for seed, run in runs.items():
            run.metrics()  # says what to do if it is not finished
            try:
                kept = Predictions.load(run, split)
            except FileNotFoundError:
                raise UserError(f"run {run.name} kept no predictions of {split}: it has no such images") from None
            if not len(kept):
                raise UserError(f"run {run.name} has no {split} images: nothing to compare on")
            names = tuple(run.data()["class_names"])
            one = cls(arch, names, {seed: kept}, groups_of(kept.ids, run))
            if found is None:
                found = one
            else:
                check_same(found, one, run.name)
                found.by_seed.update(one.by_seed)
        if found is None:
            raise UserError(f"{arch} has no finished run")
        return found

    def has(self, score: Score) -> bool:
        """Returns whether the predictions say a score: one of predicted classes, or one of known probabilities."""
        return not self.by_class_only or score.of_counts is not None

    def values(self, metric: str) -> dict[int, float]:
        """Returns the metric by seed."""
        rule, whole = self.task.score(metric), np.arange(len(self.labels))[None]
        return {seed: float(rule.sampler(one)(whole)[0]) for seed, one in self.by_seed.items()}

    def with_failed(self, seeds: Sequence[int]) -> "ArchPredictions":
        """Returns the same with a constant run at each of these seeds: every class as probable as it is frequent.

        Such a run predicts the largest class for every image, or ranks images at random, which is chance.
        """
        shares = labels.counts(self.labels, len(self.class_names)) / len(self.labels)
        chance = np.broadcast_to(shares.astype("float32"), (len(self.labels), len(shares)))
        failed = replace(next(iter(self.by_seed.values())), probabilities=chance)
        return replace(self, by_seed={**self.by_seed, **dict.fromkeys(seeds, failed)})

    def weak(self) -> list[str]:
        """Returns a sentence for each run that is no better than a constant: it predicts one class, or is as right as the
        largest.
        """
        if self.task.several:
            return self._weak_labels()
        largest = int(np.bincount(self.labels).max())
        said: dict[str, list[int]] = {}
        for seed, one in self.by_seed.items():
            found = one.predicted
            if len(self.class_names) > 1 and (found == found[0]).all():
                said.setdefault(f"always answers {self.class_names[found[0]]}", []).append(seed)
            elif statistics.proportion(one.correct, self.groups).low <= largest / len(found):
                share = f"{largest / len(found):.1%}"
                said.setdefault(f"cannot be told from always answering the largest class ({share})", []).append(seed)
        return [f"{self.arch} {what}: seed{'s'[: len(seeds) > 1]} {_numbers(seeds)}" for what, seeds in said.items()]

    def _weak_labels(self) -> list[str]:
        """Returns `weak` of several labels per image: a run whose order of images is no better than a random one."""
        row, seeds = self.task.headline, []
        for seed, one in self.by_seed.items():
            found = self.task.measured([row], one, self.groups)[row.name]
            if found is not None and found["low"] <= self.labels.mean(axis=0)[self.labels.any(axis=0)].mean():
                seeds.append(seed)
        plural = "s"[: len(seeds) > 1]
        what = f"cannot be told from a random order of the images by {row.title}"
        return [f"{self.arch} {what}: seed{plural} {_numbers(seeds)}"] if seeds else []


def check_same(first: ArchPredictions, second: ArchPredictions, name: str) -> None:
    """Checks that images and classes are the same, in the same order.

    Raises:
        UserError: They differ; the message says in what.
    """
    if first.class_names != second.class_names:
        differ = sorted(set(first.class_names) ^ set(second.class_names))
        what = f"these are in one only: {', '.join(differ[:6])}" if differ else "their order differs"
        raise UserError(f"{name} knows other classes than {first.arch}: {what}; only runs on the same classes compare")
    if first.task is not second.task:
        raise UserError(f"{name} is of images with {second.task.about}, {first.arch} of images with {first.task.about}")
    if not (np.array_equal(first.ids, second.ids) and np.array_equal(first.labels, second.labels)):
        shared = len(np.intersect1d(first.ids, second.ids))
        raise UserError(
            f"{name} was tested on other images than {first.arch}: {len(second.ids):,} against {len(first.ids):,}, "
            f"{shared:,} in both; only runs on the same images compare"
        )


@dataclass(frozen=True)
class ClassDifference:
    """Difference of the recall of one class, second minus first; of its average precision with several labels per image.

    Args:
        name: The class.
        images: Number of its test images, or of those with the label.
        difference: The difference with images and seeds resampled; None for a class with fewer than two images (or groups).
        p: P value corrected for the number of classes (Holm); all those below 0.05 hold together. None with fewer than three
            seeds: the classes of one seed differ by the luck of that seed, so nothing is claimed.
    """

    name: str
    images: int
    difference: Difference | None
    p: float | None


@dataclass(frozen=True)
class Contrast:
    """The comparison of a pair of archs.

    Args:
        first: Predictions of the first arch.
        second: Predictions of the second arch.
        metric: Name of a row in `scoring.metrics`.
        seeds: The common seeds.
        difference: The interval of the verdict: second minus first.
        by_seed: The difference at each seed.
        over_seeds: Student's interval over seeds; None with fewer than three.
        pairs: McNemar's test by seed: an image is right if its class, or all its labels are.
        classes: Recall, or average precision, by class.
    """

    first: ArchPredictions
    second: ArchPredictions
    metric: str
    seeds: tuple[int, ...]
    difference: Difference
    by_seed: tuple[float, ...]
    over_seeds: Interval | None
    pairs: tuple[McNemar, ...]
    classes: tuple[ClassDifference, ...]

    @property
    def unit(self) -> str:
        """What its runs are paired by: seed, or fold."""
        return "fold" if self.difference.over == statistics.OVER_FOLDS else "seed"


def contrast(
    first: ArchPredictions, second: ArchPredictions, metric: str, level: float = 0.95, rounds: int = 2000
) -> Contrast:
    """Returns second minus first, on the common seeds.

    Raises:
        UserError: Different images or classes, fewer than two images, or no common seed.
    """
    check_same(first, second, second.arch)
    seeds = tuple(sorted(first.by_seed.keys() & second.by_seed.keys()))
    if not seeds:
        raise UserError(
            f"{first.arch} has seeds {_listed(first)}, {second.arch} {_listed(second)}: none in common to pair by"
        )
    if len(first.labels) < 2:
        raise UserError("one test image is no comparison: two at least")
    rule, images = first.task.score(metric), len(first.labels)
    a, b = ([rule.sampler(answers.by_seed[seed]) for seed in seeds] for answers in (first, second))
    difference = paired_scores.difference(a, b, images, rule.largest_difference, level, rounds, first.groups)
    scores = [[values[seed] for seed in seeds] for values in (first.values(metric), second.values(metric))]
    right_a, right_b = (np.stack([one.by_seed[seed].correct for seed in seeds]) for one in (first, second))
    classes = by_class(first, second, seeds, (right_a, right_b), level)
    return Contrast(
        first,
        second,
        metric,
        seeds,
        difference,
        tuple(np.subtract(scores[1], scores[0]).tolist()),
        statistics.compare_seeds(*scores) if len(seeds) >= statistics.MIN_SEEDS else None,
        tuple(statistics.mcnemar(x, y) for x, y in zip(right_a, right_b, strict=True)),
        classes,
    )


def _listed(answers: ArchPredictions) -> str:
    return _numbers(sorted(answers.by_seed))


def _numbers(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def by_class(
    first: ArchPredictions,
    second: ArchPredictions,
    seeds: Sequence[int],
    right: tuple[np.ndarray, np.ndarray],
    level: float,
) -> tuple[ClassDifference, ...]:
    """Returns the differences of recall, or average precision, by class, with p values corrected for their number.

    Args:
        first: Predictions of the first arch.
        second: Predictions of the second arch, for the same images.
        seeds: The common seeds.
        right: Which images both predict correctly, bool [seeds, m] each.
        level: Confidence level of the intervals.
    """
    if first.task.several:
        a, b = ([side.by_seed[seed].probabilities for seed in seeds] for side in (first, second))
        found = paired_scores.by_label(a, b, first.labels, level, first.groups)
    else:
        found = _recalls(first.labels, *right, len(first.class_names), level, first.groups)
    corrected = iter(statistics.holm([one.p for one in found if one.difference is not None]))
    images = labels.counts(first.labels, len(first.class_names))
    tested = len(seeds) >= statistics.MIN_SEEDS
    return tuple(
        ClassDifference(
            name,
            int(images[c]),
            found[c].difference,
            (next(corrected) if found[c].difference is not None else 1.0) if tested else None,
        )
        for c, name in enumerate(first.class_names)
    )


def _recalls(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, classes: int, level: float, groups: np.ndarray | None
) -> list[OfClass]:
    """Returns the difference of the recall of each class, and its p value, from which images were right, [seeds, m]."""
    found: list[OfClass] = []
    for c in range(classes):
        mine = labels == c
        its = None if groups is None else np.unique(groups[mine], return_inverse=True)[1]
        if (mine.sum() if its is None else its.max(initial=0) + 1) < 2:
            found.append(OfClass(None, 1.0))
            continue
        a, b = first[:, mine], second[:, mine]
        samplers = [[_mean_of(row) for row in table] for table in (a, b)]
        difference = paired_scores.difference(samplers[0], samplers[1], int(mine.sum()), 1.0, level, 1000, its)
        # With few images a variance may be due to chance: five images that all change sides would look "certain".
        changes = np.mean(b.astype(float) - a, axis=0)
        signs = statistics.sign_test(changes if its is None else np.bincount(its, changes))
        found.append(OfClass(difference, max(statistics.p_value(difference), signs)))
    return found


def _mean_of(right: np.ndarray) -> Sampler:
    return lambda index: right[index].mean(axis=1)
