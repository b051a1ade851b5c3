"""Pictures of scores: calibration, curves, robustness, maps. Each function returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerascnn.report import drawing, plots
from kerascnn.report.plots import FAINT, GRID, INK, VAL, WRONG
from kerascnn.scoring import grad_cam

CLASSES = 12  # more curves than this cannot be told apart: then only their mean is drawn


def reliability(bins: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Accuracy against confidence in bins of equal mass; below the diagonal the answers are too sure."""
    with drawing.style():
        figure = Figure(figsize=(4.6, 4.4), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="confidence = accuracy")
        confidence, accuracy = ([row[name] for row in bins] for name in ("confidence", "accuracy"))
        axis.vlines(confidence, accuracy, confidence, color=WRONG, linewidth=1.2, alpha=0.6)
        axis.plot(confidence, accuracy, "o-", color=VAL, linewidth=1.4, markersize=4, label="bins of equal mass")
        _frame(axis, "mean confidence", "accuracy", title)
        low = max(0.0, min([*confidence, *accuracy, 0.95]) - 0.05)
        axis.set_xlim(low, 1.01)
        axis.set_ylim(low, 1.01)
        axis.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def ranking_curves(curves: Mapping[str, Sequence[tuple[int, np.ndarray, np.ndarray]]], names: Sequence[str]) -> Figure:
    """Precision over recall, and the ROC curve, one line per class up to CLASSES, else the spread of all.

    Args:
        curves: `pr` and `roc`, each as (class, x, y) of the classes that have one.
        names: Of all classes.
    """
    with drawing.style():
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2)
        for axis, key in ((left, "pr"), (right, "roc")):
            for i, (c, x, y) in enumerate(curves[key]):
                few = len(curves[key]) <= CLASSES
                label = plots._short(names[c]) if few else None
                axis.plot(
                    x, y, color=f"C{i % 10}" if few else VAL, linewidth=1.2, alpha=0.9 if few else 0.2, label=label
                )
        _frame(left, "recall", "precision", "precision and recall, each class against the rest")
        _frame(right, "false positives' share", "true positives' share", "ROC, each class against the rest")
        if left.lines and len(curves["pr"]) <= CLASSES:  # beside the pictures: it would cover lines inside
            figure.legend(*left.get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    return figure


def corruptions(rows: Sequence[Mapping[str, Any]], clean: float) -> Figure:
    """Accuracy over severity, a line for each corruption; the dotted line is the clean accuracy."""
    with drawing.style():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        for i, name in enumerate(dict.fromkeys(row["corruption"] for row in rows)):
            points = [(row["severity"], row["value"]) for row in rows if row["corruption"] == name]
            axis.plot(*zip(*points, strict=True), "o-", color=f"C{i}", linewidth=1.4, markersize=3, label=name)
        axis.axhline(clean, color=FAINT, linestyle=":", linewidth=1, label="clean")
        axis.set_xticks(sorted({row["severity"] for row in rows}))
        _frame(axis, "severity", "accuracy", "accuracy under corruptions")
        axis.set_ylim(0, 1)
        axis.legend(fontsize=8, frameon=False, ncols=2)
    return figure


def resolutions(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy over the side that an image was brought to before it was brought back, with its interval."""
    with drawing.style():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axis = figure.subplots()
        pixels = [row["pixels"] for row in rows]
        low, high = ([row[key] for row in rows] for key in ("low", "high"))
        axis.fill_between(pixels, low, high, color=VAL, alpha=0.15, linewidth=0)
        axis.plot(pixels, [row["value"] for row in rows], "o-", color=VAL, linewidth=1.4, markersize=4)
        _frame(axis, "side before it was brought back (px)", "accuracy", "accuracy against resolution")
        axis.set_ylim(0, 1)
    return figure


def maps(images: np.ndarray, heat: np.ndarray, titles: Sequence[str], wrong: Sequence[bool]) -> Figure:
    """Images beside their maps: uint8 [n, H, W, 3], heat in 0..1 [n, H, W]; up to 12."""
    shown = min(len(images), plots.GALLERY // 2)
    pairs = [picture for i in range(shown) for picture in (images[i], grad_cam.overlay(images[i], heat[i]))]
    words = [word for i in range(shown) for word in (titles[i], "where it looks")]
    color = [bool(wrong[i]) for i in range(shown) for _ in range(2)]
    return plots.image_grid(np.stack(pairs), words, wrong=color, heading="Grad-CAM of the answer, last stage")


def _frame(axis: Axes, x: str, y: str, title: str) -> None:
    axis.set_xlabel(x, fontsize=9, color=FAINT)
    axis.set_ylabel(y, fontsize=9, color=FAINT)
    axis.set_title(title, fontsize=10, loc="left", color=INK)
    axis.grid(color=GRID, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
