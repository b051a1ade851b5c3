"""What a search leaves: tables, pictures, a recipe, TensorBoard's HParams."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance

from kerascnn import cli, tensorboard
from kerascnn.files import write_file
from kerascnn.report import plots
from kerascnn.search.directory import BASELINE
from kerascnn.search.session import Outcome, Search, ranked
from kerascnn.statistics import Difference, two_way

FEW = 8  # candidates below which nothing can be said of what mattered


def rows(search: Search) -> list[dict[str, Any]]:
    """trials.csv: the baseline, then the candidates, best first, then those that failed."""
    best = ranked(search.outcomes, search.direction)
    failed = [o for name, o in search.outcomes.items() if name != BASELINE and not o.scores and o.reason]
    order = [search.outcomes[BASELINE]] if BASELINE in search.outcomes else []
    return [_row(search, outcome) for outcome in [*order, *best, *failed]]


def _row(search: Search, outcome: Outcome) -> dict[str, Any]:
    price = search.prices.of(outcome.config)
    run = search.directory.run(outcome.name)
    history = run.history()
    epochs = max(outcome.scores, default=0)
    return {
        "candidate": outcome.name,
        "family": search.family,
        "status": "failed" if outcome.reason else "whole" if epochs == search.epochs else "stopped early",
        "epochs": epochs,
        search.column: outcome.scores.get(epochs, ""),
        "params": price.params if price else "",
        "macs": price.macs if price else "",
        "latency_ms": run.latency_ms() or "",
        "seconds": round(math.fsum(row["seconds"] for row in history), 1),
        **{f"{search.column}@{epoch}": outcome.scores.get(epoch, "") for epoch in search.rungs()},
        "width": outcome.config.model.width if outcome.name == BASELINE else "",
        **{p.name: outcome.values.get(p.name, "") for p in search.space.parameters},
        "reason": outcome.reason,
    }


def rung_rows(search: Search) -> list[dict[str, Any]]:
    """rungs.csv: does an early score say who will be good? Spearman's rank correlation between scores at two lengths.

    Scores at every rung's length are read from the histories, so that every candidate that went on counts.
    """
    found = []
    rungs = search.rungs()
    for i, early in enumerate(rungs):
        for late in rungs[i + 1 :]:
            pairs = []
            for outcome in search.outcomes.values():
                history = [row.get(search.column, math.nan) for row in search.directory.run(outcome.name).history()]
                if len(history) >= late and outcome.name != BASELINE:
                    pick = max if search.direction == "max" else min
                    pairs.append((pick(history[:early]), pick(history[:late])))
            if len(pairs) >= 3:
                result = stats.spearmanr(*zip(*pairs, strict=True))
                found.append({"early": early, "late": late, "rank_correlation": result.statistic, "n": len(pairs)})
    return found


def importance(search: Search) -> list[dict[str, Any]]:
    """How much each parameter mattered: permutation importance on a random forest over the candidates (Breiman, 2001).

    The number of epochs is a column of the forest, so that a candidate that was stopped early is not bad for that.
    Of few candidates it says little; n is beside it.
    """
    outcomes = ranked(search.outcomes, search.direction)
    if len(outcomes) < FEW:
        return []
    names = [p.name for p in search.space.parameters]
    table = np.array(
        [[_number(search, name, o.values.get(name)) for name in names] + [max(o.scores)] for o in outcomes]
    )
    scores = np.array([o.scores[max(o.scores)] for o in outcomes])
    forest = RandomForestRegressor(300, min_samples_leaf=2, random_state=0).fit(table, scores)
    found = permutation_importance(forest, table, scores, n_repeats=30, random_state=0)
    lines = [
        {
            "parameter": name,
            "importance": found.importances_mean[i],
            "spread": found.importances_std[i],
            "n": len(outcomes),
        }
        for i, name in enumerate([*names, "epochs"])
    ]
    return sorted(lines, key=lambda line: -line["importance"])


def _number(search: Search, name: str, value: Any) -> float:
    if value is None:
        return -1.0
    if isinstance(value, int | float):
        return float(value)
    choices = next(p.choices for p in search.space.parameters if p.name == name)
    return float(choices.index(value))


def gain(search: Search, outcome: Outcome) -> Difference | None:
    """How much better than the baseline on val, paired by image; None before both are whole."""
    runs = [search.directory.run(name) for name in (BASELINE, outcome.name)]
    if not all(run.finished and run.has_predictions("val") for run in runs):
        return None
    first, second = (run.read_predictions("val") for run in runs)
    right = [(one["probabilities"].argmax(1) == one["labels"]).astype("float64") for one in (first, second)]
    if len(right[0]) != len(right[1]):
        return None
    difference = (right[1] - right[0])[None]
    return two_way(lambda index: difference[:, index].mean(axis=-1).T, images=difference.shape[1], seeds=1)


def keep(search: Search, whole: bool = False) -> None:
    """Write the tables; with `whole` also what takes a while: importance, pictures, HParams, the recipe."""
    directory = search.directory
    directory.write_table("trials.csv", rows(search))
    if not whole:
        return
    directory.write_table("rungs.csv", rung_rows(search))
    directory.write_table("importance.csv", importance(search))
    directory.write_picture("pareto.png", plots.png(pareto(family_points(search), search.column)))
    best = ranked(search.outcomes, search.direction)
    if best:
        write_file(directory.best_file, cli.dumps(best[0].config).encode())
    _write_hparams(search)


def family_points(search: Search) -> dict[str, list[tuple[float, float, bool]]]:
    """(MACs, score, whether it is a baseline) of whole candidates by family: of this search and those beside it."""
    found: dict[str, list[tuple[float, float, bool]]] = {}
    mine = search.directory.path
    for path in sorted({mine, *(file.parent for file in mine.parent.glob("*/trials.csv"))}):
        if path != mine and not _same_terms(path, search):
            continue
        with (path / "trials.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["status"] == "whole" and row.get(search.column) and row["macs"]:
                    point = float(row["macs"]), float(row[search.column]), row["candidate"] == BASELINE
                    found.setdefault(row["family"], []).append(point)
    return found


def _same_terms(path: Path, search: Search) -> bool:
    """Whether a neighbour searched on the same images, as long."""
    file = path / "search.toml"
    if not file.exists():
        return False
    kept = cli.tomllib.loads(file.read_text(encoding="utf-8")).get("identity", {})
    mine = search.request()["identity"]
    return all(kept.get(key) == mine.get(key) for key in ("data.fingerprint", "fit.epochs", "data.fraction"))


def pareto(points: dict[str, list[tuple[float, float, bool]]], column: str) -> Figure:
    """Score against MACs of whole candidates; the line joins those that nothing cheaper beats."""
    with plots._style():
        figure = Figure(figsize=(7, 4.4), layout="constrained")
        axis = figure.subplots()
        best = max if "loss" not in column else min
        for i, (family, found) in enumerate(sorted(points.items())):
            color = (plots.VAL, plots.OTHER)[i % 2]
            free = [(m / 1e6, s) for m, s, base in found if not base]
            bases = [(m / 1e6, s) for m, s, base in found if base]
            if free:
                x, y = zip(*free, strict=True)
                axis.scatter(x, y, s=22, color=color, label=f"{family}: candidates (n = {len(free)})")
                front = [p for p in sorted(free) if p[1] == best(s for m, s in free if m <= p[0])]
                axis.plot(*zip(*front, strict=True), color=color, linewidth=1.2)
            if bases:
                label = f"{family}: scaled uniformly"
                x, y = zip(*bases, strict=True)
                axis.scatter(x, y, s=70, marker="*", color=color, edgecolor=plots.INK, label=label)
        axis.set_xlabel("multiply-adds of an image (M)", fontsize=9, color=plots.FAINT)
        axis.set_ylabel(f"{column} (val, optimistic)", fontsize=9, color=plots.FAINT)
        axis.grid(color=plots.GRID, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        if points:
            axis.legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def _write_hparams(search: Search) -> None:
    parameters = {p.name: p.choices or (p.low, p.high) for p in search.space.parameters}
    tensorboard.write_experiment(search.directory.tensorboard, parameters, ("score", "macs", "params"))
    for outcome in ranked(search.outcomes, search.direction):
        price = search.prices.of(outcome.config)
        scores = {"score": outcome.scores[max(outcome.scores)]}
        if price:
            scores |= {"macs": price.macs, "params": price.params}
        folder = search.directory.tensorboard / outcome.name
        tensorboard.write_hparams(folder, outcome.name, outcome.values, scores)


def lines(search: Search, kept: Sequence[dict[str, Any]]) -> list[str]:
    """What the screen says at the end: the best candidate, its gain, what was found out, what to run next."""
    best = ranked(search.outcomes, search.direction)
    if not best:
        return ["no candidate has a score"]
    first = best[0]
    epochs, price = max(first.scores), search.prices.of(first.config)
    said = [
        f"best    {first.name}: {search.column} {first.scores[epochs]:.4f} after {epochs} of {search.epochs} epochs"
        f" (val, and optimistic: it was chosen by this very score among {len(best)})",
        f"        {price.params:,} parameters, {price.macs / 1e6:.2f} M MACs" if price else "",
        "        " + ", ".join(f"{name} {value}" for name, value in first.values.items()),
    ]
    base = search.outcomes.get(BASELINE)
    if base and base.scores:
        said.append(f"uniform {search.column} {base.scores[max(base.scores)]:.4f} at width {base.config.model.width:g}")
        found = gain(search, first)
        if found is not None:
            said.append(
                f"gain    {100 * found.value:+.2f} points of val accuracy [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
                f" (95 %, paired over {found.images} images, 1 seed; optimistic too)"
            )
    for row in rung_rows(search):
        said.append(
            f"rungs   rank correlation of epoch {row['early']} with {row['late']}: {row['rank_correlation']:.2f} (n = {row['n']})"
        )
    hours = sum(float(row["seconds"]) for row in kept) / 3600
    failed = [row for row in kept if row["status"] == "failed"]
    said.append(f"cost    {hours:.2f} h of training; {len(failed)} of {len(kept)} failed")
    said += [f"        {row['candidate']}: {row['reason']}" for row in failed]
    return [line for line in said if line]
