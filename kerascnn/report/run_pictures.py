"""The data of a run's pictures, from metrics.json and predictions/."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerascnn.report import label_pictures, ranking_curves, risk_coverage
from kerascnn.report.class_bars import ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.page import Exhibit, Gallery, ShownPrediction
from kerascnn.report.ranking_curves import RankingCurves
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.risk_coverage import RiskCurve
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.runs import Run
from kerascnn.scoring import grad_cam
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.task import Task
from kerascnn.statistics import Interval, calibration, several_labels
from kerascnn.statistics.calibration import ReliabilityBin

# Number of images in the gallery of worst mistakes.
PICTURED = 12


def _interval(row: Mapping[str, Any], key: str) -> Interval | None:
    return None if row[key] is None else Interval(**row[key])


def class_bars(scores: Mapping[str, Any], split: str) -> ClassBars:
    """Returns precision and recall by class."""
    if "left_out" in scores:  # several labels per image
        return _label_bars(scores, split)
    rows = sorted(scores["per_class"], key=lambda row: (row["f1"] is None, row["f1"]))
    bars = [
        ClassBar(
            row["name"],
            row["n"],
            (_interval(row, "precision"), _interval(row, "recall")),
            "" if row["f1"] is None else f"F1 {row['f1']:.3f}",
        )
        for row in rows
    ]
    title = f"Precision and recall by class, {split}, the lowest F1 first"
    return ClassBars(title, ("precision", "recall"), tuple(bars), "95 % intervals.")


def _label_bars(scores: Mapping[str, Any], split: str) -> ClassBars:
    """Returns average precision, precision and recall by class."""

    def rank(row: Mapping[str, Any]) -> tuple[bool, float]:
        found = row["average_precision"]
        return found is None, found["value"] if found else 0.0

    keys = ("average_precision", "precision", "recall")
    bars = [
        ClassBar(
            row["name"],
            row["n"],
            tuple(_interval(row, key) for key in keys),
            f"threshold {row['threshold']:.2f}" + ("" if row["f1"] is None else f", F1 {row['f1']:.3f}"),
        )
        for row in sorted(scores["per_class"], key=rank)
    ]
    title = f"Average precision, precision and recall by class, {split}, the lowest average precision first"
    note = "95 % intervals. Images are those with the label; precision and recall are those of the class's threshold."
    return ClassBars(title, ("average precision", "precision", "recall"), tuple(bars), note)


def confusions(run: Run, splits: Sequence[str]) -> tuple[ConfusionMatrix, ...]:
    """Returns a matrix for each split whose predictions are kept."""
    if run.task.several:
        return ()
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
            found.append(reliability_of(kept, split))
    return tuple(found)


def reliability_of(found: Predictions, label: str) -> ReliabilityCurve:
    """Returns the bins of a network's predictions; with several labels per image those of each label's probability."""
    if found.task.several:
        bins = several_labels.reliability(found.probabilities, found.labels)
        return ReliabilityCurve(label, tuple(ReliabilityBin(*one) for one in bins), of_labels=True)
    return ReliabilityCurve(label, tuple(calibration.reliability(found.probabilities, found.labels)))


def measured_reliability(scores: Mapping[str, Any], split: str) -> ReliabilityCurve:
    """Returns the bins and the calibration error of evaluate."""
    bins = tuple(ReliabilityBin(**row) for row in scores["reliability"])
    if "ece" not in scores:  # several labels per image
        return ReliabilityCurve(split, bins, of_labels=True)
    return ReliabilityCurve(split, bins, Interval(**scores["ece"]))


def ranking(run: Run, split: str) -> RankingCurves | None:
    """Returns the curves of a split's kept predictions."""
    if not run.has_predictions(split):
        return None
    kept = Predictions.load(run, split)
    return ranking_curves.measure(split, kept.probabilities, kept.labels, run.data()["class_names"])


def selective(run: Run, splits: Sequence[str]) -> tuple[RiskCurve, ...]:
    """Returns the risk-coverage curve of each split whose predictions are kept; none of several labels."""
    if run.task.several:
        return ()
    kept = {split: Predictions.load(run, split) for split in splits if run.has_predictions(split)}
    return tuple(
        risk_coverage.measure(split, one.probabilities.max(axis=1), one.correct) for split, one in kept.items()
    )


def robustness(scores: Mapping[str, Any], arch: str, task: Task) -> tuple[ScoreChart, ...]:
    """Returns the headline score, such as accuracy, under corruptions and at other resolutions, as far as measured."""
    name, title_of = task.headline.name, task.headline.title
    heading = title_of[0].upper() + title_of[1:] if not task.several else title_of

    def interval(row: dict[str, Any]) -> Interval:
        return Interval(row["value"], row["low"], row["high"], row["n"])

    charts = []
    if rows := scores.get("corruptions"):
        lines = [
            ScoreLine(name, tuple((row["severity"], interval(row)) for row in rows if row["corruption"] == name))
            for name in dict.fromkeys(row["corruption"] for row in rows)
        ]
        title = f"{heading} under corruptions (n = {rows[0]['n']:,})"
        clean = ("clean", scores[name]["value"])
        charts.append(ScoreChart("corruptions", title, "severity", title_of, tuple(lines), reference=clean))
    if rows := scores.get("resolutions"):
        points = sorted(((row["pixels"], interval(row)) for row in rows), key=lambda point: point[0])
        title = f"{heading} on images brought to a smaller side and back (n = {rows[0]['n']:,})"
        charts.append(ScoreChart("resolutions", title, "pixels", title_of, (ScoreLine(arch, tuple(points)),)))
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
    if predictions.task.several:
        return _worst_labels(split, predictions, class_names, images, model)
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


def _worst_labels(
    split: str, predictions: Predictions, class_names: Sequence[str], images: np.ndarray, model: keras.Model | None
) -> Gallery:
    """Returns `worst` of several labels per image, with the maps of the most probable predicted labels."""
    rows = predictions.worst(PICTURED)
    shown = label_pictures.shown("", predictions, rows, class_names, images, model)
    exhibits = tuple(
        Exhibit(str(predictions.ids[row]), label_pictures.names(predictions.labels[row], class_names), image, each)
        for row, image, each in zip(rows, images, shown, strict=True)
    )
    total = int((~predictions.correct).sum())
    maps = "; beside each the regions that speak for its most probable labels (Grad-CAM)" if model is not None else ""
    title = (
        f"The {len(rows)} worst of {total:,} images with a wrong label among {len(predictions):,} {split} images{maps}"
    )
    return Gallery(title, exhibits)
