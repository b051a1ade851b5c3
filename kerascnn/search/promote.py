"""Retrain the best candidates and the baseline, whole and with fresh seeds: what was the search's score worth?"""

import threading
from typing import Any

import numpy as np

from kerascnn import runs, statistics
from kerascnn.cli import TrainingFailed
from kerascnn.runs import Run
from kerascnn.search.candidates import Place
from kerascnn.search.crew import Crew
from kerascnn.search.outcomes import BASELINE, Outcome, ranked
from kerascnn.search.session import Search
from kerascnn.statistics import Difference, t_interval, two_way


class Promotion:
    """The best `count` candidates and the baseline, each with `seeds` seeds that the search did not use.

    Args:
        search: A finished search.
        count: How many candidates, the best first.
        seeds: How many seeds.
    """

    def __init__(self, search: Search, count: int, seeds: int) -> None:
        self.search = search
        self.chosen = [search.outcomes[BASELINE], *ranked(search.outcomes, search.direction)[:count]]
        self.seeds = [search.base.fit.seed + 1 + i for i in range(seeds)]
        self.split = "val" if search.splits.marked else "test"  # there is no test where val is kept as val
        self._turn = threading.Lock()

    def run(self, outcome: Outcome, seed: int) -> Run:
        """One retraining."""
        return Run(self.search.directory.promoted / f"{outcome.name}_s{seed}")

    def train(self) -> None:
        """Train what is not finished, seed by seed, on all workers.

        Raises:
            Stopped: By a signal or by time; everything is kept.
            TrainingFailed: One of them cannot be trained.
        """
        left = [(one, seed) for seed in self.seeds for one in self.chosen if not self.run(one, seed).finished]

        def job(place: Place) -> bool:
            with self._turn:
                if not left:
                    return False
                outcome, seed = left.pop(0)
            self._train(outcome, seed, place)
            return True

        if left:
            Crew(self.search.places, self.search.stop, self.search.seconds_left()).work(job)

    def _train(self, outcome: Outcome, seed: int, place: Place) -> None:
        run = self.run(outcome, seed)
        if not run.config_file.exists():
            run.write_config(outcome.config.replace(fit={"seed": seed}))
        for _ in runs.launch(run.path, cpus=place.cpus, gpu=place.gpu, stop=self.search.stop):
            pass
        if not run.finished:
            raise TrainingFailed(f"{run.path} ended without its scores")
        run.drop_checkpoints()
        self.search.screen.say(f"promote {run.name}: {self.split} accuracy {self._accuracy(run):.4f}")

    def _accuracy(self, run: Run) -> float:
        return run.metrics()[self.split]["accuracy"]["value"]

    def rows(self) -> list[dict[str, Any]]:
        """promotion.csv: per candidate its score in the search and retrained, test (or val) by seed, its gain over uniform."""
        return [self._row(outcome) for outcome in self.chosen]

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        search, found = self.search, [self.run(outcome, seed) for seed in self.seeds]
        pick = max if search.direction == "max" else min
        val = [pick(row[search.column] for row in run.history()) for run in found]
        scores, split = [self._accuracy(run) for run in found], self.split
        price, searched = search.price(outcome.config), outcome.score or 0.0
        row: dict[str, Any] = {
            "candidate": outcome.name,
            "macs": price.macs,
            "params": price.params,
            "seeds": len(self.seeds),
            "search_score": searched,
            "retrained_score": float(np.mean(val)),
            "shrinkage": searched - float(np.mean(val)),
            f"{split}_accuracy": float(np.mean(scores)),
            f"{split}_by_seed": " ".join(f"{value:.4f}" for value in scores),
        }
        if len(scores) > 1:
            over = t_interval(scores)
            row |= {f"{split}_low": over.low, f"{split}_high": over.high}
        if outcome.name != BASELINE:
            gain = self.gain(outcome)
            row |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high, "gain_over": gain.over}
            row |= {"images": gain.images, "separable": separable(gain)}
        return row

    def gain(self, outcome: Outcome) -> Difference:
        """Test (or val) accuracy of a candidate minus the baseline's, paired by seed and image."""
        base = self.chosen[0]
        table = np.stack([self._right(outcome, seed) - self._right(base, seed) for seed in self.seeds])
        return two_way(
            lambda index: table[:, index].mean(axis=-1).T, images=table.shape[1], seeds=len(table), share=True
        )

    def _right(self, outcome: Outcome, seed: int) -> np.ndarray:
        kept = self.run(outcome, seed).read_predictions(self.split)
        return (kept["probabilities"].argmax(1) == kept["labels"]).astype("float64")

    def winner(self) -> Outcome | None:
        """The candidate whose retrained runs score best on average; val chooses, test only tells."""
        rows = {row["candidate"]: row["retrained_score"] for row in self.rows()[1:]}
        pick = max if self.search.direction == "max" else min
        return next((one for one in self.chosen[1:] if one.name == pick(rows, key=lambda name: rows[name])), None)

    def lines(self) -> list[str]:
        """The table as people read it, and what it comes to."""
        column, rows, split = self.search.column, self.rows(), self.split
        said = [
            f"{'':12} {'search':>8} {'retrained':>9} {'shrinks':>8} {split:>8}  gain over uniform (points of {split})"
        ]
        for row in rows:
            line = (
                f"{row['candidate']:12} {row['search_score']:>8.4f} {row['retrained_score']:>9.4f}"
                f" {row['shrinkage']:>+8.4f} {row[f'{split}_accuracy']:>8.2%}"
            )
            if "gain" in row:
                low, high = 100 * row["gain_low"], 100 * row["gain_high"]
                line += f"  {100 * row['gain']:+.2f} [{low:+.2f}, {high:+.2f}]"
            said.append(line)
        said.append(f"{'':12} {column}, means of {len(self.seeds)} fresh seeds; 95 % intervals")
        if self.search.splits.marked:
            said.append(f"{'':12} val chose these models: no test set was kept apart")
        winner = self.winner()
        return [*said, self._verdict(winner)] if winner else said

    def _verdict(self, winner: Outcome) -> str:
        found = self.gain(winner)
        about = f"({found.seeds} seeds, {found.images:,} {self.split} images, {found.over} resampled)"
        low, high = 100 * found.low, 100 * found.high
        gain = f"{100 * found.value:+.2f} points [{low:+.2f}, {high:+.2f}] {about}"
        if separable(found):
            better = "better" if found.low > 0 else "worse"
            return f"{winner.name}, which val prefers, is {better} than the uniformly scaled network: {gain}."
        needed = statistics.seeds_needed(found, abs(found.value)) if found.seeds > 2 and found.value else None
        more = f" About {needed} seeds would tell such a difference from none." if needed else ""
        return f"{winner.name}, which val prefers, cannot be told from the uniformly scaled network: {gain}.{more}"


def separable(gain: Difference) -> bool:
    """Whether the interval holds no zero."""
    return gain.low > 0 or gain.high < 0
