"""Risk-coverage curves: the error of the most certain predictions against their share of the images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerascnn.report.axes import SQUARE, frame, legend, look, short
from kerascnn.report.drawing import Panel, Picture, hover
from kerascnn.statistics import selective

# Largest number of points of a drawn line.
POINTS = 400


@dataclass(frozen=True)
class RiskCurve:
    """The curve of a split.

    Args:
        label: The split.
        coverage: Shares of the images, rising.
        risk: Share of wrong predictions among the most certain images of each share.
        area: Area under the curve.
        n: Images.
    """

    label: str
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    area: float
    n: int


def measure(label: str, certainty: np.ndarray, right: np.ndarray) -> RiskCurve:
    """Returns the curve of predictions with these certainties [n], and whether each is right, bool [n]."""
    found = selective.curve(certainty, right)
    kept = np.unique(np.linspace(0, len(found.risk) - 1, min(POINTS, len(found.risk))).astype(int))
    area = float(selective.areas(selective.keys(certainty, right)[None])[0])
    return RiskCurve(label, tuple(found.coverage[kept].tolist()), tuple(found.risk[kept].tolist()), area, len(right))


def picture(curves: Sequence[RiskCurve]) -> Picture:
    """Draws the error of the most certain predictions; a line that stays low to the right answers more images."""

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for i, curve in enumerate(curves):
            style = {key: value for key, value in look(i).items() if not key.startswith("marker")}
            label = f"{short(curve.label, 40)} (area {curve.area:.2%})"
            (line,) = axis.plot(curve.coverage, curve.risk, label=label, **style)
            hover(line, f"{curve.label}: area under the curve {curve.area:.2%}, n = {curve.n:,}")
        axis.set_xlim(0, 1.02)
        axis.set_ylim(0, max(0.01, 1.1 * max(max(curve.risk) for curve in curves)))
        frame(axis, "share of the images that are answered", "share of wrong answers", "share", "share")
        legend(figure, *axis.get_legend_handles_labels(), columns=1)

    about = "; ".join(f"{curve.label}: {curve.risk[-1]:.2%} wrong of all n = {curve.n:,}" for curve in curves)
    return Picture("Error of the most certain predictions", about, SQUARE, draw)
