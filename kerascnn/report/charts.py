"""Line charts of a page, drawn by matplotlib: training curves, scores against cost, calibration, precision and recall."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from kerascnn.cli.escaping import one_line
from kerascnn.report import cells, drawing
from kerascnn.report.drawing import FAINT, SERIES
from kerascnn.report.page import Calibration, Chart, Curve, Ranking, RankingCurve, Unit

SIZE = (5, 3.4)  # inches: 72 units of a picture each, about as many pixels in a page
SQUARE = (5, 4.8)
MARKERS = "osD^vP"

# title, unit and lines of a run's panels; a line is (column of history.csv, label, colour, dashed)
_RUN_PANELS: tuple[tuple[str, Unit, tuple[tuple[str, str, str, bool], ...]], ...] = (
    ("loss", "number", (("loss", "train (augmented)", SERIES[1], True), ("val_loss", "val", SERIES[0], False))),
    (
        "score",
        "share",
        (
            ("accuracy", "train accuracy (augmented)", SERIES[1], True),
            ("val_accuracy", "val accuracy", SERIES[0], False),
            ("val_macro_f1", "val macro F1", SERIES[2], False),
        ),
    ),
    ("learning rate", "number", (("lr", "learning rate", SERIES[3], False),)),
)
_PANELS: tuple[tuple[str, str, Unit], ...] = (
    ("val_accuracy", "val accuracy", "share"),
    ("val_loss", "val loss", "number"),
    ("loss", "training loss (augmented)", "number"),
)


class Series(NamedTuple):
    """One line: x, y and, where they differ from y, the ends of its spread.

    Attributes:
        label: In the legend.
        points: (x, y, low, high) by rising x.
        color: One of `drawing.SERIES`.
        dashed: How it is told apart from another of the same colour.
    """

    label: str
    points: Sequence[tuple[float, float, float, float]]
    color: str
    dashed: bool = False


def run_curves(curve: Curve) -> Iterator[Markup]:
    """Loss, scores and learning rate of one run."""
    rows = next(iter(curve.runs.values()), ())
    for title, unit, columns in _RUN_PANELS:
        series = [
            Series(label, [(row["epoch"], row[key], row[key], row[key]) for row in rows if key in row], color, dashed)
            for key, label, color, dashed in columns
            if any(key in row for row in rows)
        ]
        if series:
            best = curve.best if title == "score" else None
            yield _by_epoch(title, series, unit, best)


def curves(found: Sequence[Curve]) -> Iterator[Markup]:
    """Mean over seeds with the band from the lowest to the highest, for val score and losses."""
    for key, title, unit in _PANELS:
        series = [
            Series(curve.label, _band(curve, key), SERIES[i % len(SERIES)], i >= len(SERIES))
            for i, curve in enumerate(found)
        ]
        series = [one for one in series if one.points]
        if series:
            yield _by_epoch(title, series, unit)


def _by_epoch(title: str, series: Sequence[Series], unit: Unit, best: int | None = None) -> Markup:
    chosen = "" if best is None else f", best epoch {best}"

    def draw(axis: Axes) -> None:
        for one in series:
            _line(axis, one)
        if best is not None:
            axis.axvline(best, color=FAINT, linewidth=1, linestyle=":", label=f"best epoch {best}")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.margins(x=0.02)
        if len({point[0] for one in series for point in one.points}) == 1:
            at = series[0].points[0][0]
            axis.set_xlim(at - 1, at + 1)
        _frame(axis, "epoch", title, unit)

    return _chart(f"{title} by epoch{chosen}", _ends(series, unit), draw)


def _band(curve: Curve, key: str) -> list[tuple[float, float, float, float]]:
    by_epoch: dict[float, list[float]] = {}
    for rows in curve.runs.values():
        for row in rows:
            if key in row:
                by_epoch.setdefault(row["epoch"], []).append(row[key])
    # An epoch that some seeds lack would bend the mean.
    full = max(map(len, by_epoch.values()), default=0)
    return [(e, float(np.mean(v)), min(v), max(v)) for e, v in sorted(by_epoch.items()) if len(v) == full]


def _ends(series: Sequence[Series], unit: Unit) -> str:
    return "at the end " + ", ".join(f"{one.label} {cells.show(one.points[-1][1], unit)}" for one in series)


def _line(axis: Axes, one: Series) -> None:
    x, y, low, high = (np.array(values, float) for values in zip(*one.points, strict=True))
    if (low != high).any():
        axis.fill_between(x, low, high, color=one.color, alpha=0.18, linewidth=0)
    marker = "o" if len(x) < 3 else None
    axis.plot(x, y, color=one.color, label=short(one.label), linestyle="--" if one.dashed else "-", marker=marker)


def chart(found: Chart) -> Markup:
    """Scores against something, whiskers where they have an interval."""
    lines = [line for line in found.lines if line.points]
    series = [Series(line.label, [(x, *interval[:3]) for x, interval in line.points], "") for line in lines]

    every = sorted({point[0] for one in series for point in one.points})

    def draw(axis: Axes) -> None:
        for i, one in enumerate(series):
            x, y, low, high = (np.array(values, float) for values in zip(*one.points, strict=True))
            x = _beside(x, i - (len(series) - 1) / 2, every, found.log)
            style: dict[str, Any] = {
                "color": SERIES[i % len(SERIES)],
                "marker": MARKERS[i % len(MARKERS)],
            }
            spread = np.maximum(np.stack([y - low, high - y]), 0)
            axis.errorbar(
                x,
                y,
                yerr=spread,
                capsize=4,
                elinewidth=1.4,
                capthick=1.4,
                markersize=5,
                label=short(one.label),
                **style,
            )
        if found.log:
            _log_axis(axis, every)
        else:
            if len(every) <= 8:
                axis.set_xticks(every)
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, "number")))
        axis.margins(x=0.06, y=0.08)
        _frame(axis, found.x, found.y, found.unit)

    return _chart(found.title, _ends(series, found.unit), draw)


def _beside(x: np.ndarray, place: float, every: Sequence[float], log: bool) -> np.ndarray:
    """Points of several lines at one place, moved apart by a little so that no whisker hides another."""
    if len(every) == 1:
        return x
    step = 0.014 * place
    return x * (every[-1] / every[0]) ** step if log else x + step * (every[-1] - every[0])


def _log_axis(axis: Axes, values: Sequence[float]) -> None:
    """A logarithmic horizontal axis with at least two numbers on it."""
    axis.set_xscale("log")
    low, high = min(values) / 1.25, max(values) * 1.25
    axis.set_xlim(low, high)
    wide = math.log10(high / low)
    steps = (1,) if wide > 3 else (1, 2, 5) if wide > 0.8 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
    axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, "number")))
    axis.xaxis.set_minor_formatter(NullFormatter())


def calibrations(found: Sequence[Calibration]) -> Markup:
    """Accuracy against confidence in bins of equal mass; below the diagonal confidence is too high."""
    known = [one for one in found if one.bins]

    def draw(axis: Axes) -> None:
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="confidence = accuracy")
        for i, one in enumerate(known):
            label = one.label if one.ece is None else f"{one.label} (ECE {cells.show(one.ece, 'share')})"
            points = [(b.confidence, b.accuracy) for b in one.bins]
            style: dict[str, Any] = {
                "color": SERIES[i % len(SERIES)],
                "marker": MARKERS[i % len(MARKERS)],
                "markersize": 5,
            }
            axis.plot(*zip(*points, strict=True), label=short(label, 60), **style)
        low = min((min(b.confidence, b.accuracy) for one in known for b in one.bins), default=0.0)
        low = max(0.0, math.floor(low * 10) / 10)
        axis.set_xlim(low, 1.02)
        axis.set_ylim(low, 1.02)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, "share")))
        _frame(axis, "confidence", "accuracy", "share")

    about = "; ".join(f"{one.label}: below the diagonal confidence is too high" for one in known)
    return _chart("Accuracy by confidence, bins of equal mass", about, draw, SQUARE, legend_columns=1)


def rankings(found: Ranking) -> Iterator[Markup]:
    """Precision over recall and the ROC curve, each class against the rest."""
    yield _ranked(found, found.pr, "Precision and recall", "recall", "precision")
    yield _ranked(found, found.roc, "ROC", "false positive rate", "true positive rate")


def _ranked(found: Ranking, lines: Sequence[RankingCurve], title: str, x: str, y: str) -> Markup:
    def draw(axis: Axes) -> None:
        for i, line in enumerate(lines):
            style: dict[str, Any] = {"color": SERIES[i % len(SERIES)], "linestyle": ("-", "--")[i // len(SERIES) % 2]}
            axis.plot(line.x, line.y, label=short(line.name, 26), **style)
        if y.startswith("true"):
            axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
        axis.set_xlim(-0.01, 1.01)
        axis.set_ylim(-0.01, 1.02)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, "share")))
        _frame(axis, x, y, "share")

    spread = "" if found.classes == len(lines) else f" ({found.classes} classes)"
    lowest = sorted(lines, key=lambda line: line.area)[:3]
    about = "lowest area under the curve: " + ", ".join(f"{line.name} {line.area:.3f}" for line in lowest)
    return _chart(f"{title}, {found.split}, each class against the rest{spread}", about, draw, SQUARE)


def _chart(
    title: str,
    about: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = SIZE,
    legend_columns: int = 3,
) -> Markup:
    """One axis with its legend above it, where it covers nothing."""
    with drawing.style():
        figure = Figure(figsize=size, layout="constrained")
        axis = figure.subplots()
        draw(axis)
        handles, labels = axis.get_legend_handles_labels()
        if len(labels) > 1:
            longest = max(map(len, labels))
            columns = max(1, min(legend_columns, int(size[0] * 10 / (longest + 5))))
            figure.legend(
                handles, labels, loc="outside upper left", ncols=columns, fontsize=10, labelcolor=FAINT,
                handlelength=1.8, columnspacing=1.2, borderpad=0, borderaxespad=0.1,
            )  # fmt: skip
    return drawing.page_figure(figure, title, about)


def _frame(axis: Axes, x: str, y: str, unit: Unit) -> None:
    axis.set_xlabel(one_line(x))
    axis.set_ylabel(one_line(y))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, unit)))
    axis.grid(True)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=10, pad=6)


def short(name: str, length: int = 34) -> str:
    """One line; the middle of a long name is left out, as its ends tell more."""
    name = one_line(name)
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-(length - length // 2 - 1) :]}"
