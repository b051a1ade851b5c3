"""The one place where matplotlib's settings are fixed and its figures become PNG or SVG. No pyplot, no global state.

Settings of a user's matplotlibrc change no picture: everything is drawn under matplotlib's own defaults and ours.
"""

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib import font_manager
from matplotlib.figure import Figure

from kerascnn.cli.escaping import as_html

INK, FAINT, GRID = "#1f2328", "#59636e", "#e4e8ec"
SERIES = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#7d6608")
MISS = "#cf222e"
# A picture in a page follows the page's light or dark ground: its colours become the style sheet's.
_CSS = {INK: "--ink", FAINT: "--faint", GRID: "--grid", MISS: "--miss"} | {c: f"--s{i}" for i, c in enumerate(SERIES)}

# DejaVu Sans travels with matplotlib; the others, where they are installed, hold what it lacks (Chinese, Japanese, ...).
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


# Of the process, not of a picture: none is drawn by a backend with windows.
_PROCESS = ("backend", "backend_fallback", "interactive", "toolbar", "timezone", "date.epoch")


@functools.cache
def _settings() -> dict[Any, Any]:
    installed = set(font_manager.get_font_names())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        defaults = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in _PROCESS}
    return defaults | _OURS | {"font.family": [family for family in FAMILIES if family in installed]}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Our settings alone, for the figure that is made inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", matplotlib.MatplotlibDeprecationWarning)
        with matplotlib.rc_context(_settings()):
            yield


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes; a letter that no installed font has becomes a box."""
    return _saved(figure, "png", facecolor="white", metadata={"Software": None})


def _saved(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        figure.savefig(buffer, format=form, dpi=100, **options)
    return buffer.getvalue()


def page_figure(figure: Figure, title: str, about: str, kind: str = "chart") -> Markup:
    """A figure of a page: its title as text above an SVG that follows the page's colours, fonts and width.

    Args:
        figure: Drawn with the colours above.
        title: Above the picture.
        about: What a reader who cannot see it is told.
        kind: The class of the figure's element.
    """
    alt = as_html(f"{title}: {about}" if about else title)
    return Markup(f'<figure class="{kind}"><figcaption>{as_html(title)}</figcaption>{_svg(figure, alt)}</figure>')


def _svg(figure: Figure, alt: str) -> str:
    text = _saved(figure, "svg", transparent=True, metadata={"Date": None, "Creator": None}).decode()
    body = re.search(r"<svg[^>]*?viewBox=\"([^\"]*)\"[^>]*>(.*)</svg>", text, re.DOTALL)
    if body is None:
        raise ValueError("matplotlib wrote no SVG")
    box, drawn = body.groups()
    drawn = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>|<!--.*?-->", "", drawn, flags=re.DOTALL
    )
    drawn = re.sub(r'(<g|<text) id="[^"]*"', r"\1", drawn)  # numbered in each figure: in a page they would repeat
    drawn = re.sub(r'font: ([\d.]+px) [^;"]*', r"font-size: \1", drawn)  # the page's own fonts
    drawn = re.sub(r'; font-family: [^;"]*| transform="rotate\(-0 [^"]*"', "", drawn)
    drawn = re.sub(r"#[0-9a-f]{6}\b", lambda found: f"var({_CSS[found[0]]})" if found[0] in _CSS else found[0], drawn)
    drawn = drawn.replace("xlink:href", "href")
    # A tenth of a unit is less than a pixel's fifth.
    drawn = re.sub(r' (d|x|y)="([^"]*)"', lambda found: f' {found[1]}="{_rounded(found[2])}"', drawn)
    drawn = re.sub(r"\s*\n\s*", "\n", drawn).strip()
    return f'<svg viewBox="{box}" role="img" aria-label="{alt}">\n{drawn}\n</svg>'


def _rounded(path: str) -> str:
    return re.sub(
        r"\s*\n\s*", " ", re.sub(r"-?\d+\.\d{2,}", lambda n: f"{float(n[0]):.1f}".removesuffix(".0"), path)
    ).strip()
