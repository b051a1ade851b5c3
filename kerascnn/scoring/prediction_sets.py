"""Prediction sets of a network: thresholds from its calibration images, and their size and coverage on other images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerascnn.cli.escaping import one_line
from kerascnn.data.grouping import groups_of
from kerascnn.data.splits import CALIBRATION, VAL
from kerascnn.runs import Run
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import conformal, mean_interval, mean_share, proportion

KEY = "prediction_sets"  # in metrics.json, in the scores of a split
COVERAGE, SCORE = 0.9, "lac"
LABELS = "labels"  # the score of several labels per image: probabilities of labels


@dataclass(frozen=True)
class Calibration:
    """The images that thresholds come from.

    Attributes:
        split: calibration (images that chose nothing) or val.
        predictions: Of the network.
        grouped: Whether images come in groups, so that they are not exchangeable one by one.
    """

    split: str
    predictions: Predictions
    grouped: bool = False

    @classmethod
    def of_run(cls, run: Run) -> Calibration | None:
        """Returns the calibration images of a run, else its val, or None if it has neither."""
        for split in (CALIBRATION, VAL):
            if run.has_predictions(split):
                kept = Predictions.load(run, split)
                return cls(split, kept, groups_of(kept.ids, run) is not None)
        return None

    @classmethod
    def of_artefact(cls, path: Path) -> Calibration | None:
        """Returns the calibration images of the finished run that `path` is, or whose best model it is, or None."""
        run = Run(path if path.is_dir() else path.parent)
        own = run.config_file.exists() and path in (run.path, run.best_model)
        return cls.of_run(run) if own else None

    @property
    def exact(self) -> bool:
        """Whether the coverage is guaranteed for a finite number of images."""
        return self.split == CALIBRATION and not self.grouped

    def why(self) -> str:
        """Returns what the coverage of sets from these images is worth, in words."""
        n = len(self.predictions)
        if self.split != CALIBRATION:
            return f"approximate: val chose the checkpoint (n = {n:,}; --calibration-fraction keeps images that choose nothing)"
        if self.grouped:
            return (
                f"approximate: images of a group are not independent (n = {n:,} calibration images that chose nothing)"
            )
        return f"guaranteed on average for images like these: {n:,} calibration images chose nothing"


@dataclass(frozen=True)
class SetRule:
    """How the set of an image follows from its probabilities.

    Attributes:
        score: lac, aps or raps; `labels` for several labels per image.
        coverage: The nominal coverage; with several labels one minus the share of an image's labels that is missed.
        threshold: Of the classes' scores; with `labels` the probability from which a label is taken.
        by_class: A threshold for each class in place of it, or None.
        by_stratum: A threshold for each stratum that has one, or None.
    """

    score: str
    coverage: float
    threshold: float
    by_class: tuple[float, ...] | None = None
    by_stratum: Mapping[str, float] | None = None

    def sets(self, probabilities: np.ndarray, strata: Sequence[str] | None = None) -> np.ndarray:
        """Returns the classes in the set of each image, bool [n, C].

        Args:
            probabilities: [n, C].
            strata: The stratum of each image, with `by_stratum`.
        """
        if self.score == LABELS:
            return probabilities.astype("float64") >= self.threshold
        scores = conformal.SCORES[self.score](probabilities)
        if self.by_class is not None:
            return scores <= np.array(self.by_class)
        if self.by_stratum is not None and strata is not None:
            limits = np.array([self.by_stratum.get(name, self.threshold) for name in strata])
            return scores <= limits[:, None]
        return scores <= self.threshold


def rule(
    found: Calibration,
    coverage: float = COVERAGE,
    score: str = SCORE,
    *,
    by_class: bool = False,
    strata: Sequence[str] | None = None,
) -> SetRule:
    """Returns the rule that calibration images give.

    Args:
        found: The images.
        coverage: In (0, 1).
        score: lac, aps or raps; has no effect with several labels.
        by_class: Whether each class has a threshold of its own.
        strata: The stratum of each calibration image, or None.
    """
    probabilities, labels = found.predictions.probabilities, found.predictions.labels
    if found.predictions.task.several:
        return SetRule(LABELS, coverage, conformal.label_threshold(probabilities, labels, 1 - coverage))
    scores = conformal.SCORES[score](probabilities)
    every = conformal.threshold(conformal.of_truth(scores, labels), coverage)
    own = tuple(conformal.by_class(scores, labels, coverage)) if by_class else None
    parts = None if strata is None else conformal.by_stratum(scores, labels, strata, coverage)
    return SetRule(score, coverage, every, own, parts)


def measured(
    one: SetRule,
    found: Calibration,
    predictions: Predictions,
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
    strata: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Returns how often sets hold the truth, and their size, with 95 % intervals.

    Args:
        one: The rule.
        found: The images that it comes from.
        predictions: Of other images.
        class_names: C names.
        groups: The group of each image, int [n], or None.
        strata: The stratum of each image, or None.

    Returns:
        threshold (None where sets have every class); coverage, or with several labels missed (the mean share of an image's
        labels that is missed); size (classes per image); empty and one (shares of images); expected: mean, low, high of a rule
        for all images; per_stratum; per_class: name, n, calibration (images), own (whether the class has a threshold of its
        own), threshold, coverage and size.
    """
    taken, labels = one.sets(predictions.probabilities, strata), predictions.labels
    sizes = taken.sum(axis=1)
    entry: dict[str, Any] = {
        "threshold": _finite(one.threshold),
        "size": mean_interval(sizes, groups)._asdict(),
        "empty": float((sizes == 0).mean()),
        "one": float((sizes == 1).mean()),
    }
    calibration = found.predictions.labels
    if predictions.task.several:
        entry["missed"] = mean_share(conformal.missed_shares(taken, labels), groups)._asdict()
        covered, truth, before = taken, labels, calibration.sum(axis=0)
    else:
        classes = np.arange(len(class_names))
        truth, before = labels[:, None] == classes, (calibration[:, None] == classes).sum(axis=0)
        covered = taken[np.arange(len(labels)), labels]
        entry["coverage"] = proportion(covered, groups)._asdict()
        if one.by_class is None and one.by_stratum is None:
            spread = conformal.expected_coverage(len(calibration), len(labels), one.coverage)
            entry["expected"] = spread._asdict()
        covered = np.broadcast_to(covered[:, None], truth.shape)
    entry["per_class"] = [
        {
            "name": name,
            "calibration": int(before[c]),
            "own": one.by_class is not None and int(before[c]) >= conformal.FEWEST,
            "threshold": _finite(one.threshold if one.by_class is None else one.by_class[c]),
            **_of_part(covered[:, c], sizes, truth[:, c], groups),
        }
        for c, name in enumerate(class_names)
    ]
    if one.by_stratum is not None and strata is not None and not predictions.task.several:
        names = np.asarray(strata, object).astype(str)
        entry["per_stratum"] = [
            {
                "name": str(name),
                "own": str(name) in one.by_stratum,
                **_of_part(covered[:, 0], sizes, names == name, groups),
            }
            for name in np.unique(names)
        ]
    return entry


def scores(
    found: Calibration | None,
    predictions: Predictions,
    class_names: Sequence[str],
    groups: np.ndarray | None = None,
    *,
    coverage: float = COVERAGE,
    score: str = SCORE,
    strata: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Returns the entry of a split in metrics.json, or nothing without calibration images.

    Args:
        found: The images that thresholds come from.
        predictions: Of the split.
        class_names: C names.
        groups: The group of each image, int [n], or None.
        coverage: In (0, 1).
        score: lac, aps or raps.
        strata: The strata of the calibration images and of the split's, or None.

    Returns:
        Under KEY: coverage (nominal), score, from (split), n, exact, why, and rules: `measured` by name: marginal; with one
        label per image also class (a threshold for each class) and with strata stratum.
    """
    if found is None or not len(found.predictions):
        return {}
    names = ("marginal",) if predictions.task.several else ("marginal", "class", *(("stratum",) if strata else ()))
    rules = {}
    for name in names:
        of = strata if name == "stratum" and strata else (None, None)
        one = rule(found, coverage, score, by_class=name == "class", strata=of[0])
        rules[name] = measured(one, found, predictions, class_names, groups, of[1])
    kept = LABELS if predictions.task.several else score
    facts = {"coverage": coverage, "score": kept, "from": found.split, "n": len(found.predictions)}
    return {KEY: {**facts, "exact": found.exact, "why": found.why(), "rules": rules}}


def _of_part(covered: np.ndarray, sizes: np.ndarray, part: np.ndarray, groups: np.ndarray | None) -> dict[str, Any]:
    """Returns n, coverage and mean size of some images; None without any."""
    if not part.any():
        return {"n": 0, "coverage": None, "size": None}
    share = proportion(covered[part], None if groups is None else groups[part])
    return {"n": int(part.sum()), "coverage": share._asdict(), "size": float(sizes[part].mean())}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def lines(split: str, entry: Mapping[str, Any]) -> list[str]:
    """Returns the main results of an entry of metrics.json as sentences."""
    one = entry["rules"]["marginal"]
    size = f"{one['size']['value']:.2f} classes per image"
    if "missed" in one:
        found = one["missed"]
        asked, what = f"at most {1 - entry['coverage']:.0%} of an image's labels missed", "missed on average"
    else:
        found, asked, what = one["coverage"], f"{entry['coverage']:.0%} asked", f"of {split} images covered"
    said = f"sets: {asked}; {found['value']:.2%} [{found['low']:.2%}, {found['high']:.2%}] {what}, {size}"
    if "expected" in one:
        said += f"; {one['expected']['low']:.1%} to {one['expected']['high']:.1%} is what chance allows"
    found_lines = [said, f"      {entry['why']}"]
    if "class" in entry["rules"]:
        by_class = entry["rules"]["class"]
        own = sum(row["own"] for row in by_class["per_class"])
        worst = [min(row["coverage"]["value"] for row in rule["per_class"] if row["n"]) for rule in (one, by_class)]
        found_lines.append(
            f"      lowest coverage of a class {worst[0]:.2%}; with a threshold for each class {worst[1]:.2%}"
            f" ({own} of {len(by_class['per_class'])} classes have {conformal.FEWEST} images for one)"
        )
    return found_lines


def table(entry: Mapping[str, Any]) -> list[str]:
    """Returns the coverage of each class, with one threshold and with its own, and of each stratum, the lowest first."""
    rules = entry["rules"]
    shown = [("class", rules["marginal"]["per_class"], rules.get("class", {}).get("per_class"))]
    if "stratum" in rules:
        shown.append(("stratum", rules["stratum"]["per_stratum"], None))
    said: list[str] = []
    for title, rows, others in shown:
        rest = "  own threshold" if others else ""
        said += ["", f"{title + ' in its sets':<24} {'n':>6} {'coverage':>9}  95 % interval     {'size':>5}{rest}"]
        pairs = [(row, others[i] if others else None) for i, row in enumerate(rows) if row["n"]]
        for row, other in sorted(pairs, key=lambda pair: pair[0]["coverage"]["value"]):
            found = row["coverage"]
            interval = f"[{found['low']:.2%}, {found['high']:.2%}]"
            line = f"{one_line(row['name'])[:24]:<24} {row['n']:>6} {found['value']:>9.2%}  {interval:<17} {row['size']:>5.2f}"
            said.append(line + (f"  {other['coverage']['value']:.2%}, size {other['size']:.2f}" if other else ""))
    return said
