"""Writes the tables of a page as CSV: plain numbers, an interval in four columns."""

import csv
import io
from collections.abc import Iterable, Sequence

from kerascnn.cli.escaping import one_line
from kerascnn.report.class_bars import ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.page import ComparisonPage, RunPage
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.report_tables import Cell, Column, ReportTable
from kerascnn.report.score_chart import ScoreChart
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.statistics import Interval

# A spreadsheet treats cells with these prefixes as formulas (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@")


def comparison_csv(page: ComparisonPage) -> str:
    """Returns one line per arch and variant: its scores, then its costs."""
    if page.costs is None:
        return table_csv(page.scores)
    costs = page.costs
    joined = ReportTable(
        "comparison",
        "",
        (*page.scores.columns, *costs.columns[1:]),
        tuple((*score, *cost[1:]) for score, cost in zip(page.scores.rows, costs.rows, strict=True)),
    )
    return table_csv(joined)


def sheets(page: RunPage | ComparisonPage) -> dict[str, str]:
    """Returns all numbers of the page as CSV, by the stem of the file."""
    curves = (page.curve,) if isinstance(page, RunPage) else page.curves
    losses = page.losses if isinstance(page, RunPage) else None
    tables = (page.scores, losses, page.costs, page.config, *page.tables)
    found = {table.name: table_csv(table) for table in tables if table is not None}
    found |= {chart.name: _chart(chart) for chart in page.charts}
    known = [curve for curve in curves if curve is not None]
    if known:
        found["curves"] = _curves(known)
    if page.classes is not None:
        found["classes"] = table_csv(bars_table(page.classes))
    if page.confusions:
        found["confusion"] = _confusions(page.confusions)
    if page.calibrations:
        found["calibration"] = _calibrations(page.calibrations)
    return found


def table_csv(table: ReportTable) -> str:
    """Returns one table; a column with an interval becomes value, low, high and n."""
    wide = [any(isinstance(row[i], Interval) for row in table.rows) for i in range(len(table.columns))]
    head: list[str] = []
    for column, spread in zip(table.columns, wide, strict=True):
        head += [column.title, *(f"{column.title} {end}" for end in ("low", "high", "n"))] if spread else [column.title]
    return _csv(head, (_spread(row, wide) for row in table.rows))


def _spread(row: Sequence[Cell], wide: Sequence[bool]) -> list[Cell]:
    out: list[Cell] = []
    for cell, spread in zip(row, wide, strict=True):
        if not spread:
            out.append(cell)
        elif isinstance(cell, Interval):
            out += list(cell)
        else:
            out += [cell, None, None, None]
    return out


def bars_table(bars: ClassBars) -> ReportTable:
    """Returns the numbers of the bars."""

    def line(row: ClassBar) -> tuple[Cell, ...]:
        return (row.name, row.n, *row.values, row.note)

    columns = (
        Column("class"),
        Column("images", "count"),
        *(Column(name, "share") for name in bars.series),
        Column("note"),
    )
    return ReportTable("classes", bars.title, columns, tuple(line(row) for row in bars.rows), bars.note)


def _chart(chart: ScoreChart) -> str:
    rows = ((line.label, x, *interval) for line in chart.lines for x, interval in line.points)
    return _csv(["", chart.x, chart.y, "low", "high", "n"], rows)


def _curves(curves: Sequence[TrainingCurve]) -> str:
    keys = list(dict.fromkeys(key for curve in curves for rows in curve.runs.values() for row in rows for key in row))
    rows = (
        (curve.label, seed, *(row.get(key) for key in keys))
        for curve in curves
        for seed, history in curve.runs.items()
        for row in history
    )
    return _csv(["", "seed", *keys], rows)


def _confusions(confusions: Sequence[ConfusionMatrix]) -> str:
    rows = (
        (confusion.label, truth, answer, int(confusion.counts[i, j]))
        for confusion in confusions
        for i, truth in enumerate(confusion.class_names)
        for j, answer in enumerate(confusion.class_names)
        if confusion.counts[i, j]
    )
    return _csv(["", "truth", "answer", "count"], rows)


def _calibrations(calibrations: Sequence[ReliabilityCurve]) -> str:
    rows = ((calibration.label, *found) for calibration in calibrations for found in calibration.bins)
    return _csv(["", "confidence", "accuracy", "n"], rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_plain(title) for title in head])
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue()


def _plain(cell: Cell) -> str | int | None:
    """Returns a cell as one line that is not a formula, with six digits, which exceed the precision of all numbers."""
    if isinstance(cell, float):
        return f"{cell:.6g}"
    if isinstance(cell, str):
        shown = one_line(cell)
        return f"'{shown}" if shown.startswith(_FORMULA) else shown
    return cell  # type: ignore[return-value]
