"""A page as one self-contained HTML file: inline SVG, thumbnails as data URIs, no network, no JavaScript."""

from functools import cache

import jinja2
from markupsafe import Markup

from kerascnn.cli.escaping import one_line
from kerascnn.report import (
    cells,
    class_bars,
    confusion_matrix,
    images,
    markdown,
    ranking_curves,
    reliability_diagram,
    score_chart,
    training_curves,
)
from kerascnn.report.page import ComparisonPage, Gallery, RunPage, SearchPage
from kerascnn.report.page_svg import page_figure
from kerascnn.report.tables import ReportTable

# Pictures in a gallery, maps included: so that a page stays under a megabyte.
PICTURES = 24


def run_html(page: RunPage) -> str:
    """The page of a run."""
    return _environment().get_template("run.html").render(page=page)


def comparison_html(page: ComparisonPage) -> str:
    """The page of a comparison."""
    return _environment().get_template("comparison.html").render(page=page)


def search_html(page: SearchPage) -> str:
    """The page of a search."""
    return _environment().get_template("search.html").render(page=page)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kerascnn.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kinds = (class_bars, confusion_matrix, ranking_curves, reliability_diagram, score_chart, training_curves)
    environment.globals |= {kind.__name__.rpartition(".")[2]: kind for kind in kinds}
    environment.globals |= {"uri": images.uri, "notes": markdown.notes}
    environment.filters |= {"figure": page_figure, "shown": _shown, "has_maps": _has_maps, "laid_out": _laid_out}
    return environment


def _one_line(value: object) -> object:
    """Whatever is printed is printable; markup is ours and stays."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _laid_out(table: ReportTable) -> list[tuple[cells.Shown, ...]]:
    """Rows of cells as text, alike within a column."""
    columns = [
        cells.column([row[i] for row in table.rows], column.unit, aligned=column.unit != "text")
        for i, column in enumerate(table.columns)
    ]
    return list(zip(*columns, strict=True))


def _shown(gallery: Gallery) -> Gallery:
    """As much of a gallery as makes PICTURES pictures."""
    each = max(
        (1 + sum(one.heat is not None for one in exhibit.predictions) for exhibit in gallery.exhibits), default=1
    )
    return Gallery(gallery.title, gallery.exhibits[: max(1, PICTURES // each)])


def _has_maps(gallery: Gallery) -> bool:
    return any(one.heat is not None for exhibit in gallery.exhibits for one in exhibit.predictions)
