"""A table of a page, as plain data: the same in HTML, Markdown and CSV. No TensorFlow."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from kerascnn.statistics import Interval

# How a column's numbers are shown; `cells` has the rules.
Unit = Literal["text", "count", "share", "points", "number", "seconds", "milliseconds", "macs", "bytes"]
Cell = str | int | float | Interval | None


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: Its head.
        unit: How its numbers are shown: count (12,345), share (0.9 as 90.00 %), points (a difference of shares, +1.2),
            number, seconds (as 2 min 5 s), milliseconds, macs (multiply-adds as 41.2 M), bytes (as 1.1 MB).
        note: What the head does not say, one sentence; shown below the table.
    """

    title: str
    unit: Unit = "text"
    note: str = ""


@dataclass(frozen=True)
class ReportTable:
    """Rows of cells; the same in HTML, Markdown and CSV.

    Args:
        name: Stem of its CSV file: `costs`.
        title: Above it.
        columns: The first one names the rows.
        rows: As many cells each as there are columns; None where nothing was measured.
        note: One sentence below: n, seeds, device.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
