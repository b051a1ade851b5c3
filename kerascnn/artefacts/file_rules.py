"""The rules of the further outputs of an artefact: its prediction sets, and what it says of images of unknown classes.

They come from a run's evaluation, and stand in the metadata of each file. No TensorFlow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from kerascnn.artefacts.further import IN_SET, KNOWN, KNOWN_SCORE
from kerascnn.data.grouping import groups_of
from kerascnn.data.splits import TEST
from kerascnn.runs import Run
from kerascnn.scoring import prediction_sets
from kerascnn.scoring.prediction_sets import LABELS, Calibration, SetRule
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import conformal, proportion

UNKNOWN = "unknown"  # in metrics.json, in the scores of a split
CUMULATED = ("aps", "raps")
# Sums of float32 probabilities in another order differ by less: no image of the calibration leaves its set by rounding.
SLACK = 1e-6
_LEAST = -float(np.finfo("float32").max)


@dataclass(frozen=True)
class SetFacts:
    """The prediction sets of an artefact.

    Attributes:
        rule: How a set follows from probabilities.
        about: JSON values: `from` (the split of the threshold), `n`, `exact`, `why`, and, where test was scored, `measured`:
            coverage (or missed) with its interval and n, and size; `own` where the artefact's own answers gave the threshold.
    """

    rule: SetRule
    about: Mapping[str, Any]


@dataclass(frozen=True)
class UnknownFacts:
    """What an artefact says of unknown classes: an image is known where its largest logit is at least a threshold.

    Attributes:
        threshold: Of the logits, not divided by a temperature.
        temperature: The divisor of the artefact's logits, by which they are multiplied again; 1 for none.
        about: JSON values: `share` (of images like the run's own that is accepted), `from`, `n`, and, where measured,
            `accepted` (share of test) and `rejected` (share of a folder's images) with intervals and n, and `folder`.
    """

    threshold: float
    temperature: float
    about: Mapping[str, Any]


class OwnAnswers(NamedTuple):
    """The answers of an artefact: its predictions, and its `known_score` where it has one, float32 [n]."""

    predictions: Predictions
    known: np.ndarray | None


@dataclass(frozen=True)
class FileRules:
    """The rules of an artefact's further outputs; each may be None."""

    sets: SetFacts | None = None
    unknown: UnknownFacts | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs that they add, in their order."""
        return (*([IN_SET] if self.sets else []), *([KNOWN, KNOWN_SCORE] if self.unknown else []))

    @classmethod
    def of_run(cls, run: Run, temperature: float = 1.0, *, by_class: bool = False) -> FileRules:
        """Returns the rules that a run's evaluation gives.

        Args:
            run: A finished run.
            temperature: The divisor of the artefact's logits.
            by_class: Whether each class with enough calibration images has a threshold of its own.
        """
        scores = run.metrics().get(TEST, {})
        return cls(_sets(run, scores, temperature, by_class), _unknown(scores, temperature))

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> FileRules:
        """Returns the rules of `kept()`."""
        return cls(
            None if "sets" not in kept else _read_sets(kept["sets"]),
            None if "unknown" not in kept else _read_unknown(kept["unknown"]),
        )

    def kept(self) -> dict[str, Any]:
        """Returns the rules as JSON values: `sets` and `unknown`, as far as there are any."""
        found: dict[str, Any] = {}
        if self.sets is not None:
            rule = self.sets.rule
            found["sets"] = {"coverage": rule.coverage, "score": rule.score, "threshold": _finite(rule.threshold)}
            if rule.by_class is not None:
                found["sets"]["by_class"] = [_finite(value) for value in rule.by_class]
            found["sets"] |= self.sets.about
        if self.unknown is not None:
            facts = {"threshold": self.unknown.threshold, "temperature": self.unknown.temperature}
            found["unknown"] = {"score": "max_logit", **facts, **self.unknown.about}
        return found

    def on(
        self, found: Calibration, known: np.ndarray | None, test: OwnAnswers | None, groups: np.ndarray | None
    ) -> FileRules:
        """Returns the rules with thresholds of an artefact's own answers, as 8 bits have.

        Args:
            found: The artefact's predictions for the run's calibration images (or val).
            known: Its `known_score` for them, or None.
            test: Its answers to test images, or None where there are none.
            groups: The group of each test image, or None.
        """
        sets, unknown = self.sets, self.unknown
        if sets is not None:
            score = prediction_sets.SCORE if sets.rule.score == LABELS else sets.rule.score
            by_class = sets.rule.by_class is not None
            rule = prediction_sets.rule(found, sets.rule.coverage, score, by_class=by_class)
            about = {**_about(found), "own": True}
            sets = SetFacts(rule, about | _measured(rule, found, test and test.predictions, groups))
        if unknown is not None and known is not None:
            limit = max(-conformal.threshold(-known.astype("float64"), unknown.about["share"]), _LEAST)
            facts = {key: unknown.about[key] for key in ("share", "from")} | {"n": len(known), "own": True}
            if test is not None and test.known is not None:
                facts["accepted"] = proportion(test.known >= limit, groups)._asdict()
            unknown = replace(unknown, threshold=limit, about=facts)
        return FileRules(sets, unknown)

    def in_set(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns the classes in the set of each image, bool [n, C], computed in float64."""
        assert self.sets is not None
        return self.sets.rule.sets(probabilities)

    def apart(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns how far each class is from its threshold, float64 [n, C]: below a tolerance rounding may decide."""
        assert self.sets is not None
        rule = self.sets.rule
        if rule.score == LABELS:
            return np.abs(probabilities.astype("float64") - rule.threshold)
        limit = rule.threshold if rule.by_class is None else np.array(rule.by_class)
        return np.abs(conformal.SCORES[rule.score](probabilities) - limit)


def lowest(rule: SetRule) -> np.ndarray:
    """Returns the probability from which a class is in a set of `lac`, or of several labels: float32, [] or [C]."""
    exact = rule.threshold if rule.score == LABELS else 1 - np.asarray(rule.by_class or rule.threshold, "float64")
    found = np.asarray(np.maximum(exact, 0), "float32")
    return np.where(found > exact, np.nextafter(found, np.float32(-1)), found).astype("float32")


def highest(rule: SetRule) -> np.ndarray:
    """Returns the cumulated probability up to which a class is in a set of `aps` or `raps`: float32, [] or [C]."""
    exact = np.asarray(rule.by_class or rule.threshold, "float64") + SLACK
    return np.minimum(exact, float(np.finfo("float32").max)).astype("float32")


def _sets(run: Run, scores: Mapping[str, Any], temperature: float, by_class: bool) -> SetFacts | None:
    entry, found = scores.get(prediction_sets.KEY), Calibration.of_run(run)
    if entry is None or found is None:
        return None
    found = replace(found, predictions=_cooled(found.predictions, temperature))
    several = found.predictions.task.several
    score = prediction_sets.SCORE if several else entry["score"]
    rule = prediction_sets.rule(found, entry["coverage"], score, by_class=by_class and not several)
    test = _cooled(Predictions.load(run, TEST), temperature) if run.has_predictions(TEST) else None
    groups = None if test is None else groups_of(test.ids, run)
    return SetFacts(rule, _about(found) | _measured(rule, found, test, groups))


def _about(found: Calibration) -> dict[str, Any]:
    return {"from": found.split, "n": len(found.predictions), "exact": found.exact, "why": found.why()}


def _measured(rule: SetRule, found: Calibration, test: Predictions | None, groups: np.ndarray | None) -> dict[str, Any]:
    """Returns the entry `measured`, or nothing without test images."""
    if test is None:
        return {}
    names: Sequence[str] = [str(c) for c in range(test.probabilities.shape[1])]
    whole = prediction_sets.measured(rule, found, test, names, groups)
    return {"measured": {key: whole[key] for key in ("coverage", "missed", "size") if key in whole}}


def _cooled(predictions: Predictions, temperature: float) -> Predictions:
    """Returns predictions with their logits divided by a temperature."""
    if temperature == 1:
        return predictions
    powers = predictions.probabilities.astype("float64") ** (1 / temperature)
    return replace(predictions, probabilities=(powers / powers.sum(axis=1, keepdims=True)).astype("float32"))


def _unknown(scores: Mapping[str, Any], temperature: float) -> UnknownFacts | None:
    entry = scores.get(UNKNOWN, {})
    inside = entry.get("in_files")
    if inside is None:
        return None
    about = {"share": entry["share"], "from": entry["from"], "n": entry["from_n"], "folder": entry["folder"]}
    about |= {key: inside[key] for key in ("accepted", "rejected")}
    return UnknownFacts(inside["threshold"], temperature, about)


def in_files(known: np.ndarray, test: np.ndarray, foreign: np.ndarray, share: float, groups: np.ndarray | None) -> Any:
    """Returns what `evaluate --unknown` keeps for artefacts, or None where no threshold accepts that share.

    Args:
        known: Largest logits of the calibration images (or val), [n].
        test: Of test images.
        foreign: Of images of unknown classes.
        share: Share of images like the run's own that shall be accepted.
        groups: The group of each test image, or None.
    """
    limit = -conformal.threshold(-known.astype("float64"), share)
    if not math.isfinite(limit):
        return None
    accepted, rejected = proportion(test >= limit, groups), proportion(foreign < limit)
    return {"threshold": limit, "accepted": accepted._asdict(), "rejected": rejected._asdict()}


def _read_sets(kept: Mapping[str, Any]) -> SetFacts:
    own = kept.get("by_class")
    by_class = None if own is None else tuple(map(_infinite, own))
    rule = SetRule(kept["score"], kept["coverage"], _infinite(kept["threshold"]), by_class)
    return SetFacts(rule, {key: value for key, value in kept.items() if key not in _OF_RULE})


def _read_unknown(kept: Mapping[str, Any]) -> UnknownFacts:
    about = {key: value for key, value in kept.items() if key not in ("score", "threshold", "temperature")}
    return UnknownFacts(kept["threshold"], kept["temperature"], about)


_OF_RULE = ("coverage", "score", "threshold", "by_class")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _infinite(value: float | None) -> float:
    return math.inf if value is None else float(value)
