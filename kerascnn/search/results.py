"""The results of a search: tables, importance of parameters, a recipe, TensorBoard's HParams, closing lines."""

import itertools
import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import tomli_w
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from kerascnn.cli.screen import duration
from kerascnn.config import IDENTITY_SECTIONS
from kerascnn.data.grouping import groups_of
from kerascnn.report import tensorboard
from kerascnn.report.drawing import png
from kerascnn.runs import Run, shown_command
from kerascnn.scoring.paired_scores import difference
from kerascnn.scoring.predictions import Predictions
from kerascnn.search import front
from kerascnn.search.search import Search
from kerascnn.search.trial_results import BASELINE, TrialResult, candidates, ranked
from kerascnn.statistics import Difference

FEW = 8  # fewest candidates for an importance of parameters
ROUNDS = 2000  # of the bootstrap of a gain
PAIRS = 3  # fewest candidates for an agreement of two rungs
CORRELATION = "rank correlation with the next rung"


def rows(search: Search) -> list[dict[str, Any]]:
    """Returns trials.csv: the baseline, the candidates, best first, failed ones, and the agreement of rungs."""
    best = ranked(search.trial_results, search.direction)
    others = [one for one in candidates(search.trial_results) if one not in best]
    head = [search.trial_results[BASELINE]] if BASELINE in search.trial_results else []
    rungs = search.rungs()
    found = [_row(search, trial_result, rungs) for trial_result in [*head, *best, *others]]
    agree = {f"{search.column}@{pair['early']}": pair["rank_correlation"] for pair in agreement(search)}
    return [*found, {"candidate": CORRELATION, **agree}] if agree else found


def _row(search: Search, trial_result: TrialResult, rungs: Sequence[int]) -> dict[str, Any]:
    cost, trained = search.cost_of(trial_result), search.trained(trial_result)
    return {
        "candidate": trial_result.name,
        "family": search.family,
        "status": trial_result.state(search.epochs),
        "epochs": trial_result.epochs,
        search.column: trial_result.score,
        "params": cost.params,
        "macs": cost.macs,
        "latency_ms": trained.latency_ms,
        "seconds": round(math.fsum(row["seconds"] for row in trained.history), 1),
        **{f"{search.column}@{epoch}": trial_result.scores.get(epoch) for epoch in rungs},
        "width": trial_result.config.model.width,
        **{p.name: trial_result.values.get(p.name) for p in search.space.parameters},
        "reason": trial_result.reason,
    }


def agreement(search: Search) -> list[dict[str, Any]]:
    """Returns Spearman's rank correlation of the scores at two rungs, over all candidates that reached both.

    Scores come from the histories: a run that is longer than a rung has passed it.
    """
    pick = max if search.direction == "max" else min
    columns = []
    for trial_result in candidates(search.trial_results):
        history = search.trained(trial_result).history
        columns.append([row[search.column] for row in history if search.column in row])
    rungs, found = search.rungs(), []
    for early, late in itertools.pairwise(rungs):
        pairs = [(pick(scores[:early]), pick(scores[:late])) for scores in columns if len(scores) >= late]
        if len(pairs) >= PAIRS and all(len(set(side)) > 1 for side in zip(*pairs, strict=True)):
            correlation = float(stats.spearmanr(*zip(*pairs, strict=True)).statistic)
            found.append({"early": early, "late": late, "rank_correlation": round(correlation, 3), "n": len(pairs)})
    return found


def importance(search: Search) -> list[dict[str, Any]]:
    """Returns the permutation importance of each parameter in a random forest over the candidates (Breiman, 2001).

    The mean score of candidates with the same number of epochs is subtracted, since a candidate that was stopped early is not
    bad because of a filter count. Multiply-adds are a column of their own, since a larger network is not better because of
    one parameter. With few candidates the importance is uncertain: n and the spread are reported.
    """
    trial_results = ranked(search.trial_results, search.direction)
    if len(trial_results) < FEW:
        return []
    names = [p.name for p in search.space.parameters]
    table = np.array(
        [[_number(search, name, one) for name in names] + [search.cost_of(one).macs] for one in trial_results],
        dtype=float,
    )
    epochs, scores = np.array([one.epochs for one in trial_results]), np.array([one.score for one in trial_results])
    scores = scores - [scores[epochs == count].mean() for count in epochs]
    forest = RandomForestRegressor(300, min_samples_leaf=2, random_state=0).fit(table, scores)
    found = permutation_importance(forest, table, scores, n_repeats=30, random_state=0)
    lines = [
        {
            "parameter": name,
            "importance": round(float(found.importances_mean[i]), 4),
            "spread": round(float(found.importances_std[i]), 4),
            "n": len(trial_results),
        }
        for i, name in enumerate([*names, "macs"])
    ]
    return sorted(lines, key=lambda line: -float(line["importance"]))


def _number(search: Search, name: str, trial_result: TrialResult) -> float:
    parameter = next(p for p in search.space.parameters if p.name == name)
    value = trial_result.values.get(name)
    if value is None:
        return -1.0
    return float(value) if isinstance(value, int | float) else float(parameter.labels().index(value))


def gain(first: Run, second: Run) -> Difference | None:
    """Returns the headline score of val of `second` minus that of `first`, paired by image, or None before both are whole."""
    if not all(run.finished and run.has_predictions("val") for run in (first, second)):
        return None
    kept = [Predictions.load(run, "val") for run in (first, second)]
    one, other = ([each.task.headline.sampler(each)] for each in kept)
    return difference(one, other, len(kept[0]), 1.0, 0.95, ROUNDS, groups_of(kept[0].ids, first))


def keep(search: Search, whole: bool = False) -> None:
    """Writes trials.csv; with `whole` also the slower results: importance, the plot, HParams, the recipe."""
    directory = search.directory
    directory.write_table(directory.trials_file, rows(search))
    if not whole:
        return
    directory.write_table(directory.importance_file, importance(search))
    if (picture := front.picture(search)) is not None:
        directory.write_picture(png(picture))
    if best := ranked(search.trial_results, search.direction):
        directory.write_recipe(recipe(search, best[0]))
    _write_hparams(search)


def recipe(search: Search, best: TrialResult) -> str:
    """Returns the recipe of the best candidate: its cost, its score, and what differs from the defaults."""
    cost = search.cost_of(best)
    sections = {
        name: getattr(best.config, name).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for name in IDENTITY_SECTIONS
    }
    return (
        f"# The best of {len(candidates(search.trial_results))} candidates of: {shown_command()}\n"
        f"#   kerascnn fit --config {shlex.quote(str(search.directory.recipe_file))}\n"
        f"# {cost.params:,} parameters, {cost.macs / 1e6:.2f} M MACs. {search.column} {best.score:.4f} after {best.epochs}"
        f" epochs, 1 seed: optimistic, for it was chosen by that.\n"
        + tomli_w.dumps({name: section for name, section in sections.items() if section})
    )


def _write_hparams(search: Search) -> None:
    """Writes a table below the search's own `tensorboard/`: its columns at the root, and a row for each candidate."""
    spans = {p.name: list(p.labels()) if p.choices else (p.low, p.high) for p in search.space.parameters}
    tensorboard.write_experiment(search.directory.tensorboard, spans, ("score", "epochs", "macs", "params"))
    for trial_result in ranked(search.trial_results, search.direction):
        cost = search.cost_of(trial_result)
        scores = {
            "score": trial_result.score or 0.0,
            "epochs": trial_result.epochs,
            "macs": cost.macs,
            "params": cost.params,
        }
        folder = search.directory.tensorboard / trial_result.name
        tensorboard.write_hparams(folder, trial_result.name, trial_result.values, scores)


def lines(search: Search) -> list[str]:
    """Returns the closing lines: the best candidate, its gain, the findings, the failures."""
    best = ranked(search.trial_results, search.direction)
    if not best:
        return ["no candidate has a score", *_failures(search)]
    said = [*_best(search, best), *_gain(search, best[0])]
    for pair in agreement(search):
        said.append(
            f"rungs   epoch {pair['early']} ranks candidates as epoch {pair['late']} does with"
            f" {pair['rank_correlation']:+.2f} (n = {pair['n']})"
        )
    if mattered := importance(search):
        first = ", ".join(f"{line['parameter']} {line['importance']:.2f}" for line in mattered[:4])
        said.append(f"matters {first} (permutation importance, n = {len(best)})")
    return [*said, *_failures(search)]


def _best(search: Search, best: Sequence[TrialResult]) -> list[str]:
    first, cost = best[0], search.cost_of(best[0])
    return [
        f"best    {first.name}: {search.column} {first.score:.4f} after {first.epochs} of {search.epochs} epochs:"
        f" optimistic, for it was chosen among {len(best)} by this very score",
        f"        {cost.params:,} parameters, {cost.macs / 1e6:.2f} M MACs",
        "        " + ", ".join(f"{name} {value}" for name, value in first.values.items()),
    ]


def _gain(search: Search, best: TrialResult) -> list[str]:
    base = search.trial_results.get(BASELINE)
    if base is None or base.score is None:
        return []
    cost = search.cost_of(base)
    said = [
        f"uniform {search.column} {base.score:.4f} at width {base.config.model.width:g}: {cost.macs / 1e6:.2f} M MACs"
    ]
    found = gain(search.directory.run(BASELINE), search.directory.run(best.name))
    if found is not None:
        low, high = 100 * found.low, 100 * found.high
        said.append(
            f"gain    {100 * found.value:+.2f} points of val {search.splits.task.headline.title} [{low:+.2f}, {high:+.2f}]"
            f" (95 %, {found.images} images, 1 seed): optimistic as well"
        )
    return said


def _failures(search: Search) -> list[str]:
    every = list(search.trial_results.values())
    seconds = math.fsum(row["seconds"] for one in every for row in search.trained(one).history)
    failed = [one for one in every if one.reason]
    return [
        f"cost    {duration(seconds)} of training, {len(candidates(search.trial_results))} candidates, {len(failed)} failed",
        *(f"        {one.name}: {one.reason}" for one in failed),
    ]
