"""Formats numbers for readers: alike within a column, with no more digits than needed beside an axis."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kerascnn.cli.screen import duration
from kerascnn.report.report_tables import Cell, Unit
from kerascnn.statistics import Interval

FIGURE_SPACE, MINUS = "\N{FIGURE SPACE}", "\N{MINUS SIGN}"  # as wide as a digit


class Shown(NamedTuple):
    """A cell as text: its number, and its interval if it has one."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".rstrip()


def column(cells: Sequence[Cell], unit: Unit, aligned: bool = False) -> list[Shown]:
    """Returns the cells of a column with the same number of decimals and the same scale.

    Args:
        cells: Numbers, intervals, text; None is shown as a dash.
        unit: Unit of the numbers.
        aligned: Whether figure spaces align the ends of numbers and intervals.
    """
    numbers = [abs(n) for cell in cells for n in _numbers(cell) if math.isfinite(n)]
    form, after = _form(unit, numbers)
    parts = [_parts(cell, form, after) for cell in cells]
    if not aligned:
        return [_joined(*part) for part in parts]
    widths = [max((len(part[i]) for part in parts), default=0) for i in range(3)]
    return [_joined(*_padded(cell, part, widths)) for cell, part in zip(cells, parts, strict=True)]


def _padded(cell: Cell, part: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Pads a number; a hyphen is narrower than a digit, a minus sign is as wide."""
    signed = [text.replace("-", MINUS) if _numbers(cell) else text for text in part]
    return [text and text.rjust(width, FIGURE_SPACE) for text, width in zip(signed, widths, strict=True)]


def _numbers(cell: Cell) -> tuple[float, ...]:
    if isinstance(cell, Interval):
        return (cell.value, cell.low, cell.high)
    return (float(cell),) if isinstance(cell, int | float) else ()


def _form(unit: Unit, numbers: Sequence[float]) -> tuple[Callable[[float], str], str]:
    """Returns a function that formats a number of a column, and the suffix of a value."""
    most = max(numbers, default=0.0)
    least = min((n for n in numbers if n), default=most)
    if unit == "share":
        return (lambda x: f"{x * 100:.2f}"), " %"
    if unit == "points":
        return (lambda x: f"{x * 100:+.2f}"), " points"
    if unit == "milliseconds":
        return (lambda x: f"{x:,.{2 if most < 10 else 1}f}"), " ms"
    if unit in ("macs", "bytes"):
        large, after = most >= 1e9 and least >= 1e7, "B" if unit == "bytes" else ""
        size, letter = (1e9, "G") if large else (1e6, "M")
        return (lambda x: f"{x / size:,.{2 if large else 1}f} {letter}{after}"), ""
    if unit == "seconds":
        return duration, ""
    if unit == "number" and most and most < 1e-3:  # rates, p
        return (lambda x: f"{x:.2e}"), ""
    decimals = 0 if unit == "count" else min(max(3 - math.floor(math.log10(most)), 0), 4) if most else 1
    return (lambda x: f"{x:,.{decimals}f}"), ""


def _parts(cell: Cell, form: Callable[[float], str], after: str) -> tuple[str, str, str]:
    """Returns value, low and high; low and high are empty without an interval."""
    if cell is None:
        return "-", "", ""
    if isinstance(cell, str):
        return cell, "", ""
    if isinstance(cell, Interval):
        return f"{form(cell.value)}{after}", form(cell.low), form(cell.high)
    return f"{form(cell)}{after}", "", ""


def _joined(value: str, low: str, high: str) -> Shown:
    return Shown(value, f"[{low}, {high}]" if low else "")


def show(cell: Cell, unit: Unit) -> str:
    """Returns a single cell as text: `90.80 % [88.85, 92.44]` with an interval, a dash without a value."""
    return str(column([cell], unit)[0])


def tick(value: float, unit: Unit) -> str:
    """Returns a number beside an axis, with no more digits than needed."""
    if unit in ("share", "points"):
        return f"{value * 100:.6g} %"
    for size, letter in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= size:
            return f"{value / size:.6g}{letter}"
    return f"{value:,.6g}" if abs(value) >= 1000 else f"{value:.6g}"
