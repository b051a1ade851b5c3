"""The data of a run's pictures, from metrics.json and predictions/."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerascnn.report import ranking_curves
from kerascnn.report.class_bars import ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.page import Exhibit, Gallery, ShownPrediction
from kerascnn.report.ranking_curves import RankingCurves
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.runs import Run
from kerascnn.scoring import grad_cam
from kerascnn.scoring.predictions import Predictions
from kerascnn.statistics import Interval, calibration
from kerascnn.statistics.calibration import ReliabilityBin

# Number of images in the gallery of worst mistakes.
PICTURED = 12


def class_bars(scores: Mapping[str, Any], split: str) -> ClassBars:
    """Returns precision and recall by class."""

    def interval(row: dict[str, Any], key: str) -> Interval | None:
        return None if row[key] is None else Interval(**row[key])

    rows = sorted(scores["per_class"], key=lambda row: (row["f1"] is None, row["f1"]))
    bars = [
        ClassBar(
            row["name"],
            row["n"],
            (interval(row, "precision"), interval(row, "recall")),
            "" if row["f1"] is None else f"F1 {row['f1']:.3f}",
        )
        for row in rows
    ]
    title = f"Precision and recall by class, {split}, the lowest F1 first"
    return ClassBars(title, ("precision", "recall"), tuple(bars), "95 % intervals.")


def confusions(run: Run, splits: Sequence[str]) -> tuple[ConfusionMatrix, ...]:
    """Returns a matrix for each split whose predictions are kept."""
    class_names = tuple(run.data()["class_names"])
    known = [split for split in splits if run.has_predictions(split)]
    return tuple(ConfusionMatrix(split, class_names, Predictions.load(run, split).confusion()) for split in known)


def reliability(run: Run, metrics: Mapping[str, Any], splits: Sequence[str]) -> tuple[ReliabilityCurve, ...]:
    """Returns the diagram as measured by evaluate; after a training only the bins."""
    found = []
    for split in splits:
        if "reliability" in metrics[split]:
            found.append(measured_reliability(metrics[split], split))
        elif run.has_predictions(split):
            kept = Predictions.load(run, split)
            bins = calibration.reliability(kept.probabilities, kept.labels)
            found.append(ReliabilityCurve(split, tuple(bins)))
    return tuple(found)


def measured_reliability(scores: Mapping[str, Any], split: str) -> ReliabilityCurve:
    """Returns the bins and the calibration error of evaluate."""
    bins = tuple(ReliabilityBin(**row) for row in scores["reliability"])
    return ReliabilityCurve(split, bins, Interval(**scores["ece"]))


def ranking(run: Run, split: str) -> RankingCurves | None:
    """Returns the curves of a split's kept predictions."""
    if not run.has_predictions(split):
        return None
    kept = Predictions.load(run, split)
    return ranking_curves.measure(split, kept.probabilities, kept.labels, run.data()["class_names"])


def robustness(scores: Mapping[str, Any], arch: str) -> tuple[ScoreChart, ...]:
    """Returns accuracy under corruptions and at other resolutions, as far as measured."""

    def interval(row: dict[str, Any]) -> Interval:
        return Interval(row["value"], row["low"], row["high"], row["n"])

    charts = []
    if rows := scores.get("corruptions"):
        lines = [
            ScoreLine(name, tuple((row["severity"], interval(row)) for row in rows if row["corruption"] == name))
            for name in dict.fromkeys(row["corruption"] for row in rows)
        ]
        title = f"Accuracy under corruptions (n = {rows[0]['n']:,})"
        clean = ("clean", scores["accuracy"]["value"])
        charts.append(ScoreChart("corruptions", title, "severity", "accuracy", tuple(lines), reference=clean))
    if rows := scores.get("resolutions"):
        points = sorted(((row["pixels"], interval(row)) for row in rows), key=lambda point: point[0])
        title = f"Accuracy on images brought to a smaller side and back (n = {rows[0]['n']:,})"
        charts.append(ScoreChart("resolutions", title, "pixels", "accuracy", (ScoreLine(arch, tuple(points)),)))
    return tuple(charts)


def worst(
    split: str,
    predictions: Predictions,
    class_names: Sequence[str],
    images: np.ndarray,
    model: keras.Model | None = None,
) -> Gallery:
    """Returns the worst mistakes of a split with their maps.

    Args:
        split: Name of the split.
        predictions: Of the split.
        class_names: C names.
        images: Images of `mistakes(labels, probabilities, PICTURED)`, uint8, in its order.
        model: Network for Grad-CAM of the predictions; None for no maps.
    """
    rows = predictions.worst(PICTURED)
    predicted = predictions.predicted[rows]
    heat = grad_cam.grad_cam(model, images, predicted) if model is not None and len(rows) else None
    exhibits = []
    for i, row in enumerate(rows):
        overlay = None if heat is None else grad_cam.overlay(images[i], heat[i])
        confidence = float(predictions.probabilities[row, predicted[i]])
        shown = ShownPrediction("", class_names[predicted[i]], confidence, right=False, heat=overlay)
        exhibits.append(Exhibit(str(predictions.ids[row]), class_names[predictions.labels[row]], images[i], (shown,)))
    total = int((~predictions.correct).sum())
    maps = "; beside each the regions that speak for the prediction (Grad-CAM)" if heat is not None else ""
    title = f"The {len(rows)} worst of {total:,} mistakes among {len(predictions):,} {split} images{maps}"
    return Gallery(title, tuple(exhibits))
