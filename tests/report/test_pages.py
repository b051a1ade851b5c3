"""Pages of runs and comparisons: self-contained, escaped, small, with the same numbers as Markdown and CSV."""

import csv
import html.parser
import io
import re
import subprocess
import sys

import numpy as np
import pytest

from kerascnn.escaping import one_line
from kerascnn.report import charts, markdown, sheets, svg
from kerascnn.report.html import PICTURES, comparison_html, run_html
from kerascnn.report.page import (
    Answer,
    BarRow,
    Bars,
    Bin,
    Calibration,
    Chart,
    Column,
    ComparisonPage,
    Confusion,
    Curve,
    Exhibit,
    Gallery,
    Line,
    RunPage,
    Statement,
    Table,
)
from kerascnn.statistics import Interval

BAD = "<script>alert(1)</script>|\n#"
SHARE = Interval(0.9, 0.88, 0.92, 1000)


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
            tuple(Answer(BAD, BAD, 0.5, i == 0, heat if maps else None) for i, heat in enumerate(heats)),
        )
        for image, *heats in images
    )


def comparison(names=(BAD, "bees"), gallery=None, classes=4):
    found = tuple(f"{BAD}{c}" for c in range(classes))
    scores = Table("scores", BAD, (Column("arch"), Column("accuracy", "share")), tuple((n, SHARE) for n in names), BAD)
    costs = Table("costs", "Costs", (Column("arch"), Column("MACs", "macs", BAD)), ((names[0], 41e6), (names[1], None)))
    return ComparisonPage(
        name=BAD,
        about=BAD,
        verdicts=(Statement(BAD, (BAD,), (BAD,)), Statement("second")),
        scores=scores,
        costs=costs,
        curves=tuple(Curve(name, {seed: history(seed) for seed in (0, 1)}) for name in names),
        charts=(Chart("by_macs", BAD, BAD, "y", tuple(Line(n, ((1e6, SHARE), (1e7, SHARE))) for n in names), True),),
        classes=Bars(BAD, names, tuple(BarRow(name, 9, (SHARE, None), BAD) for name in found), BAD),
        confusions=tuple(Confusion(name, found, np.eye(classes, dtype=int) + 1) for name in names),
        calibrations=tuple(Calibration(name, (Bin(0.5, 0.4, 3), Bin(0.9, 0.95, 3)), SHARE) for name in names),
        gallery=gallery or Gallery(BAD, exhibits(2)),
        config=Table("config", "Config", (Column("key"), *map(Column, names)), (("model.arch", *names),)),
        environment=((BAD, BAD),),
        repeat=(BAD,),
    )


def run(**parts):
    scores = Table("scores", "Scores", (Column("score"), Column("test")), (("accuracy", BAD),))
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
    "many classes": lambda: comparison_html(comparison(classes=charts.DRAWN + 15)),
    "run": lambda: run_html(
        run(
            curve=Curve("a", {0: history(0)}, 2),
            gallery=Gallery("worst", exhibits(2)),
            confusions=comparison().confusions,
            calibrations=comparison().calibrations,
            classes=comparison().classes,
            charts=comparison().charts,
            tables=(comparison().scores,),
        )
    ),
    "bare run": lambda: run_html(run()),
}


@pytest.mark.parametrize("make", FULL.values(), ids=FULL)
def test_nothing_in_a_name_is_markup_and_nothing_is_fetched(make):
    page = make()
    reader = Reader(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "iframe", "object", "embed", "form", "a", "link", "base"}
    bare = re.sub(r"base64,[\w+/=]+", "", page)
    assert not re.findall(r"https?:|//\w|@import|url\(|<script", bare)
    assert not [name for _, attributes in reader.tags for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:image/") for image in reader.all("img"))
    assert one_line(BAD) in "".join(reader.text)
    assert BAD not in "".join(reader.text), "a line break would show"


@pytest.mark.parametrize("make", FULL.values(), ids=FULL)
def test_whoever_cannot_see_a_picture_is_told(make):
    reader = Reader(make())
    assert all(len(image["alt"]) > 10 for image in reader.all("img"))
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 10 for drawing in reader.all("svg"))
    assert [attributes["lang"] for attributes in reader.all("html")] == ["en"]


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
    assert markdown.run_markdown(run()).count("\n|") == 3


def read(text):
    return list(csv.reader(io.StringIO(text)))


def test_csv_has_the_same_numbers():
    page = comparison()
    head, first, second = read(sheets.comparison_csv(page))
    assert head == ["arch", "accuracy", "accuracy low", "accuracy high", "accuracy n", "MACs"]
    assert first == [one_line(BAD), "0.9", "0.88", "0.92", "1000", "4.1e+07"]
    assert second[0] == "bees"
    assert second[-1] == ""
    found = {name: read(text) for name, text in sheets.sheets(page).items()}
    assert set(found) == {"scores", "costs", "config", "by_macs", "curves", "classes", "confusion", "calibration"}
    assert len(found["curves"]) == 1 + 2 * 2 * 3
    assert len(found["confusion"]) == 1 + 2 * 16
    assert found["by_macs"][1] == [one_line(BAD), "1e+06", "0.9", "0.88", "0.92", "1000"]


def test_a_name_is_no_formula_of_a_spreadsheet():
    table = Table("t", "t", (Column("=1+1"), Column("n", "count")), (("@SUM(A1)", -3),))
    assert read(sheets.table_csv(table)) == [["'=1+1", "n"], ["'@SUM(A1)", "-3"]]


def test_seed_bands_reach_from_the_lowest_to_the_highest_seed():
    curve = Curve("a", {0: history(0, 3), 1: history(1, 2)})
    band = charts._band(curve, "val_loss")
    assert [point[0] for point in band] == [1, 2], "the third epoch lacks a seed"
    np.testing.assert_allclose(band[1], (2, 0.55, 0.5, 0.6))
    assert 'class="band s0"' in list(charts.curves([curve]))[1]


@pytest.mark.parametrize(
    ("axis", "values", "expected"),
    [
        (svg.Axis("x"), [0.0, 1.0], [0, 0.5, 1]),
        (svg.Axis("x", whole=True), [1.0, 2.0], [1, 2]),
        (svg.Axis("x"), [3.0, 3.0], [2.8, 3, 3.2]),
        (svg.Axis("x", log=True), [0.9, 110.0], [1, 10, 100]),
        (svg.Axis("x", log=True), [40.0, 40.1], [38, 40, 42, 44]),
        (svg.Axis("x", "share", low=0.0, high=1.0), [0.3], [0, 0.5, 1]),
        (svg.Axis("x"), [float("nan"), 5.0, 6.0], [5, 5.5, 6]),
    ],
)
def test_ticks_are_round_and_inside(axis, values, expected):
    scale = svg.Scale(axis, values, 0, 100)
    assert scale.ticks() == expected
    assert all(-1 <= scale(tick) <= 101 for tick in scale.ticks())


def test_of_many_classes_the_first_are_drawn():
    rows = tuple(BarRow(f"class {i}", 9, (SHARE, Interval(0.5, -0.1, 1.2, 9))) for i in range(90))
    drawn = str(charts.bars(Bars("recall", ("a", "b"), rows)))
    assert f"{charts.BARS} of 90" in drawn
    assert drawn.count('<path class="bar') == 2 * charts.BARS
    assert "class 29" in drawn
    assert "class 30" not in drawn
    assert "H348.0" in drawn, "an interval ends where shares do"


def test_pages_need_no_tensorflow():
    code = "import sys; from kerascnn.report import html, markdown, sheets; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
