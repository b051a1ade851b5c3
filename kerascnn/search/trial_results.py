"""What is known of each candidate, and who is best."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerascnn.config.resolved import ResolvedConfig

BASELINE = "baseline"


@dataclass
class TrialResult:
    """One candidate, or the baseline.

    Attributes:
        name: Its hash, or `baseline`.
        values: By parameter; empty for the baseline.
        config: Of its run.
        scores: Best objective by the epoch that it was trained to, for each rung that has ended.
        reason: Why it failed, or "".
        epoch: The last one that is trained.
        running: Whether a child trains it now.
    """

    name: str
    values: dict[str, Any]
    config: ResolvedConfig
    scores: dict[int, float] = field(default_factory=dict)
    reason: str = ""
    epoch: int = 0
    running: bool = False

    @property
    def epochs(self) -> int:
        """Up to which its last score counts; 0 where it has none."""
        return max(self.scores, default=0)

    @property
    def score(self) -> float | None:
        """Its last score."""
        return self.scores[self.epochs] if self.scores else None

    def state(self, whole: int) -> str:
        """In a word or two, where a whole training has `whole` epochs."""
        if self.running:
            return "training"
        if self.reason:
            return "failed"
        if not self.scores:
            return "waiting"
        return "whole" if self.epochs == whole else "stopped early"


def candidates(trial_results: Mapping[str, TrialResult]) -> list[TrialResult]:
    """All but the baseline, in the order of their first trial."""
    return [trial_result for name, trial_result in trial_results.items() if name != BASELINE]


def ranked(trial_results: Mapping[str, TrialResult], direction: str) -> list[TrialResult]:
    """Candidates that have a score and did not fail: those trained longest first, of them the better ones."""
    sign = -1 if direction == "max" else 1
    alive = [
        trial_result for trial_result in candidates(trial_results) if trial_result.scores and not trial_result.reason
    ]
    return sorted(alive, key=lambda one: (-one.epochs, sign * one.scores[one.epochs], one.name))
