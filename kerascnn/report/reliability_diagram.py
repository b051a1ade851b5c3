"""Reliability diagrams: accuracy against confidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kerascnn.report import cells
from kerascnn.report.axes import SQUARE, frame, hover_point, legend, look, short
from kerascnn.report.drawing import FAINT, Panel, Picture
from kerascnn.statistics import Interval
from kerascnn.statistics.calibration import ReliabilityBin


@dataclass(frozen=True)
class ReliabilityCurve:
    """The calibration of probabilities.

    Args:
        label: The arch or the split.
        bins: Bins of equal mass, by rising confidence.
        ece: Expected calibration error, or None.
        of_labels: Whether bins are of the probabilities of labels, against the share of images that have them.
    """

    label: str
    bins: tuple[ReliabilityBin, ...]
    ece: Interval | None = None
    of_labels: bool = False

    @property
    def axes(self) -> tuple[str, str]:
        """Names of both axes."""
        return ("probability", "share with the label") if self.of_labels else ("confidence", "accuracy")


def picture(curves: Sequence[ReliabilityCurve]) -> Picture:
    """Draws bins of equal mass; below the diagonal confidence is too high."""
    known = [curve for curve in curves if curve.bins]
    x, y = known[0].axes if known else ("confidence", "accuracy")

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label=f"{x} = {y}")
        for i, curve in enumerate(known):
            label = curve.label if curve.ece is None else f"{curve.label} (ECE {cells.show(curve.ece, 'share')})"
            axis.plot(*zip(*(one[:2] for one in curve.bins), strict=True), label=short(label, 60), **look(i))
            for one in curve.bins:
                shares = f"{x} {one.confidence:.1%}, {y} {one.accuracy:.1%}"
                hover_point(axis, one.confidence, one.accuracy, f"{curve.label}: {shares}, n = {one.n:,}")
        low = min((min(one[:2]) for curve in known for one in curve.bins), default=0.0)
        low = max(0.0, math.floor(low * 10) / 10)
        axis.set_xlim(low, 1.02)
        axis.set_ylim(low, 1.02)
        frame(axis, x, y, "share", "share")
        legend(figure, *axis.get_legend_handles_labels(), columns=1)

    return Picture(f"{y.capitalize()} by {x}, bins of equal mass", "; ".join(map(_gap, known)), SQUARE, draw)


def _gap(curve: ReliabilityCurve) -> str:
    """Returns the widest gap as text."""
    one = max(curve.bins, key=lambda found: abs(found.confidence - found.accuracy))
    x, y = curve.axes
    return f"{curve.label}: widest gap at {x} {one.confidence:.1%}, {y} {one.accuracy:.1%} (n = {one.n:,})"
