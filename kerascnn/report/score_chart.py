"""Charts of a score against multiply-adds, milliseconds, images, or the severity of a corruption."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from kerascnn.report import cells
from kerascnn.report.axes import SIZE, frame, hover_point, legend, log_axis, look, short, whiskers
from kerascnn.report.drawing import FAINT, Panel, Picture
from kerascnn.report.report_tables import Unit
from kerascnn.statistics import Interval

_APART = 0.014  # share of the axis between points of two lines at the same x


@dataclass(frozen=True)
class ScoreLine:
    """A line of a chart: (x, interval) by rising x; without a whisker if low equals high.

    Args:
        label: In the legend.
        points: As above.
        joined: Whether a line joins the points; not where x only numbers them, as it does folds.
    """

    label: str
    points: tuple[tuple[float, Interval], ...]
    joined: bool = True


@dataclass(frozen=True)
class ScoreChart:
    """Scores against a quantity: MACs, milliseconds, images, severity.

    Args:
        name: Stem of its CSV file.
        title: Title with n and seeds.
        x: Quantity of the horizontal axis.
        y: Quantity of the vertical axis.
        lines: One per arch.
        log: Whether the horizontal axis is logarithmic.
        unit: Unit of y.
        reference: Name and value of a dotted line across the chart.
    """

    name: str
    title: str
    x: str
    y: str
    lines: tuple[ScoreLine, ...]
    log: bool = False
    unit: Unit = "share"
    reference: tuple[str, float] | None = None


def picture(chart: ScoreChart) -> Picture:
    """Draws lines, with whiskers where a score has an interval."""
    lines = [line for line in chart.lines if line.points]
    every = sorted({x for line in lines for x, _ in line.points})
    ends = [f"{line.label} {cells.show(line.points[-1][1].value, chart.unit)}" for line in lines]

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for i, line in enumerate(lines):
            x = beside(np.array([x for x, _ in line.points]), i - (len(lines) - 1) / 2, every, chart.log)
            _line(axis, line, x, i)
            for at, (place, score) in zip(x, line.points, strict=True):
                found = f"{line.label}, {chart.x} {cells.tick(place, 'number')}: {cells.show(score, chart.unit)}"
                hover_point(axis, at, score.value, found)
        if chart.reference is not None:
            label, value = chart.reference
            axis.axhline(value, color=FAINT, linewidth=1, linestyle=":", label=short(label))
        if chart.log:
            log_axis(axis, every)
        elif len(every) <= 8:
            axis.set_xticks(every)
        axis.margins(x=0.06, y=0.08)
        frame(axis, chart.x, chart.y, chart.unit, "number")
        legend(figure, *axis.get_legend_handles_labels())

    return Picture(chart.title, "at the end " + ", ".join(ends), SIZE, draw)


def _line(axis: Axes, line: ScoreLine, x: np.ndarray, i: int) -> None:
    y, low, high = (np.array([score[k] for _, score in line.points], float) for k in range(3))
    style = {**look(i), **({} if line.joined else {"linestyle": "none"})}
    axis.plot(x, y, label=short(line.label), **style)
    known = high > low
    if known.any():
        spread = np.maximum(np.stack([y - low, high - y]), 0)[:, known]
        whiskers(axis, x[known], y[known], style["color"], 4, yerr=spread)


def beside(x: np.ndarray, place: float, every: Sequence[float], log: bool) -> np.ndarray:
    """Moves points of several lines at the same x apart, so that no whisker hides another."""
    if len(every) == 1:
        return x
    step = _APART * place
    return x * (every[-1] / every[0]) ** step if log else x + step * (every[-1] - every[0])
