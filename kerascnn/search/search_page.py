"""The data of a search's page: from its trials, the rows of trials.csv, and promotion.csv."""

import csv
import shlex
from collections.abc import Sequence
from typing import Any

from kerascnn.architectures import own
from kerascnn.report.page import SearchPage, Statement
from kerascnn.report.report_tables import Cell, Column, ReportTable, Unit
from kerascnn.runs import shown_command
from kerascnn.scoring import task as tasks
from kerascnn.search import front, results
from kerascnn.search.search import Search
from kerascnn.search.trial_results import BASELINE, candidates, ranked
from kerascnn.statistics import Interval

# Number of candidates in the page's table; trials.csv has all.
SHOWN = 60
# How objectives that are no scores are shown.
UNITS: dict[str, Unit] = {"seconds": "seconds", "images_per_second": "count", "input_wait": "share"}


def page(search: Search, said: Sequence[str] = ()) -> SearchPage:
    """Returns the page of a search with results.

    Args:
        search: With its trial results.
        said: What a promotion has just come to, its verdict last; its table comes from promotion.csv.
    """
    tune, base = search.tune, search.base
    return SearchPage(
        name=search.directory.path.name,
        about=f"{own.shown(base.model.arch)} on {search.splits.name}, space {search.space.name}:"
        f" {len(candidates(search.trial_results))} of"
        f" {tune.trials} candidates by {tune.tuner}, {search.epochs} epochs, best by {search.column}",
        verdicts=(*_promoted(said), _best(search)),
        trials=_trials(search),
        promotion=_promotion(search),
        picture=front.picture(search),
        importance=_importance(search),
        config=_request(search),
        repeat=(shown_command(), f"python -m kerascnn.fit --config {shlex.quote(str(search.directory.recipe_file))}"),
    )


def _promoted(said: Sequence[str]) -> tuple[Statement, ...]:
    return (Statement(said[-1]),) if said else ()


def _best(search: Search) -> Statement:
    best = ranked(search.trial_results, search.direction)
    if not best:
        return Statement("No candidate has a score")
    first = best[0]
    headline = (
        f"Best of {len(best)} candidates: {first.name}, {search.column} {first.score:.4f} after {first.epochs} of"
        f" {search.epochs} epochs (1 seed; chosen by this very score, so optimistic)"
    )
    base, details = search.trial_results.get(BASELINE), []
    if base is not None and base.score is not None:
        details.append(f"The uniformly scaled network has {base.score:.4f} at width {base.config.model.width:g}.")
        found = results.gain(search.directory.run(BASELINE), search.directory.run(first.name))
        if found is not None:
            title = search.splits.task.headline.title
            details.append(
                f"Gain: {100 * found.value:+.2f} points of val {title} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
                f" (95 %, {found.images:,} images, 1 seed), optimistic as well: --promote 3 --seeds 5 measures it anew."
            )
    details += [
        f"Epoch {pair['early']} ranks candidates as epoch {pair['late']} does with a rank correlation of"
        f" {pair['rank_correlation']:+.2f} (n = {pair['n']})."
        for pair in results.agreement(search)
    ]
    return Statement(headline, tuple(details))


def _trials(search: Search) -> ReportTable:
    """Returns the table of the baseline and the candidates, best first."""
    rows = [row for row in results.rows(search) if row["candidate"] != results.CORRELATION]
    parameters = [(p.name, _unit([row.get(p.name) for row in rows])) for p in search.space.parameters]
    units: list[tuple[str, str, Unit]] = [
        ("candidate", "candidate", "text"),
        ("status", "status", "text"),
        ("epochs", "epochs", "count"),
        (search.column, search.column, _objective_unit(search)),
        ("macs", "MACs", "macs"),
        ("params", "parameters", "count"),
        ("latency_ms", "latency", "milliseconds"),
        ("seconds", "training", "seconds"),
        *((name, name, unit) for name, unit in parameters),
        ("reason", "reason", "text"),
    ]
    known = [one for one in units if any(row.get(one[0]) not in (None, "") for row in rows)]
    found = tuple(tuple(_cell(row.get(key), unit) for key, _, unit in known) for row in rows[: SHOWN + 1])
    note = "The baseline is the uniformly scaled network. Scores of one seed; candidates are ordered by them"
    note += f"; the first {SHOWN} of {len(rows) - 1}." if len(rows) > SHOWN + 1 else "."
    return ReportTable("trials", "Trials", tuple(Column(title, unit) for _, title, unit in known), found, note)


def _objective_unit(search: Search) -> Unit:
    score = tasks.of_column(search.column)
    return score.unit if score else UNITS[search.column]


def _unit(values: Sequence[Any]) -> Unit:
    known = [value for value in values if value is not None]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return "text"
    return "count" if all(float(value).is_integer() for value in known) else "number"


def _cell(value: Any, unit: Unit) -> Cell:
    if value in (None, ""):
        return None
    return str(value) if unit == "text" else value


def _importance(search: Search) -> ReportTable | None:
    rows = results.importance(search)
    if not rows:
        return None
    columns = (Column("parameter"), Column("importance", "number"), Column("spread", "number"))
    note = f"Permutation importance on a random forest over n = {rows[0]['n']} candidates; multiply-adds are a row of their own."
    cells = tuple((row["parameter"], row["importance"], row["spread"]) for row in rows)
    return ReportTable("importance", "What mattered", columns, cells, note)


def _promotion(search: Search) -> ReportTable | None:
    """Returns the table of promotion.csv, if there is one: the best candidates with fresh seeds."""
    file = search.directory.promotion_file
    if not file.exists():
        return None
    with file.open(newline="", encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    headline = search.splits.task.headline
    split = "test" if any(f"test_{headline.name}" in row for row in rows) else "val"
    unit = _objective_unit(search)
    columns = (
        Column("candidate"),
        Column("seeds", "count"),
        Column(f"{search.column} in the search", unit),
        Column("retrained", unit, "Mean over fresh seeds."),
        Column(f"{split} {headline.title}", headline.unit, "Mean over fresh seeds, with its t interval over them."),
        Column("gain over uniform", "points", f"Of {split} {headline.title}, paired by image and seed."),
        Column("differs", "text", "From the uniformly scaled network, for all candidates together (Holm)."),
    )
    found = tuple(
        (
            row["candidate"],
            int(row["seeds"]),
            float(row["search_score"]),
            float(row["retrained_score"]),
            _interval(row, f"{split}_{headline.name}", split),
            _interval(row, "gain", "gain"),
            {"True": "yes", "False": "no"}.get(row.get("separable") or "", "-"),
        )
        for row in rows
    )
    return ReportTable(
        "promotion", "Retrained with fresh seeds", columns, found, "95 % intervals, of each row by itself."
    )


def _interval(row: dict[str, str], key: str, ends: str) -> Cell:
    """Returns a value with its interval, `<ends>_low` and `<ends>_high`, if the row has them."""
    if not row.get(key):
        return None
    value, low, high = float(row[key]), row.get(f"{ends}_low"), row.get(f"{ends}_high")
    return Interval(value, float(low), float(high), 0) if low and high else value


def _request(search: Search) -> ReportTable:
    """Returns the flags of this search as a table."""
    asked = search.request()
    flat = {f"{key} {name}": v for key, value in asked.items() if isinstance(value, dict) for name, v in value.items()}
    flat |= {key: value for key, value in asked.items() if not isinstance(value, dict)}
    rows = tuple((key, str(value)) for key, value in sorted(flat.items()) if "fingerprint" not in key)
    return ReportTable("request", "What was asked for", (Column("key"), Column("value")), rows)
