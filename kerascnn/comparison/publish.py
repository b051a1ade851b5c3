"""Publishes a conclusion: on the screen, as CSV and Markdown, as a page."""

import shlex
from collections.abc import Sequence

from kerascnn.cli.screen import Screen
from kerascnn.comparison.compare_config import Compare
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.comparison.comparison_page import page
from kerascnn.comparison.conclude import Conclusion, conclude
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.summary_lines import lines
from kerascnn.report import csv_tables, html, markdown
from kerascnn.runs import shown_command
from kerascnn.statistics.looks import PlannedLook


def publish(
    entries: Sequence[Entry],
    compare: Compare,
    seeds: int,
    directory: ComparisonDirectory,
    screen: Screen,
    lost: Sequence[str] = (),
    look: PlannedLook | None = None,
) -> Conclusion:
    """Concludes, prints the result, and writes the tables and the report."""
    with screen.phase("resampling the runs' scores"):
        found = conclude(entries, compare, seeds, lost, look)
    for line in lines(found):
        screen.say(line)
    with screen.phase("writing tables and report.html"):
        shown = page(found, directory.name, _repeat(entries))
        directory.write_tables(
            csv_tables.comparison_csv(shown), markdown.comparison_markdown(shown), csv_tables.sheets(shown)
        )
        directory.write_report(html.comparison_html(shown))
    screen.say()
    screen.say(f"report  {directory.report_file}")
    screen.say(f"tables  {directory.table_file}, {directory.markdown_file.name}, {directory.tables.name}/")
    return found


def _repeat(entries: Sequence[Entry]) -> list[str]:
    """Returns the command of the comparison, and those of its runs."""
    runs = [run for entry in entries for run in entry.runs.values()]
    return [
        shown_command(),
        *(f"python -m kerascnn.fit --config {shlex.quote(str(run.config_file))}" for run in runs),
    ]
