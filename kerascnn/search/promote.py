"""Promotion: retrains the best candidates and the baseline in full with fresh seeds, to verify the search's scores."""

import threading
from typing import Any

import numpy as np

from kerascnn import statistics
from kerascnn.data.grouping import groups_of
from kerascnn.errors import TrainingFailed
from kerascnn.runs import Run
from kerascnn.scoring.paired_scores import difference
from kerascnn.scoring.predictions import Predictions
from kerascnn.search.search import Search
from kerascnn.search.trial_results import BASELINE, TrialResult, ranked
from kerascnn.statistics import MIN_SEEDS, SHARE, Difference, over_seeds
from kerascnn.studies.executor import Slot
from kerascnn.studies.workers import WorkerPool

# First seed of the runs that name the winner: for any --seeds, none of them judges.
FIRST_CHOOSING = 1000
ROUNDS = 2000  # of the bootstrap of a gain


class Promotion:
    """The best `count` candidates and the baseline, each with `seeds` seeds that the search did not use.

    The val scores of `choose` further runs of each candidate, whose test is not read, name the winner. If the judging runs
    named it, the luckiest of equal candidates would be called better twice as often as allowed.

    Args:
        search: A finished search.
        count: Number of candidates, the best first.
        seeds: Number of seeds that judge.
        choose: Number of other seeds that name the winner.
    """

    def __init__(self, search: Search, count: int, seeds: int, choose: int = 2) -> None:
        self.search = search
        self.chosen = [search.trial_results[BASELINE], *ranked(search.trial_results, search.direction)[:count]]
        self.seeds = [search.base.fit.seed + 1 + i for i in range(seeds)]
        self.choosing = [search.base.fit.seed + FIRST_CHOOSING + i for i in range(choose)]
        self.split = "val" if search.splits.marked else "test"  # there is no test if val is kept as val
        self.headline = search.splits.task.headline
        self._turn = threading.Lock()

    def run(self, trial_result: TrialResult, seed: int) -> Run:
        """Returns the run of one retraining."""
        return Run(self.search.directory.promoted / f"{trial_result.name}_s{seed}")

    def train(self) -> None:
        """Trains all unfinished runs, seed by seed, on all workers.

        Raises:
            Stopped: By a signal or the time limit; everything is kept.
            TrainingFailed: One of them cannot be trained.
        """
        every = [(one, seed) for seed in self.choosing for one in self.chosen[1:]]
        every += [(one, seed) for seed in self.seeds for one in self.chosen]
        left = [(one, seed) for one, seed in every if not self.run(one, seed).finished]

        def job(slot: Slot) -> bool:
            with self._turn:
                if not left:
                    return False
                trial_result, seed = left.pop(0)
            self._train(trial_result, seed, slot)
            return True

        if left:
            slots = self.search.executor.slots
            WorkerPool(slots, self.search.stop, self.search.seconds_left()).work(job)

    def _train(self, trial_result: TrialResult, seed: int, slot: Slot) -> None:
        run = self.run(trial_result, seed)
        if not run.config_file.exists():
            run.write_config(self.search.grouped(trial_result.config).replace(fit={"seed": seed}))
        candidate, executor, stop = seed in self.choosing, self.search.executor, self.search.stop
        for _ in executor.train(run.path, None, slot, candidate=candidate, stop=stop, label=run.name):
            pass
        if not run.finished:
            raise TrainingFailed(f"{run.path} ended without its scores")
        run.drop_checkpoints()
        said = f"{self.search.column} {self._val(run):.4f}, names the winner"
        if not candidate:
            said = f"{self.split} {self.headline.title} {self._headline(run):.4f}"
        self.search.screen.say(f"promote {run.name}: {said}")

    def _headline(self, run: Run) -> float:
        return run.metrics()[self.split][self.headline.name]["value"]

    def _val(self, run: Run) -> float:
        """Returns the best epoch's score, as in the search."""
        pick = max if self.search.direction == "max" else min
        return pick(row[self.search.column] for row in run.history())

    def rows(self) -> list[dict[str, Any]]:
        """Returns promotion.csv: for each candidate its score in the search and retrained, test (or val) by seed, and its gain.

        `separable` tells whether a gain holds with 95 % for all candidates together (Holm); it is empty with fewer than three
        seeds.
        """
        found = [self._row(trial_result) for trial_result in self.chosen]
        gains = [self.gain(trial_result) for trial_result in self.chosen[1:]]
        corrected = statistics.holm([statistics.p_value(gain) for gain in gains])
        for row, p in zip(found[1:], corrected, strict=True):
            row |= {"p_holm": p, "separable": p < 0.05 if len(self.seeds) >= MIN_SEEDS else None}
        return found

    def _row(self, trial_result: TrialResult) -> dict[str, Any]:
        search, found = self.search, [self.run(trial_result, seed) for seed in self.seeds]
        val = [self._val(run) for run in found]
        scores, split = [self._headline(run) for run in found], self.split
        cost, searched = search.cost_of(trial_result), trial_result.score or 0.0
        row: dict[str, Any] = {
            "candidate": trial_result.name,
            "macs": cost.macs,
            "params": cost.params,
            "seeds": len(self.seeds),
            "search_score": searched,
            "retrained_score": float(np.mean(val)),
            "shrinkage": searched - float(np.mean(val)),
            f"{split}_{self.headline.name}": float(np.mean(scores)),
            f"{split}_by_seed": " ".join(f"{value:.4f}" for value in scores),
        }
        if over := over_seeds(scores, SHARE):
            row |= {f"{split}_low": over.low, f"{split}_high": over.high}
        if trial_result.name != BASELINE:
            row |= {"choosing_score": self._chosen_by(trial_result)}
            gain = self.gain(trial_result)
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high, "gain_over": gain.over}
            row |= {"images": gain.images}
        return row

    def _chosen_by(self, trial_result: TrialResult) -> float:
        """Returns the mean val score of the runs that name the winner."""
        return float(np.mean([self._val(self.run(trial_result, seed)) for seed in self.choosing]))

    def gain(self, trial_result: TrialResult) -> Difference:
        """Returns the headline score of a candidate minus that of the baseline, paired by seed and image."""
        base = self.chosen[0]
        kept = [
            [Predictions.load(self.run(one, seed), self.split) for seed in self.seeds] for one in (base, trial_result)
        ]
        samplers = [[self.headline.sampler(each) for each in side] for side in kept]
        ids = kept[0][0].ids
        groups = groups_of(ids, self.run(base, self.seeds[0]))
        return difference(samplers[0], samplers[1], len(ids), 1.0, 0.95, ROUNDS, groups)

    def winner(self) -> TrialResult | None:
        """Returns the candidate with the best val in runs with other seeds than those that judge it."""
        pick = max if self.search.direction == "max" else min
        return pick(self.chosen[1:], key=self._chosen_by, default=None)

    def lines(self) -> list[str]:
        """Returns the table and its conclusion as text."""
        column, rows, split = self.search.column, self.rows(), self.split
        said = [
            f"{'':12} {'search':>8} {'retrained':>9} {'shrinks':>8} {split:>8}  gain over uniform (points of {split})"
        ]
        for row in rows:
            line = (
                f"{row['candidate']:12} {row['search_score']:>8.4f} {row['retrained_score']:>9.4f}"
                f" {row['shrinkage']:>+8.4f} {row[f'{split}_{self.headline.name}']:>8.2%}"
            )
            if "gain" in row:
                low, high = 100 * row["gain_low"], 100 * row["gain_high"]
                line += f"  {100 * row['gain']:+.2f} [{low:+.2f}, {high:+.2f}]"
            said.append(line)
        said.append(f"{'':12} {column}, means of {len(self.seeds)} fresh seeds; 95 % intervals, of each row by itself")
        apart = [row["candidate"] for row in rows if row.get("separable")]
        if len(self.seeds) >= MIN_SEEDS:
            named = ", ".join(apart) or "none"
            said.append(f"{'':12} differ from uniform (Holm over {len(rows) - 1} candidates): {named}")
        if self.search.splits.marked:
            said.append(f"{'':12} val chose these models: no test set was kept apart")
        winner = self.winner()
        return [*said, self._verdict(winner)] if winner else said

    def _verdict(self, winner: TrialResult) -> str:
        found = self.gain(winner)
        about = f"({found.seeds} seeds, {found.images:,} {self.split} images, {found.over} resampled)"
        low, high = 100 * found.low, 100 * found.high
        gain = f"{100 * found.value:+.2f} points [{low:+.2f}, {high:+.2f}] {about}"
        named = f"{winner.name}, which val prefers with {len(self.choosing)} other seeds,"
        if found.seeds < MIN_SEEDS:
            return f"{named} against the uniformly scaled network: {gain}. {MIN_SEEDS} seeds or more would say which is better."
        if found.low > 0 or found.high < 0:
            better = "better" if found.low > 0 else "worse"
            return f"{named} is {better} than the uniformly scaled network: {gain}."
        return f"{named} cannot be told from the uniformly scaled network: {gain}.{_needed(found)}"


def _needed(gain: Difference) -> str:
    """Returns the number of seeds that would decide, if the true gain is the observed one."""
    needed = statistics.seeds_needed(gain, abs(gain.value)) if gain.value else None
    if needed is None:
        return ""
    now = statistics.power_of(gain, abs(gain.value))
    return (
        f" About {needed} seeds would tell in 80 of 100 promotions, if the true gain is the one seen (these would in"
        f" {now * 100:.0f}); choose the number once: each further look adds to the chance of a false verdict."
    )
