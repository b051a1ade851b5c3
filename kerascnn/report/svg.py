"""Line charts as inline SVG: small, and readable on dark and light ground, as every colour is a class of the page's style.

Text is escaped here; what the functions return is markup.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from kerascnn.escaping import as_html
from kerascnn.report import cells
from kerascnn.report.page import Unit

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 18, 10, 36
COLORS = 6  # series that the style tells apart; then they repeat


@dataclass(frozen=True)
class Series:
    """One line: x, y and, where they differ from y, the ends of its spread.

    Args:
        label: In the legend.
        points: (x, y, low, high) by rising x.
        color: Which of the style's series colours.
        dashed: How it is told apart from another of the same colour.
        dots: Whether each point is marked; its spread is then a whisker, else a band.
    """

    label: str
    points: Sequence[tuple[float, float, float, float]]
    color: int
    dashed: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        title: What it counts.
        unit: How its numbers are shown.
        low: Its end, or None for where the data end.
        high: Its end, or None for where the data end.
        log: Whether it is logarithmic.
        whole: Whether only whole numbers are marked.
    """

    title: str
    unit: Unit = "number"
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False


class Scale:
    """Where a value stands between two ends; `pad` is the share of room beyond the data."""

    def __init__(self, axis: Axis, values: Iterable[float], start: float, end: float, pad: float = 0.0) -> None:
        known = [value for value in values if math.isfinite(value) and (value > 0 or not axis.log)] or [1.0]
        low = min(known) if axis.low is None else axis.low
        high = max(known) if axis.high is None else axis.high
        if low == high:
            around = abs(low) * 0.1 or 1.0
            low, high = (low / 2, high * 2) if axis.log else (low - around, high + around)
        elif axis.log:
            low, high = low / 1.1, high * 1.1
        else:
            room = pad * (high - low)
            low, high = low - room * (axis.low is None), high + room * (axis.high is None)
        self.axis, self.low, self.high, self.start, self.end = axis, low, high, start, end

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.axis.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, 1e-300))
        share = min(max((value - low) / (high - low), -0.02), 1.02)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside, five or so."""
        if self.axis.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            every = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
            inside = [value for value in every if self.low <= value <= self.high]
            if len(inside) > 1:
                return inside if len(inside) < 7 else [value for value in inside if f"{value:e}".startswith("1")]
        raw = (self.high - self.low) / 4
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
        if self.axis.whole:
            step = max(step, 1.0)
        first = math.ceil(self.low / step - 1e-9)
        return [round(i * step, 12) for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def lines(title: str, about: str, x: Axis, y: Axis, series: Sequence[Series], diagonal: bool = False) -> Markup:
    """A chart of lines with their spread.

    Args:
        title: Above it, outside of the picture.
        about: What a reader who cannot see it is told.
        x: The horizontal axis.
        y: The vertical axis.
        series: At least one, each with at least one point.
        diagonal: Whether y = x is drawn.
    """
    every = [point for one in series for point in one.points]
    across = Scale(x, (point[0] for point in every), LEFT, WIDTH - RIGHT)
    up = Scale(y, itertools.chain.from_iterable(point[1:] for point in every), HEIGHT - BOTTOM, TOP, pad=0.04)
    parts = [*_frame(across, up)]
    if diagonal:
        low, high = max(across.low, up.low), min(across.high, up.high)
        parts.append(f'<path class="diagonal" d="{_path([(across(low), up(low)), (across(high), up(high))])}"/>')
    for one in series:
        parts += _series(one, across, up)
    return figure(title, about, WIDTH, HEIGHT, parts, _legend(series))


def figure(
    title: str, about: str, width: float, height: float, parts: Iterable[str], legend: str = "", kind: str = ""
) -> Markup:
    """An SVG with its title and its alt text, as a figure of the page."""
    alt = as_html(f"{title}: {about}" if about else title)
    return Markup(
        f'<figure class="{kind or "chart"}"><figcaption>{as_html(title)}</figcaption>{legend}'
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{alt}">{"".join(parts)}</svg></figure>'
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words in an SVG."""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{place}{named}>{as_html(words)}</text>'


def _frame(across: Scale, up: Scale) -> Iterable[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in up.ticks():
        y = up(value)
        yield f'<path class="grid" d="M{LEFT} {_n(y)}H{right}"/>'
        yield text(LEFT - 5, y + 4, cells.tick(value, up.axis.unit), anchor="end")
    for value in across.ticks():
        x = across(value)
        yield f'<path class="grid" d="M{_n(x)} {TOP}V{bottom}"/>'
        yield text(x, bottom + 14, cells.tick(value, across.axis.unit), anchor="middle")
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
    yield text((LEFT + right) / 2, HEIGHT - 5, across.axis.title, "faint", "middle")


def _series(one: Series, across: Scale, up: Scale) -> Iterable[str]:
    points = [point for point in one.points if all(math.isfinite(value) for value in point)]
    if not points:
        return
    places = [(across(x), up(y)) for x, y, *_ in points]
    color = f"s{one.color % COLORS}"
    spread = any(low != high for _, _, low, high in points)
    if spread and not one.dots:
        edge = [(across(x), up(high)) for x, _, _, high in points]
        edge += [(across(x), up(low)) for x, _, low, _ in reversed(points)]
        yield f'<path class="band {color}" d="{_path(edge)}Z"/>'
    if len(places) > 1:
        dashes = " dashed" if one.dashed else ""
        yield f'<path class="line {color}{dashes}" d="{_path(places)}"/>'
    if one.dots or len(places) == 1:
        for (x, y), (_, _, low, high) in zip(places, points, strict=True):
            if low != high:
                yield f'<path class="whisker {color}" d="M{_n(x)} {_n(up(low))}V{_n(up(high))}"/>'
            yield f'<circle class="dot {color}" cx="{_n(x)}" cy="{_n(y)}" r="3"/>'


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    return legend([(one.label, one.color, one.dashed) for one in series])


def legend(entries: Iterable[tuple[str, int, bool]]) -> str:
    """(label, colour, dashed) in a line above a picture."""
    keys = (
        f'<span class="key"><i class="s{color % COLORS}{" dashed" if dashed else ""}"></i>{as_html(label)}</span>'
        for label, color, dashed in entries
    )
    return f'<div class="legend">{"".join(keys)}</div>'


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in places)


def _n(value: float) -> str:
    """A tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")
