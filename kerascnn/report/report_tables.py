"""A table of a page as plain data, for HTML, Markdown and CSV. No TensorFlow."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kerascnn.statistics import Interval

# Units of a column; `cells` formats them.
Unit = Literal["text", "count", "share", "points", "number", "seconds", "milliseconds", "macs", "bytes"]
Cell = str | int | float | Interval | None


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: Its title.
        unit: How its numbers are shown: count (12,345), share (0.9 as 90.00 %), points (a difference of shares, +1.2),
            number, seconds (as 2 min 5 s), milliseconds, macs (multiply-adds as 41.2 M), bytes (as 1.1 MB).
        note: A sentence about the column, shown below the table.
    """

    title: str
    unit: Unit = "text"
    note: str = ""


@dataclass(frozen=True)
class ReportTable:
    """A table of cells, for HTML, Markdown and CSV.

    Args:
        name: Stem of its CSV file: `costs`.
        title: Title above it.
        columns: The columns; the first one names the rows.
        rows: One cell per column each; None if not measured.
        note: A sentence below it: n, seeds, device.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
