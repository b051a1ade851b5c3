"""The common parts of all axes: names, tick labels, a legend beside the data."""

import math
import unicodedata
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kerascnn.cli.escaping import one_line
from kerascnn.report import cells
from kerascnn.report.drawing import FAINT, SERIES, Panel, hover
from kerascnn.report.report_tables import Unit

SIZE = (5, 3.4)  # inches: 72 units of a picture each, about as many pixels in a page
SQUARE = (5, 4.8)
MARKERS = "osD^vP"
_REACH = 14  # points: the diameter around a marker within which the pointer finds its values


def look(i: int) -> dict[str, Any]:
    """Color and marker of the i-th line, for `Axes.plot`."""
    return {"color": SERIES[i % len(SERIES)], "marker": MARKERS[i % len(MARKERS)], "markersize": 5}


def frame(axis: Axes, x: str, y: str, unit: Unit, x_unit: Unit | None = None) -> None:
    """Names the axes, formats their numbers by unit (`x_unit` if not counts), and draws the grid."""
    axis.set_xlabel(one_line(x))
    axis.set_ylabel(one_line(y))
    axis.yaxis.set_major_formatter(ticks(unit))
    if x_unit is not None:
        axis.xaxis.set_major_formatter(ticks(x_unit))
    axis.grid(True)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", bottom=False, left=False, labelsize=10, pad=6)


def ticks(unit: Unit) -> FuncFormatter:
    """Formats the numbers of an axis."""
    return FuncFormatter(lambda value, _: cells.tick(value, unit))


def log_axis(axis: Axes, values: Sequence[float]) -> None:
    """Makes the horizontal axis logarithmic, with at least two numbers on it."""
    axis.set_xscale("log")
    low, high = min(values) / 1.25, max(values) * 1.25
    axis.set_xlim(low, high)
    wide = math.log10(high / low)
    steps = (1,) if wide > 3 else (1, 2, 5) if wide > 0.8 else (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
    axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axis.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: Panel, handles: Sequence[Artist], labels: Sequence[str], columns: int = 3) -> None:
    """Draws a legend above the axis, in up to `columns` columns; none for a single line."""
    if len(labels) < 2:
        return
    inches = max(map(_letters, labels)) * 0.075 + 0.5
    fitting = int(figure.bbox.width / figure.dpi / inches)
    figure.legend(
        handles, labels, loc="outside upper left", ncols=max(1, min(columns, fitting)), fontsize=10, labelcolor=FAINT,
        handlelength=1.8, columnspacing=1.2, borderpad=0, borderaxespad=0.4,
    )  # fmt: skip


def whiskers(axis: Axes, x: Any, y: Any, color: str, size: float, **spread: Any) -> None:
    """Intervals without their points.

    Args:
        axis: Where they are drawn.
        x: [n].
        y: [n].
        color: Of lines and caps.
        size: Of a cap, in points.
        **spread: `xerr` or `yerr` of `Axes.errorbar`.
    """
    width = size * 0.35
    style: dict[str, Any] = {"fmt": "none", "ecolor": color, "elinewidth": width, "capthick": width}
    _, caps, _ = axis.errorbar(x, y, capsize=size, **style, **spread)
    for cap in caps:
        cap.set_markerfacecolor(color)  # else it is the cycle's, which no style sheet knows


def _letters(text: str) -> int:
    """How long a line is, in Latin letters; those of Chinese and Japanese are twice as wide."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def hover_point(axis: Axes, x: float, y: float, text: str) -> None:
    """Shows `text` when the pointer is near a point."""
    (point,) = axis.plot([x], [y], "o", color=FAINT, markersize=_REACH, alpha=0)
    hover(point, text)


def short(name: str, length: int = 34) -> str:
    """Shortens a name to one line by omitting its middle, since its ends tell more."""
    name = one_line(name)
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-(length - length // 2 - 1) :]}"
