"""Words and lines of pages and pictures stand out from what is behind them, on a light and on a dark page (WCAG 2.1, 1.4)."""

import re
from pathlib import Path

import numpy as np
import pytest

from kerascnn.report import class_bars, confusion_matrix, drawing

STYLE = (Path(drawing.__file__).parent / "templates/style.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--(\w+): (#[0-9a-f]+)", part)) for part in re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
)
SCHEMES = {"light": LIGHT, "dark": DARK}
TEXT, GRAPHIC = 4.5, 3.0


def rgb(color):
    color = color.removeprefix("#")
    color = color if len(color) == 6 else "".join(2 * digit for digit in color)
    return np.array([int(color[i : i + 2], 16) for i in (0, 2, 4)]) / 255


def luminance(color):
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def over(ground, color, opacity):
    return opacity * color + (1 - opacity) * ground


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_words_and_lines_on_the_page(scheme):
    ground, raised = rgb(scheme["ground"]), rgb(scheme["raised"])
    for name in ("ink", "faint", "right", "wrong"):
        assert contrast(rgb(scheme[name]), ground) >= TEXT, name
        assert contrast(rgb(scheme[name]), raised) >= TEXT, name
    for name in ("miss", *(f"s{i}" for i in range(len(drawing.SERIES)))):
        assert contrast(rgb(scheme[name]), ground) >= GRAPHIC, name


def test_light_and_dark_have_the_same_colors_and_pictures_have_the_light_ones():
    assert set(LIGHT) == set(DARK)
    assert {f"var(--{name})" for name in LIGHT} >= set(drawing.CSS_COLORS.values())
    for color, variable in drawing.CSS_COLORS.items():
        assert LIGHT[variable.removeprefix("var(--").removesuffix(")")] == color


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_count_on_its_cell(scheme):
    ground, ink = rgb(scheme["ground"]), rgb(scheme["ink"])
    for name in ("s0", "miss"):
        for depth in confusion_matrix.depth(np.linspace(0, 1, 21)):
            assert contrast(ink, over(ground, rgb(scheme[name]), depth)) >= TEXT, (name, depth)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_bars_on_the_page_and_whiskers_on_bars(scheme):
    ground, ink = rgb(scheme["ground"]), rgb(scheme["ink"])
    for i in range(len(drawing.SERIES)):
        bar = over(ground, rgb(scheme[f"s{i}"]), class_bars.SOLID)
        assert contrast(bar, ground) >= GRAPHIC
        assert contrast(ink, bar) >= GRAPHIC


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_pixels_of_a_large_matrix_are_seen(scheme):
    """They are an image: their colors do not follow the scheme."""
    for color in (confusion_matrix.HIT, drawing.WRONG):
        assert contrast(rgb(color), rgb(scheme["ground"])) >= GRAPHIC
