"""The measurements of the rows of `scoring.metrics`.

Functions of a split's probabilities [n, C], labels [n] and groups ([n] or None). `kerascnn.statistics` and
numpy are imported when something is measured, since `--help` reads the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from kerascnn.statistics import Interval

TOP = 5


def right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return probabilities.argmax(axis=1) == labels


def among_top(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the true class is among the TOP most probable ones, [n]; of equal ones the first comes first, as for argmax."""
    import numpy as np

    true = probabilities[np.arange(len(labels)), labels][:, None]
    before = np.arange(probabilities.shape[1]) < labels[:, None]
    return ((probabilities > true) | ((probabilities == true) & before)).sum(axis=1) < TOP


def loss_of_each(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from kerascnn.statistics import proper_scores

    return proper_scores.losses(probabilities, labels)


def accuracy(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import proportion

    return proportion(right(probabilities, labels), groups)


def top5(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import proportion

    return proportion(among_top(probabilities, labels), groups)


def macro_f1(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import classification

    return classification.macro_f1(labels, probabilities.argmax(axis=1), probabilities.shape[1], groups)


def balanced_accuracy(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import classification

    return classification.balanced_accuracy(labels, probabilities.argmax(axis=1), probabilities.shape[1], groups)


def loss(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import proper_scores

    return proper_scores.mean_loss(probabilities, labels, groups)


def brier(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import proper_scores

    return proper_scores.mean_brier(probabilities, labels, groups)


def ece(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Any:
    from kerascnn.statistics import calibration

    return calibration.ece(probabilities, labels, groups)


def chance_of_ece(found: Any) -> Mapping[str, Any]:
    return {"ece_null": {"plain": found.plain, "median": found.null, "high": found.null_high, "p": found.p}}


def ranking(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Any:
    """Returns the ranking scores, or None if no class has images of both kinds."""
    from kerascnn.statistics import classification

    return classification.ranking(probabilities, labels, groups)


def aurc(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None) -> Interval:
    from kerascnn.statistics import selective

    return selective.area(probabilities.max(axis=1), right(probabilities, labels), groups)


def drawn_aurc(probabilities: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    from kerascnn.statistics import selective

    known = selective.keys(probabilities.max(axis=1), right(probabilities, labels))
    return lambda index: selective.areas(known[index])
