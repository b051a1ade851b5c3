"""The texts and tables of a page as GitHub Markdown; pictures are only in the HTML page."""

from collections.abc import Iterator

from kerascnn.cli.escaping import as_markdown, one_line
from kerascnn.report import cells
from kerascnn.report.csv_tables import bars_table
from kerascnn.report.page import ComparisonPage
from kerascnn.report.report_tables import Cell, ReportTable


def comparison_markdown(page: ComparisonPage) -> str:
    """Returns the verdicts, then all tables."""
    out = [f"# {as_markdown(page.name)}", "", as_markdown(page.about), ""]
    for statement in page.verdicts:
        words = " ".join(as_markdown(sentence) for sentence in statement.sentences)
        out += [f"**{as_markdown(statement.headline)}** {words}".rstrip(), ""]
        out += [f"- {as_markdown(detail)}" for detail in statement.details] + [""] * bool(statement.details)
    classes = bars_table(page.classes) if page.classes is not None else None
    for table in (page.scores, page.costs, classes, *page.tables, page.config):
        if table is not None:
            out += [*table_markdown(table), ""]
    if page.repeat:
        out += ["## How to repeat it", "", *(f"    {one_line(command)}" for command in page.repeat), ""]
    out += [f"- {as_markdown(what)}: {as_markdown(value)}" for what, value in page.environment]
    return "\n".join(out).rstrip() + "\n"


def table_markdown(table: ReportTable) -> Iterator[str]:
    """Returns a heading, the table and its notes."""
    yield f"## {as_markdown(table.title)}"
    yield ""
    yield _row([as_markdown(column.title) for column in table.columns])
    yield "|" + "|".join("---" if column.unit == "text" else "--:" for column in table.columns) + "|"
    columns = [cells.column([row[i] for row in table.rows], column.unit) for i, column in enumerate(table.columns)]
    for i, row in enumerate(table.rows):
        yield _row([_cell(cell, column[i]) for cell, column in zip(row, columns, strict=True)])
    if words := notes(table):
        yield ""
        yield " ".join(as_markdown(word) for word in words)


def notes(table: ReportTable) -> list[str]:
    """Returns the notes of a table and its columns."""
    said = [table.note, *(f"{column.title}: {column.note}" for column in table.columns if column.note)]
    return [note if note.endswith(".") else f"{note}." for note in said if note]


def _cell(cell: Cell, shown: cells.Shown) -> str:
    """Escapes names; numbers, which have no meaning in Markdown, stay readable in the source."""
    return as_markdown(cell) if isinstance(cell, str) else str(shown)


def _row(texts: list[str]) -> str:
    return f"| {' | '.join(text or ' ' for text in texts)} |"
