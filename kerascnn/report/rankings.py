"""Precision-recall and ROC curves of a split as a page shows them: a line for each class, or the spread of many."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from kerascnn.report.page import Ranking, RankingCurve

# More lines than this cannot be told apart: the spread over the classes is shown instead.
LINES = 12
# Of a picture's side: points nearer to each other than this look the same.
_APART = 1 / 300
_SPREAD = (("upper tenth of the classes", 0.9), ("median class", 0.5), ("lower tenth of the classes", 0.1))


def of(split: str, probabilities: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Ranking | None:
    """Each class against the rest; None where no class has both kinds of images.

    Args:
        split: Whose images.
        probabilities: [n, C].
        labels: True classes, [n].
        class_names: C names.
    """
    images = np.bincount(labels, minlength=len(class_names))
    classes = [c for c in range(len(class_names)) if 0 < images[c] < len(labels)]
    if not classes:
        return None
    pr, roc = [], []
    for c in classes:
        truth, score, name = labels == c, probabilities[:, c], class_names[c]
        precision, recall, _ = precision_recall_curve(truth, score)
        false, true, _ = roc_curve(truth, score)
        pr.append(_thinned(name, recall[::-1], precision[::-1], float(average_precision_score(truth, score))))
        roc.append(_thinned(name, false, true, float(roc_auc_score(truth, score))))
    many = len(classes) > LINES
    return Ranking(split, len(classes), _spread(pr) if many else tuple(pr), _spread(roc) if many else tuple(roc))


def _thinned(name: str, x: np.ndarray, y: np.ndarray, area: float) -> RankingCurve:
    """The points at which the line moves visibly; the first and the last one stay."""
    cells = np.round(np.stack([x, y]) / _APART)
    moved = (np.diff(cells, axis=1) != 0).any(axis=0)
    kept = np.concatenate([[True], moved])
    kept[-1] = True
    return RankingCurve(name, tuple(map(float, x[kept])), tuple(map(float, y[kept])), area)


def _spread(curves: Sequence[RankingCurve]) -> tuple[RankingCurve, ...]:
    """Three lines for many classes: quantiles over them at each place of the horizontal axis."""
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
