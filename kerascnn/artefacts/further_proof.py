"""Proves the further outputs of an artefact: against the run's rules, and against its own probabilities. No TensorFlow."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.further import IN_SET, KNOWN, KNOWN_SCORE

TOLERANCE = 1e-4  # of probabilities, and of scores relative to their size (at least 1), for float32
ROUNDING = 1e-5  # of an artefact's rules on its own probabilities


class RunAnswers(NamedTuple):
    """What the run answers to the images of the proof.

    Attributes:
        rules: The rules of the run.
        probabilities: float32 [n, C].
        scores: The largest logits, without a temperature, float32 [n], or None where the rules have no use for them.
    """

    rules: FileRules
    probabilities: np.ndarray
    scores: np.ndarray | None


def rows(
    own: FileRules,
    probabilities: np.ndarray,
    further: Mapping[str, np.ndarray],
    expected: RunAnswers,
    *,
    exact: bool,
) -> tuple[dict[str, Any], bool]:
    """Returns the entry `further` of a row of parity.json, and whether it passed.

    Each decision must follow from the artefact's own probabilities and scores by its rules, and in float32 be that of the run
    wherever a probability is not within the tolerance of its threshold.

    Args:
        own: The rules of the artefact.
        probabilities: Of the artefact, [n, C].
        further: Its further outputs by name.
        expected: The answers of the run.
        exact: Whether the artefact computes in float32.

    Returns:
        By name: n images, same (share of decisions equal to the run's), otherwise (number of decisions that rounding does not
        explain); for known_score max_difference.

    Raises:
        RuntimeError: Outputs are missing, or there are others.
    """
    if set(further) != set(own.outputs):
        raise RuntimeError(f"expected the further outputs {list(own.outputs)}, got {sorted(further)}")
    found: dict[str, Any] = {}
    if own.sets is not None:
        found[IN_SET] = _of_sets(own, probabilities, further[IN_SET], expected, exact)
    if own.unknown is not None:
        assert expected.scores is not None
        assert expected.rules.unknown is not None
        scores = further[KNOWN_SCORE].astype("float64")
        difference = np.abs(scores - expected.scores)
        difference[~np.isfinite(difference)] = np.inf
        right = expected.scores >= expected.rules.unknown.threshold
        wrong = _beyond(further[KNOWN], scores, own.unknown.threshold, ROUNDING)
        if exact:
            wrong = wrong | ((further[KNOWN] != right) & _far(expected.scores, own.unknown.threshold, TOLERANCE))
        found[KNOWN] = _row(further[KNOWN] == right, wrong)
        size = max(1.0, float(np.abs(expected.scores).max()))
        largest = float(difference.max())
        found[KNOWN_SCORE] = {"n": len(scores), "max_difference": largest if np.isfinite(largest) else None}
        if exact and not largest <= TOLERANCE * size:
            return found, False
    return found, not any(row.get("otherwise") for row in found.values())


def agree_on_sets(
    own: FileRules,
    probabilities: np.ndarray,
    further: Mapping[str, np.ndarray],
    expected: RunAnswers,
    *,
    exact: bool,
) -> bool:
    """Returns whether the sets of other images, such as encoded files, are those of the rules; arguments as `rows`."""
    if set(further) != set(own.outputs):
        return False
    return own.sets is None or not _of_sets(own, probabilities, further[IN_SET], expected, exact)["otherwise"]


def _of_sets(
    own: FileRules, probabilities: np.ndarray, got: np.ndarray, expected: RunAnswers, exact: bool
) -> dict[str, Any]:
    wrong = (got != own.in_set(probabilities)) & (own.apart(probabilities) > ROUNDING)
    right = expected.rules.in_set(expected.probabilities)
    if exact:
        wrong = wrong | ((got != right) & (expected.rules.apart(expected.probabilities) > TOLERANCE * _sums(own, got)))
    return _row(got == right, wrong)


def _sums(own: FileRules, got: np.ndarray) -> int:
    """Returns the number of probabilities of which each may be off by the tolerance."""
    assert own.sets is not None
    return got.shape[1] if own.sets.rule.score in ("aps", "raps") else 1


def _row(same: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    return {"n": len(same), "same": float(same.mean()), "otherwise": int(wrong.sum())}


def _far(scores: np.ndarray, threshold: float, tolerance: float) -> np.ndarray:
    return np.abs(scores - threshold) > tolerance * max(1.0, abs(threshold))


def _beyond(got: np.ndarray, scores: np.ndarray, threshold: float, tolerance: float) -> np.ndarray:
    return (got != (scores >= threshold)) & _far(scores, threshold, tolerance)


def line(found: Mapping[str, Any]) -> str:
    """Returns an entry `further` as words for the screen."""
    parts = [f"{name} {row['same']:.2%}" for name, row in found.items() if "same" in row]
    wrong = sum(row.get("otherwise", 0) for row in found.values())
    return f"{', '.join(parts)} as the run" + (f", {wrong} otherwise" if wrong else "")
