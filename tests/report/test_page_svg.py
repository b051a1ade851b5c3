"""matplotlib's SVG as a page takes it: small, in the page's colors and fonts, with titles under the pointer."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from kerascnn.report import class_bars, confusion_matrix, reliability_diagram, score_chart, training_curves
from kerascnn.report.class_bars import ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.drawing import FAINT, SERIES, Picture, hover
from kerascnn.report.page_svg import page_figure
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.statistics import Interval
from kerascnn.statistics.calibration import ReliabilityBin

SHARE = Interval(0.9, 0.88, 0.92, 1000)
ROWS = tuple({"epoch": e, "loss": 2 / e, "val_loss": 2.1 / e, "val_accuracy": 0.5, "lr": 0.1} for e in range(1, 4))
BAD = "<b>&\x1b\n"


def one_of_each():
    """A picture of each kind that a page shows, by the titles under the pointer that it must have."""
    curve = TrainingCurve(BAD, {0: ROWS, 1: tuple(row | {"loss": 0.5} for row in ROWS)})
    chart = ScoreChart("c", BAD, BAD, "y", (ScoreLine(BAD, ((1e6, SHARE), (3e6, SHARE))),), log=True)
    counts = np.array([[3, 1], [0, 2]])
    return {
        "epoch 2: train (augmented) 1.000, val 1.050": training_curves.of_run(curve)[0],
        "epoch 1: <b>&\\x1b\\n 1.250 (0.5000 to 2.000)": training_curves.of_archs([curve])[2],
        "<b>&\\x1b\\n, <b>&\\x1b\\n 1 M: 90.00 % [88.00, 92.00]": score_chart.picture(chart),
        "<b>&\\x1b\\n: recall 90.00 % [88.00, 92.00], 7 images": class_bars.picture(
            ClassBars(BAD, ("recall",), (ClassBar(BAD, 7, (SHARE,), BAD),))
        ),
        "<b>&\\x1b\\n predicted as b: 1 of 4 (25.0%)": confusion_matrix.picture(
            ConfusionMatrix(BAD, (BAD, "b"), counts)
        ),
        "<b>&\\x1b\\n: confidence 90.0%, accuracy 80.0%, n = 12": reliability_diagram.picture(
            [ReliabilityCurve(BAD, (ReliabilityBin(0.9, 0.8, 12),), SHARE)]
        ),
    }


def root(picture):
    """The SVG of a page's figure, as XML."""
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", page_figure(picture), re.DOTALL)[0])


@pytest.mark.parametrize("said", one_of_each())
def test_values_are_found_under_the_pointer(said):
    drawn = root(one_of_each()[said])
    assert said in [title.text for title in drawn.iter("title")]
    for group in drawn.iter("g"):
        if group.find("title") is not None:
            assert group[0].tag == "title", "browsers take the first child"
            assert len(group) > 1, "nothing to point at"


def test_a_place_that_only_the_pointer_finds_is_not_drawn():
    def draw(figure):
        axis = figure.subplots()
        hover(axis.axvspan(0.2, 0.4, alpha=0, linewidth=0), "here")
        axis.axvspan(0.6, 0.8, alpha=0, linewidth=0)

    drawn = root(Picture("a", "", (3, 2), draw))
    (place,) = [path for path in drawn.iter("path") if path.get("class") == "hover"]
    assert place.get("style") is None, "the style sheet says that it is clear and can be pointed at"


def test_no_size_script_or_foreign_font():
    drawn = str(page_figure(Picture("<i>", "about", (3, 2), lambda figure: figure.subplots().set_title("<b>&"))))
    assert "font-family" not in drawn
    assert "&lt;b&gt;&amp;" in drawn
    assert 'aria-label="&lt;i&gt;: about"' in drawn
    assert 'viewBox="0 0 216 144"' in drawn
    assert not re.findall(r"xmlns|ns0:|metadata|http", drawn)


def test_colors_become_the_style_sheets():
    def draw(figure):
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=SERIES[1])
        axis.axhline(0.5, color=FAINT)

    drawn = str(page_figure(Picture("a", "", (3, 2), draw)))
    assert {"var(--s1)", "var(--faint)", "var(--grid)"} <= set(re.findall(r"var\(--\w+\)", drawn))
    assert not re.findall(r"#[0-9a-f]{6}", drawn)


@pytest.mark.parametrize("said", one_of_each())
def test_equal_pictures_are_equal_bytes(said):
    assert page_figure(one_of_each()[said]) == page_figure(one_of_each()[said])


def test_what_is_referred_to_is_there():
    for picture in one_of_each().values():
        drawn = root(picture)
        ids = {element.get("id") for element in drawn.iter()} - {None}
        text = ElementTree.tostring(drawn, encoding="unicode")
        assert set(re.findall(r'(?:url\(|href=")#(\w+)', text)) == ids


def test_coordinates_are_short():
    numbers = [
        n for picture in one_of_each().values() for path in root(picture).iter("path") for n in path.get("d").split()
    ]
    assert max(len(n.partition(".")[2]) for n in numbers) <= 1


@pytest.mark.parametrize("said", one_of_each())
def test_no_color_is_left_that_does_not_follow_the_scheme(said):
    assert not re.findall(r"(?:fill|stroke): #\w+", page_figure(one_of_each()[said]))
