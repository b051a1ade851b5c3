"""Pages as self-contained HTML files: inline SVG, thumbnails as data URIs, no network, no JavaScript."""

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
    risk_coverage,
    score_chart,
    training_curves,
)
from kerascnn.report.page import AuditPage, ComparisonPage, FoldsPage, Gallery, NeighborsPage, RunPage, SearchPage
from kerascnn.report.page_svg import page_figure
from kerascnn.report.report_tables import ReportTable

# Largest number of pictures in a gallery, maps included, so that a page is smaller than a megabyte.
PICTURES = 24


def run_html(page: RunPage) -> str:
    """Returns the page of a run."""
    return _environment().get_template("run.html").render(page=page)


def comparison_html(page: ComparisonPage) -> str:
    """Returns the page of a comparison."""
    return _environment().get_template("comparison.html").render(page=page)


def search_html(page: SearchPage) -> str:
    """Returns the page of a search."""
    return _environment().get_template("search.html").render(page=page)


def folds_html(page: FoldsPage) -> str:
    """Returns the page of a cross-validation."""
    return _environment().get_template("folds.html").render(page=page)


def audit_html(page: AuditPage) -> str:
    """Returns the page of an audit."""
    return _environment().get_template("audit.html").render(page=page)


def neighbors_html(page: NeighborsPage) -> str:
    """Returns the page of images and those that resemble them."""
    return _environment().get_template("neighbors.html").render(page=page)


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
    kinds = (
        class_bars,
        confusion_matrix,
        ranking_curves,
        reliability_diagram,
        risk_coverage,
        score_chart,
        training_curves,
    )
    environment.globals |= {kind.__name__.rpartition(".")[2]: kind for kind in kinds}
    environment.globals |= {"uri": images.uri, "notes": markdown.notes}
    environment.filters |= {"figure": page_figure, "shown": _shown, "has_maps": _has_maps, "laid_out": _laid_out}
    return environment


def _one_line(value: object) -> object:
    """Escapes unprintable characters; our own markup stays."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _laid_out(table: ReportTable) -> list[tuple[cells.Shown, ...]]:
    """Returns rows of cells as text, alike within a column."""
    columns = [
        cells.column([row[i] for row in table.rows], column.unit, aligned=column.unit != "text")
        for i, column in enumerate(table.columns)
    ]
    return list(zip(*columns, strict=True))


def _shown(gallery: Gallery) -> Gallery:
    """Returns the part of a gallery with up to PICTURES pictures."""
    each = max(
        (1 + sum(one.heat is not None for one in exhibit.predictions) for exhibit in gallery.exhibits), default=1
    )
    return Gallery(gallery.title, gallery.exhibits[: max(1, PICTURES // each)])


def _has_maps(gallery: Gallery) -> bool:
    return any(one.heat is not None for exhibit in gallery.exhibits for one in exhibit.predictions)
