"""Precision-recall and ROC curves of a split: a line for each class, or the spread of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from kerascnn.data.labels import counts
from kerascnn.report.axes import SQUARE, frame, legend, short
from kerascnn.report.drawing import FAINT, SERIES, Panel, Picture, hover

# Largest number of lines; with more classes the spread over them is shown instead.
LINES = 12
# Share of a picture's side; points that are closer look the same.
_APART = 1 / 300
_SPREAD = (("upper tenth of the classes", 0.9), ("median class", 0.5), ("lower tenth of the classes", 0.1))


class RankingCurve(NamedTuple):
    """A line of a class, or of a quantile over many classes.

    Attributes:
        name: Name of the class.
        x: Recall, or the false positive rate, ascending.
        y: Precision, or the true positive rate.
        area: Average precision, or the area under the ROC curve.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class RankingCurves:
    """Ranking of images by the probabilities of each class against the rest.

    Args:
        split: Name of the split.
        classes: Number of classes with a curve.
        pr: Precision over recall.
        roc: True positive rate over false positive rate.
    """

    split: str
    classes: int
    pr: tuple[RankingCurve, ...]
    roc: tuple[RankingCurve, ...]


def measure(
    split: str, probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> RankingCurves | None:
    """Returns the curves of each class against the rest, or None if no class has images of both kinds.

    Args:
        split: Name of the split.
        probabilities: [n, C].
        labels: True classes, [n], or several labels, bool [n, C].
        class_names: C names.
    """
    images = counts(labels, len(class_names))
    classes = [c for c in range(len(class_names)) if 0 < images[c] < len(labels)]
    if not classes:
        return None
    pr, roc = [], []
    for c in classes:
        truth = labels[:, c] if labels.ndim == 2 else labels == c
        score, name = probabilities[:, c], class_names[c]
        precision, recall, _ = precision_recall_curve(truth, score)
        false, true, _ = roc_curve(truth, score)
        pr.append(_thinned(name, recall[::-1], precision[::-1], float(average_precision_score(truth, score))))
        roc.append(_thinned(name, false, true, float(roc_auc_score(truth, score))))
    many = len(classes) > LINES
    return RankingCurves(split, len(classes), _spread(pr) if many else tuple(pr), _spread(roc) if many else tuple(roc))


def _thinned(name: str, x: np.ndarray, y: np.ndarray, area: float) -> RankingCurve:
    """Returns the points at which the line changes visibly, with the first and the last one."""
    places = np.round(np.stack([x, y]) / _APART)
    moved = (np.diff(places, axis=1) != 0).any(axis=0)
    kept = np.concatenate([[True], moved])
    kept[-1] = True
    return RankingCurve(name, tuple(map(float, x[kept])), tuple(map(float, y[kept])), area)


def _spread(curves: Sequence[RankingCurve]) -> tuple[RankingCurve, ...]:
    """Returns three lines for many classes: quantiles over them at each point of the horizontal axis."""
    grid = np.linspace(0, 1, 101)
    table = np.stack([np.interp(grid, curve.x, curve.y) for curve in curves])
    areas = np.array([curve.area for curve in curves])
    return tuple(
        RankingCurve(
            name,
            tuple(map(float, grid)),
            tuple(map(float, np.quantile(table, q, axis=0))),
            float(np.quantile(areas, q)),
        )
        for name, q in _SPREAD
    )


def pictures(found: RankingCurves) -> list[Picture]:
    """Returns precision over recall and the ROC curve, each class against the rest."""
    return [
        _picture(found, found.pr, "Precision and recall", ("recall", "precision"), "average precision"),
        _picture(found, found.roc, "ROC", ("false positive rate", "true positive rate"), "area under the curve"),
    ]


def _picture(
    found: RankingCurves, lines: Sequence[RankingCurve], title: str, axes: tuple[str, str], area: str
) -> Picture:
    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for i, line in enumerate(lines):
            style = ("-", "--")[i // len(SERIES) % 2]
            label = f"{short(line.name, 26)} {line.area:.3f}"
            (drawn,) = axis.plot(line.x, line.y, color=SERIES[i % len(SERIES)], linestyle=style, label=label)
            hover(drawn, f"{line.name}: {area} {line.area:.3f}")
        if axes[1].startswith("true"):
            axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":")
        axis.set_xlim(-0.01, 1.01)
        axis.set_ylim(-0.01, 1.02)
        frame(axis, *axes, "share", "share")
        legend(figure, *axis.get_legend_handles_labels())

    spread = "" if found.classes == len(lines) else f" ({found.classes} classes)"
    lowest = sorted(lines, key=lambda line: line.area)[:3]
    about = f"lowest {area}: " + ", ".join(f"{line.name} {line.area:.3f}" for line in lowest)
    return Picture(f"{title}, {found.split}, each class against the rest{spread}", about, SQUARE, draw)
