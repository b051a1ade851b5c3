"""The settings of matplotlib, and the conversion of pictures to PNG. No pyplot, no global state.

A user's matplotlibrc changes no picture: everything is drawn with matplotlib's defaults and the settings here.
"""

import contextlib
import functools
import io
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from kerascnn.cli.escaping import one_line

INK, FAINT, GRID = "#1f2328", "#59636e", "#e4e8ec"
SERIES = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#7d6608")
RIGHT, WRONG = SERIES[2], "#cf222e"
# Placeholder color -> variable of the style sheet that replaces it in a page, light or dark.
CSS_COLORS = {INK: "var(--ink)", FAINT: "var(--faint)", GRID: "var(--grid)", WRONG: "var(--miss)"} | {
    color: f"var(--s{i})" for i, color in enumerate(SERIES)
}
HOVER = "hover: "  # prefix of the ids of artists whose title appears under the pointer

# DejaVu Sans is part of matplotlib; the others, if installed, have the letters that it lacks (Chinese, Japanese, ...).
FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Droid Sans Fallback",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
)
_OURS = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "axes.grid": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "kerascnn",
    "text.color": INK,
    "text.parse_math": False,  # class names come from users
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
}
# Settings of the process: no picture is drawn by an interactive backend.
_PROCESS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "date.epoch")
# Title and remarks above the picture of a PNG: points, inches per line and per letter, color.
_TITLE, _REMARK = (11, 0.2, 0.088, INK), (8.5, 0.155, 0.068, FAINT)
_MARGIN = 0.06  # inches


# The canvas of a picture: a figure, or a part of one.
Panel = Figure | SubFigure


@dataclass(frozen=True)
class Picture:
    """A picture that can be drawn as SVG for a page, and as PNG for plots/ and TensorBoard.

    Args:
        title: Title above it.
        about: The important values for a reader who cannot see it; a PNG has them below its title.
        size: Width and height in inches, without the title.
        draw: Function that draws it on an empty figure with constrained layout.
        kind: Class of its element in a page.
    """

    title: str
    about: str
    size: tuple[float, float]
    draw: Callable[[Panel], None]
    kind: str = "chart"


@functools.cache
def _settings() -> dict[Any, Any]:
    installed = set(font_manager.get_font_names())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in _PROCESS}
    return defaults | _OURS | {"font.family": [family for family in FAMILIES if family in installed]}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The settings for a figure that is created in this context."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        with matplotlib.rc_context(_settings()):
            yield


def hover(artist: Artist, text: str) -> None:
    """Shows `text` in a page when the pointer is on the artist; a PNG does not change."""
    artist.set_gid(HOVER + one_line(text))


def bare(picture: Picture) -> Figure:
    """Returns the picture without its title."""
    with style():
        figure = Figure(figsize=picture.size, layout="constrained")
        picture.draw(figure)
    return figure


def titled(*pictures: Picture) -> Figure:
    """Returns pictures side by side, each with its title and remarks above it."""
    widths = [picture.size[0] for picture in pictures]
    heads = [_head(picture) for picture in pictures]
    height = max(picture.size[1] for picture in pictures)
    head = max(sum(inches for _, (_, inches, _, _) in lines) for lines in heads) + 2 * _MARGIN
    with style():
        figure = Figure(figsize=(sum(widths), height + head))
        figure.set_layout_engine(ConstrainedLayoutEngine(rect=(0, 0, 1, height / (height + head))))
        panels = figure.subfigures(1, len(pictures), width_ratios=widths, squeeze=False)[0]
        for i, (picture, panel, lines) in enumerate(zip(pictures, panels, heads, strict=True)):
            picture.draw(panel)
            left, top = (sum(widths[:i]) + _MARGIN) / sum(widths), height + head - _MARGIN
            for text, (points, inches, _, color) in lines:
                figure.text(left, top / (height + head), text, va="top", fontsize=points, color=color)
                top -= inches
    return figure


def _head(picture: Picture) -> list[tuple[str, tuple[float, float, float, str]]]:
    """Returns the lines above a picture, and their style."""
    return [
        (line, form)
        for text, form in ((picture.title, _TITLE), (picture.about, _REMARK))
        for line in textwrap.wrap(one_line(text), int((picture.size[0] - 2 * _MARGIN) / form[2]), max_lines=3)
    ]


def png(*pictures: Picture) -> bytes:
    """Returns pictures side by side as PNG; letters that no installed font has become boxes."""
    return saved(titled(*pictures), "png", facecolor="white", metadata={"Software": None})


def saved(figure: Figure, form: str, **options: Any) -> bytes:
    """Returns the file that matplotlib writes for a figure: the same bytes for the same figure."""
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format=form, dpi=100, **options)
    return buffer.getvalue()
