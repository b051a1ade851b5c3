"""Numbers as people read them: one row of UNITS for each unit of a column, one function for axes."""

from collections.abc import Callable

from kerascnn.report.page import Cell, Unit
from kerascnn.screen import duration
from kerascnn.statistics import Interval

# unit -> (a number as text without what follows the interval, what follows)
UNITS: dict[Unit, tuple[Callable[[float], str], str]] = {
    "text": (str, ""),
    "count": (lambda n: f"{n:,.0f}", ""),
    "share": (lambda x: f"{x * 100:.2f}", " %"),
    "points": (lambda x: f"{x * 100:+.2f}", " points"),
    "number": (lambda x: f"{x:.4g}", ""),
    "seconds": (duration, ""),
    "milliseconds": (lambda x: f"{x:.2f}" if x < 10 else f"{x:.1f}", " ms"),
    "macs": (lambda x: f"{x / 1e9:,.2f} G" if x >= 1e9 else f"{x / 1e6:,.1f} M", ""),
    "bytes": (lambda x: f"{x / 1e9:,.2f} GB" if x >= 1e9 else f"{x / 1e6:,.1f} MB", ""),
}


def show(cell: Cell, unit: Unit) -> str:
    """A cell as text: `90.80 % [88.85, 92.44]` where it has an interval, a dash where it has nothing."""
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    form, after = UNITS[unit]
    if isinstance(cell, Interval):
        return f"{form(cell.value)}{after} [{form(cell.low)}, {form(cell.high)}]"
    return f"{form(cell)}{after}"


def tick(value: float, unit: Unit) -> str:
    """A number beside an axis: no more digits than it takes."""
    if unit in ("share", "points"):
        return f"{value * 100:.6g} %"
    for size, letter in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.6g}{letter}"
    return f"{value:,.6g}" if abs(value) >= 1000 else f"{value:.6g}"
