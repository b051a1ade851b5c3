"""Score against multiply-adds: all candidates and their Pareto front."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from kerascnn.report.axes import frame, hover_point, legend
from kerascnn.report.drawing import INK, SERIES, Panel, Picture


class CostPoint(NamedTuple):
    """A whole training.

    Attributes:
        name: Name of the candidate.
        macs: Multiply-adds of an image.
        score: The score of the search.
        baseline: Whether it is the uniformly scaled network.
    """

    name: str
    macs: float
    score: float
    baseline: bool


def unbeaten(points: Sequence[CostPoint], direction: str) -> list[CostPoint]:
    """Returns the points that no cheaper (or equally cheap) one beats, in order of cost.

    Args:
        points: Points of one family.
        direction: `max` or `min`, the better direction of the score.
    """
    sign = 1 if direction == "max" else -1
    kept: list[CostPoint] = []
    for point in sorted(points, key=lambda one: (one.macs, -sign * one.score)):
        if not kept or sign * point.score > sign * kept[-1].score:
            kept.append(point)
    return kept


def picture(families: Mapping[str, Sequence[CostPoint]], column: str, direction: str) -> Picture:
    """Draws candidates, their Pareto front, and a star for the uniformly scaled network.

    Args:
        families: Points by family.
        column: Name of the score.
        direction: `max` or `min`, the better direction of the score.
    """

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for i, (family, points) in enumerate(sorted(families.items())):
            _family(axis, family, points, SERIES[i % len(SERIES)], direction)
        frame(axis, "multiply-adds of an image", f"{column}: chosen by it, so optimistic", "number", "number")
        axis.margins(0.06)
        legend(figure, *axis.get_legend_handles_labels(), columns=2 if len(families) == 1 else 1)

    whole = sum(not point.baseline for points in families.values() for point in points)
    best = "; ".join(
        f"{family}: best {column} {unbeaten(points, direction)[-1].score:.4f}" for family, points in families.items()
    )
    title = f"{column} by multiply-adds: {whole} candidates that were trained whole"
    return Picture(title, best, (5.4, 4.2), draw)


def _family(axis: Axes, family: str, points: Sequence[CostPoint], color: str, direction: str) -> None:
    free, bases = [p for p in points if not p.baseline], [p for p in points if p.baseline]
    if free:
        label = f"{family}: candidates (n = {len(free)})"
        axis.scatter([p.macs for p in free], [p.score for p in free], s=26, color=color, label=label)
        line = unbeaten(free, direction)
        axis.step([p.macs for p in line], [p.score for p in line], where="post", color=color, linewidth=1)
    if bases:
        label, at = f"{family}: scaled uniformly", ([p.macs for p in bases], [p.score for p in bases])
        axis.scatter(*at, s=120, marker="*", color=color, edgecolor=INK, label=label, zorder=3)
    for point in points:
        hover_point(axis, point.macs, point.score, f"{point.name}: {point.score:.4f}, {point.macs / 1e6:,.1f} M")
