"""Retrain the best candidates and the baseline, whole and with fresh seeds: what was the search's score worth?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kerascnn import runs
from kerascnn.cli import Stopped
from kerascnn.runs import Run
from kerascnn.search.directory import BASELINE
from kerascnn.search.session import Outcome, Search, ranked
from kerascnn.statistics import Difference, t_interval, two_way


def promote(search: Search, count: int, seeds: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Train the best `count` and the baseline with `seeds` seeds that the search never used, seed by seed.

    Returns:
        promotion.csv's rows: candidate, its search score, val and test by seed with intervals, shrinkage, gain over the
        baseline on test with its interval.
    """
    chosen = [search.outcomes[BASELINE], *ranked(search.outcomes, search.direction)[:count]]
    fresh = [search.base.fit.seed + 1 + i for i in range(seeds)]
    for seed in fresh:
        for outcome in chosen:
            _train(search, outcome, seed, say)
    rows = [_row(search, outcome, chosen[0], fresh) for outcome in chosen]
    search.directory.write_table("promotion.csv", rows)
    for row in rows:
        say(_line(row, search.column))
    return rows


def _run(search: Search, outcome: Outcome, seed: int) -> Run:
    return Run(search.directory.promoted / f"{outcome.name}_s{seed}")


def _train(search: Search, outcome: Outcome, seed: int, say: Callable[[str], None]) -> None:
    run = _run(search, outcome, seed)
    if run.finished:
        return
    run.path.mkdir(parents=True, exist_ok=True)
    if not run.config_file.exists():
        run.write_config(outcome.config.replace(fit={"seed": seed}))
    for _ in runs.launch(run.path, stop=search.stop):
        pass
    if search.stop.is_set():
        raise Stopped("stopped: the same command goes on")
    run.drop_checkpoints()
    metrics = run.metrics()
    say(f"promote {run.name}: test accuracy {metrics['test']['accuracy']['value']:.4f}")


def _row(search: Search, outcome: Outcome, base: Outcome, seeds: list[int]) -> dict[str, Any]:
    found = [_run(search, outcome, seed) for seed in seeds]
    pick = max if search.direction == "max" else min
    val = [pick(row[search.column] for row in run.history()) for run in found]
    test = [run.metrics()["test"]["accuracy"]["value"] for run in found]
    price = search.prices.of(outcome.config)
    searched = outcome.scores[max(outcome.scores)]
    row: dict[str, Any] = {
        "candidate": outcome.name,
        "macs": price.macs if price else "",
        "params": price.params if price else "",
        "search_score": searched,
        "retrained_score": float(np.mean(val)),
        "shrinkage": searched - float(np.mean(val)),
        "seeds": len(seeds),
        "test_accuracy": float(np.mean(test)),
        "test_by_seed": " ".join(f"{value:.4f}" for value in test),
    }
    if len(seeds) > 1:
        interval = t_interval(test)
        row |= {"test_low": interval.low, "test_high": interval.high}
    if outcome is not base:
        gain = difference([_run(search, base, seed) for seed in seeds], found)
        row |= {
            "gain": gain.value,
            "gain_low": gain.low,
            "gain_high": gain.high,
            "gain_over": gain.over,
            "n": gain.images,
        }
        row["separable"] = gain.low > 0 or gain.high < 0
    return row


def difference(first: list[Run], second: list[Run]) -> Difference:
    """Test accuracy of `second` minus `first`, paired by seed and image."""

    def right(run: Run) -> np.ndarray:
        kept = run.read_predictions("test")
        return (kept["probabilities"].argmax(1) == kept["labels"]).astype("float64")

    table = np.stack([right(b) - right(a) for a, b in zip(first, second, strict=True)])
    return two_way(lambda index: table[:, index].mean(axis=-1).T, images=table.shape[1], seeds=len(table))


def _line(row: dict[str, Any], column: str) -> str:
    said = (
        f"{row['candidate']:<12} {column}: {row['search_score']:.4f} in the search, {row['retrained_score']:.4f} retrained"
        f" (shrinkage {row['shrinkage']:+.4f}); test {row['test_accuracy']:.2%}, {row['seeds']} seeds"
    )
    if "gain" not in row:
        return said
    verdict = "separable from the baseline" if row["separable"] else "not separable from the baseline"
    return (
        f"{said}; gain {100 * row['gain']:+.2f} points [{100 * row['gain_low']:+.2f}, {100 * row['gain_high']:+.2f}]"
        f" over {row['gain_over']} (n = {row['n']} images): {verdict}"
    )
