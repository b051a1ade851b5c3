"""Scores by class as bars, with their intervals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from kerascnn.report import cells
from kerascnn.report.axes import legend, short, ticks, whiskers
from kerascnn.report.drawing import FAINT, INK, SERIES, Panel, Picture, hover
from kerascnn.statistics import Interval

# Largest number of bars: the first ones are shown.
BARS = 30
SOLID = 0.72  # opacity of a bar, through which its whisker is visible


class ClassBar(NamedTuple):
    """The bars of one class.

    Attributes:
        name: Name of the class.
        n: Number of its images.
        values: One per series: a share with its interval, or None.
        note: A remark about the class, such as a corrected p.
    """

    name: str
    n: int
    values: tuple[Interval | None, ...]
    note: str = ""


@dataclass(frozen=True)
class ClassBars:
    """Shares by class, side by side.

    Args:
        title: Title above the bars.
        series: The archs, or the scores; one color each.
        rows: The classes in the order of display: the first BARS; the tables have all.
        note: One sentence below.
    """

    title: str
    series: tuple[str, ...]
    rows: tuple[ClassBar, ...]
    note: str = ""


def picture(bars: ClassBars) -> Picture:
    """Draws a bar for each class and series, from 0 to 100 %, with its interval and the remark about the class."""
    rows, title, count = bars.rows[:BARS], bars.title, len(bars.series)
    if len(bars.rows) > BARS:
        title = f"{title} ({BARS} of {len(bars.rows)} classes; the tables have all)"
    thick = 0.8 / count

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for i, name in enumerate(bars.series):
            for place, row in enumerate(rows):
                if (value := row.values[i]) is not None:
                    at = place + (i - (count - 1) / 2) * thick
                    text = f"{row.name}: {name} {cells.show(value, 'share')}, {row.n:,} images"
                    _bar(axis, at, value, SERIES[i % len(SERIES)], thick * 0.88, text)
        _frame(axis, rows)
        colors = [SERIES[i % len(SERIES)] for i in range(count)]
        keys = [Patch(color=color, alpha=SOLID, linewidth=0) for color in colors]
        legend(figure, keys, [short(name, 30) for name in bars.series])

    size = (5.4, 0.9 + len(rows) * (0.13 + 0.15 * count))
    return Picture(title, _lowest(rows, bars.series), size, draw, "bars")


def _bar(axis: Axes, place: float, value: Interval, color: str, height: float, text: str) -> None:
    score, low, high = (float(np.clip(end, 0, 1)) for end in value[:3])
    (bar,) = axis.barh([place], [score], height, color=color, alpha=SOLID, linewidth=0)
    hover(bar, text)
    ends = [[max(score - low, 0)], [max(high - score, 0)]]
    whiskers(axis, [score], [place], INK, 3, xerr=ends)


def _frame(axis: Axes, rows: Sequence[ClassBar]) -> None:
    axis.set_xlim(0, 1)
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.set_yticks(range(len(rows)), [f"{short(row.name, 20)} ({row.n:,})" for row in rows], color=INK, fontsize=9)
    axis.xaxis.set_major_formatter(ticks("share"))
    axis.grid(True, axis="x")
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
    axis.tick_params(bottom=False, left=False, labelsize=9)
    if any(row.note for row in rows):
        notes = axis.secondary_yaxis("right")
        notes.set_yticks(range(len(rows)), [short(row.note, 32) for row in rows], fontsize=9)
        notes.spines[:].set_visible(False)
        notes.tick_params(right=False, labelcolor=FAINT)


def _lowest(rows: Iterable[ClassBar], series: Sequence[str]) -> str:
    said = []
    for i, name in enumerate(series):
        known = [(value.value, row.name) for row in rows if (value := row.values[i]) is not None]
        if known:
            said.append(f"{name} lowest for {min(known)[1]} ({cells.show(min(known)[0], 'share')})")
    return "; ".join(said)
