"""Pictures of single classes: bars of scores with their intervals, confusion matrices."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter

from kerascnn.report import cells, drawing
from kerascnn.report.charts import short
from kerascnn.report.drawing import FAINT, INK, MISS, SERIES
from kerascnn.report.page import BarRow, Bars, Confusion

# Up to this many classes a cell of the matrix has its count, and each row its name; above that a picture shows the pattern.
DRAWN = 20
# More pixels a side than this make a page heavy and show nothing more.
PIXELS = 250
# More bars than this nobody reads: the first ones are shown.
BARS = 30
HIT = SERIES[0]
BAR = 0.75  # of a bar: its whisker is seen on it


def bars(found: Bars) -> Markup:
    """A bar for each class and series, from 0 to 100 %, with its interval, and what is to be said of the class."""
    rows, title, count = found.rows[:BARS], found.title, len(found.series)
    if len(found.rows) > BARS:
        title = f"{title} ({BARS} of {len(found.rows)} classes; the tables have all)"
    thick = 0.8 / count
    with drawing.style():
        figure = Figure(figsize=(5.4, 0.9 + len(rows) * (0.13 + 0.15 * count)), layout="constrained")
        axis = figure.subplots()
        keys = []
        for i, name in enumerate(found.series):
            known = [(place, row.values[i]) for place, row in enumerate(rows)]
            points = [(place + (i - (count - 1) / 2) * thick, v) for place, v in known if v is not None]
            if points:
                _bars(axis, points, SERIES[i % len(SERIES)], thick * 0.88)
            keys.append(Patch(color=SERIES[i % len(SERIES)], alpha=BAR, linewidth=0, label=short(name, 30)))
        _bar_axis(axis, rows)
        figure.legend(
            handles=keys,
            loc="outside upper left",
            ncols=min(count, 3),
            fontsize=9,
            labelcolor=FAINT,
            handlelength=1.2,
            borderpad=0,
        )
    return drawing.page_figure(figure, title, _worst(rows, found.series), "bars")


def _bars(axis: Axes, points: Sequence[tuple[float, tuple]], color: str, height: float) -> None:
    places = [place for place, _ in points]
    value, low, high = (np.clip([interval[k] for _, interval in points], 0, 1) for k in range(3))
    whiskers = np.maximum(np.stack([value - low, high - value]), 0)
    axis.barh(places, value, height, color=color, alpha=BAR)
    _, caps, _ = axis.errorbar(
        value, places, xerr=whiskers, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5, capthick=1.1
    )
    for cap in caps:
        cap.set_markerfacecolor(INK)


def _bar_axis(axis: Axes, rows: Sequence[BarRow]) -> None:
    axis.set_xlim(0, 1)
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.set_yticks(range(len(rows)), [f"{short(row.name, 20)} ({row.n:,})" for row in rows], color=INK, fontsize=9)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: cells.tick(value, "share")))
    axis.grid(True, axis="x")
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=9)
    if any(row.note for row in rows):
        notes = axis.secondary_yaxis("right")
        notes.set_yticks(range(len(rows)), [short(row.note, 32) for row in rows], fontsize=9)
        notes.spines[:].set_visible(False)
        notes.tick_params(length=0, labelcolor=FAINT)


def _worst(rows: Iterable[BarRow], series: Sequence[str]) -> str:
    said = []
    for i, name in enumerate(series):
        known = [(value.value, row.name) for row in rows if (value := row.values[i]) is not None]
        if known:
            said.append(f"{name} lowest for {min(known)[1]} ({cells.show(min(known)[0], 'share')})")
    return "; ".join(said)


def confusion(found: Confusion) -> Markup:
    """Rows are the truth, columns the predictions; colour is the share of the row, mistakes in another colour."""
    counts, classes = found.counts, len(found.class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right, total = int(np.trace(counts)), int(counts.sum())
    over = f", {found.seeds} seeds together" if found.seeds > 1 else ""
    title = f"{found.label}: {right:,} of {total:,} right{over}"
    with drawing.style():
        side = float(np.interp(classes, [2, 10, DRAWN], [2.2, 4.1, 5.4]))
        figure = Figure(figsize=(side + 1.4, side + 1.2), layout="constrained")
        axis = figure.subplots()
        if classes <= DRAWN:
            _cells(axis, counts, share)
        else:
            axis.imshow(_pixels(counts), interpolation="none", extent=(-0.5, classes - 0.5, classes - 0.5, -0.5))
        axis.set_xlim(-0.5, classes - 0.5)
        axis.set_ylim(classes - 0.5, -0.5)
        axis.set_aspect("equal")
        _name_axes(axis, found.class_names, counts.sum(axis=1))
    return drawing.page_figure(figure, title, "; ".join(mistakes(found)) or "no mistakes", "matrix")


def _cells(axis: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    size = float(np.interp(len(counts), [2, 10, DRAWN], [12, 9.5, 6]))
    size -= max(0, len(f"{counts.max()}") - 3) * size / 8
    for row, column in zip(*np.nonzero(counts), strict=True):
        # The square root makes rare mistakes visible.
        depth = math.sqrt(share[row, column]) * 0.88 + 0.08
        color = HIT if row == column else MISS
        axis.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=color, alpha=depth, linewidth=0))
        ink = "#ffffff" if depth > 0.6 else INK
        axis.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=size, color=ink)


def _pixels(counts: np.ndarray) -> np.ndarray:
    """RGBA in 0-255, clear where nothing was predicted; beyond PIXELS classes neighbors share a pixel."""
    edges = np.arange(0, len(counts), math.ceil(len(counts) / PIXELS))
    counts = np.add.reduceat(np.add.reduceat(counts, edges, axis=0), edges, axis=1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    color = np.where(np.eye(len(share), dtype=bool)[..., None], _rgb(HIT), _rgb(MISS))
    depth = np.sqrt(share)[..., None] * 255
    return np.concatenate([np.broadcast_to(color, (*share.shape, 3)), depth], axis=-1).astype("uint8")


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def _name_axes(axis: Axes, class_names: Sequence[str], images: np.ndarray) -> None:
    classes = len(class_names)
    places = range(0, classes, math.ceil(classes / DRAWN))
    size = float(np.interp(classes, [10, DRAWN], [9, 7.5]))
    names = [short(class_names[c], 16) for c in places]
    axis.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=size, color=INK)
    rows = [f"{name} ({images[c]:,})" for name, c in zip(names, places, strict=True)]
    axis.set_yticks(places, rows, fontsize=size, color=INK)
    axis.set_xlabel("prediction", fontsize=10)
    axis.set_ylabel("truth (images)", fontsize=10)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(True)


def mistakes(found: Confusion, most: int = 5) -> list[str]:
    """The most frequent mistakes in words."""
    wrong = found.counts - np.diag(np.diag(found.counts))
    names, images_of = found.class_names, found.counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(names)) for index in order]
    return [f"{names[t]} predicted as {names[a]}: {wrong[t, a]:,} of {images_of[t]:,}" for t, a in pairs if wrong[t, a]]
