"""Pages of runs and comparisons: self-contained, escaped, small, with the same numbers as Markdown and CSV."""

import csv
import html.parser
import io
import re
import subprocess
import sys

import numpy as np
import pytest

from kerascnn.cli.escaping import one_line
from kerascnn.report import cells, class_bars, confusion_matrix, csv_tables, markdown, score_chart, training_curves
from kerascnn.report.class_bars import ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.html import PICTURES, comparison_html, run_html
from kerascnn.report.page import ComparisonPage, Exhibit, Gallery, RunPage, ShownPrediction, Statement
from kerascnn.report.page_svg import page_figure
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.report_tables import Column, ReportTable
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.statistics import Interval
from kerascnn.statistics.calibration import ReliabilityBin
from tests.report.test_ranking_curves import measured

BAD = "<script>alert(1)</script>|\n#"
SHARE = Interval(0.9, 0.88, 0.92, 1000)
BINS = (ReliabilityBin(0.5, 0.4, 3), ReliabilityBin(0.9, 0.95, 3))


def history(seed, epochs=3):
    return tuple(
        {"epoch": float(e), "loss": 2 / e, "val_loss": 1 / e + seed / 10, "val_accuracy": 1 - 0.5 / e, "lr": 0.1}
        for e in range(1, epochs + 1)
    )


def exhibits(count, side=32, maps=True):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 3, side, side, 3), dtype="uint8")
    return tuple(
        Exhibit(
            BAD,
            BAD,
            image,
            tuple(ShownPrediction(BAD, BAD, 0.5, i == 0, heat if maps else None) for i, heat in enumerate(heats)),
        )
        for image, *heats in images
    )


def comparison(names=(BAD, "bees"), gallery=None, classes=4):
    found = tuple(f"{BAD}{c}" for c in range(classes))
    scores = ReportTable(
        "scores", BAD, (Column("arch"), Column("accuracy", "share")), tuple((n, SHARE) for n in names), BAD
    )
    costs = ReportTable(
        "costs", "Costs", (Column("arch"), Column("MACs", "macs", BAD)), ((names[0], 41e6), (names[1], None))
    )
    return ComparisonPage(
        name=BAD,
        about=BAD,
        verdicts=(Statement(BAD, (BAD,), (BAD,)), Statement("second")),
        scores=scores,
        costs=costs,
        curves=tuple(TrainingCurve(name, {seed: history(seed) for seed in (0, 1)}) for name in names),
        charts=(
            ScoreChart(
                "by_macs", BAD, BAD, "y", tuple(ScoreLine(n, ((1e6, SHARE), (1e7, SHARE))) for n in names), True
            ),
        ),
        classes=ClassBars(BAD, names, tuple(ClassBar(name, 9, (SHARE, None), BAD) for name in found), BAD),
        confusions=tuple(ConfusionMatrix(name, found, np.eye(classes, dtype=int) + 1) for name in names),
        calibrations=tuple(ReliabilityCurve(name, BINS, SHARE) for name in names),
        gallery=gallery or Gallery(BAD, exhibits(2)),
        config=ReportTable("config", "Config", (Column("key"), *map(Column, names)), (("model.arch", *names),)),
        environment=((BAD, BAD),),
        repeat=(BAD,),
    )


def run(**parts):
    scores = ReportTable("scores", "Scores", (Column("score"), Column("test")), (("accuracy", BAD),))
    return RunPage(name=BAD, about="about", verdict=Statement("headline"), scores=scores, **parts)


class Reader(html.parser.HTMLParser):
    """Every tag with its attributes, and the text that a reader sees."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.inside = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" not in self.inside:
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


FULL = {
    "comparison": lambda: comparison_html(comparison()),
    "many classes": lambda: comparison_html(comparison(classes=confusion_matrix.PAGE.counted + 15)),
    "run": lambda: run_html(
        run(
            curve=TrainingCurve("a", {0: history(0)}, 2),
            gallery=Gallery("worst", exhibits(2)),
            confusions=comparison().confusions,
            calibrations=comparison().calibrations,
            classes=comparison().classes,
            ranking=measured(3),
            losses=comparison().scores,
            charts=comparison().charts,
            tables=(comparison().scores,),
        )
    ),
    "bare run": lambda: run_html(run()),
}


@pytest.fixture(scope="module", params=FULL)
def page(request):
    """Each of them, drawn once."""
    return FULL[request.param]()


def test_nothing_in_a_name_is_markup_and_nothing_is_fetched(page):
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "iframe", "object", "embed", "form", "a", "link", "base"}
    bare = re.sub(r"base64,[\w+/=]+", "", page)
    assert not re.findall(r"https?:|//\w|@import|url\((?!#)|<script", bare)
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:image/") for image in reader.all("img"))
    assert one_line(BAD) in "".join(reader.text)
    assert BAD not in "".join(reader.text), "a line break would show"


def test_whoever_cannot_see_a_picture_is_told(page):
    reader = Reader(page)
    assert all(len(image["alt"]) > 10 for image in reader.all("img"))
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 10 for drawing in reader.all("svg"))
    assert [attributes["lang"] for attributes in reader.all("html")] == ["en"]


@pytest.mark.training
@pytest.mark.parametrize("side", [32, 224])
def test_a_page_of_the_worst_photos_stays_under_a_megabyte(side):
    """Noise is what compresses least."""
    page = comparison_html(comparison(gallery=Gallery("g", exhibits(40, side)), classes=30))
    assert len(page.encode()) < 1_000_000
    assert (
        len([image for image in Reader(page).all("img") if "where" in image["alt"] or "image of" in image["alt"]])
        == PICTURES
    )


def test_a_run_shows_as_many_images_as_there_is_room_for():
    page = run_html(run(gallery=Gallery("g", exhibits(40, maps=False))))
    assert len(Reader(page).all("img")) == PICTURES


def test_markdown_has_the_same_tables():
    text = markdown.comparison_markdown(comparison())
    code = [line for line in text.splitlines() if line.startswith("    ")]
    assert code == [f"    {one_line(BAD)}"], "a block of code: nothing in it is markup"
    assert "<script" not in text.replace(code[0], "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [len(re.split(r"(?<!\\)\|", row)) - 2 for row in rows]
    assert cells == [2] * 4 + [2] * 4 + [5] * 6 + [3] * 3, "scores, costs, classes, config"
    assert "90.00 % [88.00, 92.00]" in text


def read(text):
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_the_same_numbers():
    page = comparison()
    head, first, second = read(csv_tables.comparison_csv(page))
    assert head == ["arch", "accuracy", "accuracy low", "accuracy high", "accuracy n", "MACs"]
    assert first == [one_line(BAD), "0.9", "0.88", "0.92", "1000", "4.1e+07"]
    assert second[0] == "bees"
    assert second[-1] == ""
    found = {name: read(text) for name, text in csv_tables.sheets(page).items()}
    assert set(found) == {"scores", "costs", "config", "by_macs", "curves", "classes", "confusion", "calibration"}
    assert len(found["curves"]) == 1 + 2 * 2 * 3
    assert len(found["confusion"]) == 1 + 2 * 16
    assert found["by_macs"][1] == [one_line(BAD), "1e+06", "0.9", "0.88", "0.92", "1000"]


def test_a_name_is_no_formula_of_a_spreadsheet():
    table = ReportTable("t", "t", (Column("=1+1"), Column("n", "count")), (("@SUM(A1)", -3),))
    assert read(csv_tables.table_csv(table)) == [["'=1+1", "n"], ["'@SUM(A1)", "-3"]]


def test_seed_bands_reach_from_the_lowest_to_the_highest_seed():
    curve = TrainingCurve("a", {0: history(0, 3), 1: history(1, 2)})
    band = training_curves.band(curve, "val_loss")
    assert [point[0] for point in band] == [1, 2], "the third epoch lacks a seed"
    np.testing.assert_allclose(band[1], (2, 0.55, 0.5, 0.6))
    with_band, without = (
        page_figure(training_curves.of_archs([TrainingCurve("a", runs)])[1])
        for runs in (curve.runs, {0: history(0, 3)})
    )
    assert "fill: var(--s0); fill-opacity: 0.18" in with_band
    assert "fill-opacity: 0.18" not in without


def test_of_many_classes_the_first_are_drawn():
    rows = tuple(ClassBar(f"class {i}", 9, (SHARE, Interval(0.5, -0.1, 1.2, 9))) for i in range(90))
    drawn = str(page_figure(class_bars.picture(ClassBars("recall", ("a", "b"), rows))))
    assert f"{class_bars.BARS} of 90" in drawn
    assert "class 29" in drawn
    assert "class 30" not in drawn


def test_an_interval_ends_where_shares_do():
    bar = ClassBar("one", 9, (Interval(0.5, -0.1, 1.2, 9),), "F1 0.5")
    wide = str(page_figure(class_bars.picture(ClassBars("recall", ("a",), (bar,)))))
    assert "F1 0.5" in wide, "what is to be said of the class"
    right = max(float(x) for x in re.findall(r" d=\"M (?:[\d.]+) [\d.]+ L ([\d.]+) ", wide))
    assert right <= 0.9 * 72 * 6.4


def test_axes_of_a_confusion_matrix_have_names():
    for classes in (4, confusion_matrix.PAGE.counted + 15):
        (one, *_) = comparison(classes=classes).confusions
        drawn = str(page_figure(confusion_matrix.picture(one)))
        assert ">prediction</text>" in drawn
        assert ">truth (images)</text>" in drawn


def test_a_matrix_of_a_thousand_classes_stays_small():
    """A quarter of a page at most, though every mistake occurs; each pixel is some classes together."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.05, (1000, 1000)) + 40 * np.eye(1000, dtype=int)
    matrix = ConfusionMatrix("test", tuple(f"c{i}" for i in range(1000)), counts)
    assert len(str(page_figure(confusion_matrix.picture(matrix)))) < 250_000
    pixels = confusion_matrix.pixels(np.eye(1000, dtype=int))
    assert pixels.shape == (250, 250, 4)
    assert (np.diagonal(pixels[..., 3]) == 255).all()
    assert pixels[..., 3].sum() == 250 * 255


def test_a_wide_table_scrolls_and_says_so(page):
    """Every table lies in a region of its own that scrolls, by keyboard too; what is cut off has a shadow."""
    assert page.count("<table>") == page.count('<div class="wide" role="region" tabindex="0"')
    assert all("aria-label" in one for one in Reader(page).all("div") if one.get("class") == "wide")
    style = page[page.index(".wide {") :]
    assert "overflow-x: auto" in style[: style.index("}")]
    assert "var(--shadow)" in style[: style.index("}")]


def test_pictures_follow_the_page_s_light_or_dark_ground(page):
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert not re.findall(r"(?:fill|stroke): #\w+", drawn)
    if drawn:
        assert "var(--faint)" in drawn


@pytest.mark.parametrize(
    ("unit", "values", "shown"),
    [
        ("share", [0.9, Interval(0.05, 0.01, 0.1, 9), None], ["90.00 %", "5.00 % [1.00, 10.00]", "-"]),
        ("number", [0.30124, 12.5, -0.1], ["0.30", "12.50", "-0.10"]),
        ("number", [0.30124, 0.02], ["0.3012", "0.0200"]),
        ("number", [12345.6, 7.0], ["12,346", "7"]),
        ("number", [2e-5, 3.1e-4], ["2.00e-05", "3.10e-04"]),
        ("milliseconds", [2.81, 12.3], ["2.8 ms", "12.3 ms"]),
        ("macs", [4.1e9, 41e6], ["4.10 G", "0.04 G"]),
        ("macs", [41e6, 0.3e6], ["41.0 M", "0.3 M"]),
        ("points", [0.012, -0.1], ["+1.20 points", "-10.00 points"]),
        ("count", [1234567, 3], ["1,234,567", "3"]),
        ("number", [0.0, None, "text"], ["0.0", "-", "text"]),
    ],
)
def test_a_column_has_as_many_decimals_everywhere(unit, values, shown):
    assert list(map(str, cells.column(values, unit))) == shown


def test_columns_are_aligned_by_spaces_as_wide_as_digits():
    shown = cells.column([Interval(0.9, 0.05, 0.95, 9), Interval(0.05, -0.01, 0.1, 9)], "share", aligned=True)
    assert [len(one.value) for one in shown] == [7, 7]
    assert [one.interval for one in shown] == ["[\u20075.00, 95.00]", "[\u22121.00, 10.00]"]


def test_whiskers_of_several_lines_at_one_place_stand_beside_each_other():
    at = (10.0, 20.0)
    moved = [score_chart.beside(np.array(at), place, at, log) for log in (False, True) for place in (-0.5, 0.5)]
    for left, right in (moved[:2], moved[2:]):
        assert (left < right).all()
        np.testing.assert_allclose((left + right) / 2, at, rtol=1e-2)


@pytest.mark.training
def test_pages_need_no_tensorflow():
    code = "import sys; from kerascnn.report import csv_tables, html, markdown; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
