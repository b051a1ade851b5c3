"""From a finished run's directory to its page: every number comes from metrics.json, history.csv and predictions/."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kerascnn.report import rankings
from kerascnn.report.page import (
    Answer,
    BarRow,
    Bars,
    Bin,
    Calibration,
    Chart,
    Column,
    Confusion,
    Curve,
    Exhibit,
    Gallery,
    Line,
    Ranking,
    RunPage,
    Statement,
    Table,
    Unit,
)
from kerascnn.runs import Run, identity, with_door
from kerascnn.scoring import grad_cam
from kerascnn.scoring.metrics import HEADLINE, SCORES
from kerascnn.scoring.predictions import Predictions
from kerascnn.scoring.split_scores import symptoms
from kerascnn.statistics import Interval, calibration

SPLITS = ("test", "val", "train")
# cost -> (what the page calls it, its unit)
COSTS: dict[str, tuple[str, Unit]] = {
    "params": ("parameters", "count"),
    "macs": ("multiply-adds per image", "macs"),
    "epochs": ("epochs", "count"),
    "train_seconds": ("training time", "seconds"),
    "images_per_second": ("training images per second", "count"),
}
PICTURED = 12


def run_page(run: Run, gallery: Gallery | None = None, metrics: Mapping[str, Any] | None = None) -> RunPage:
    """What the page of a finished run shows.

    Args:
        run: Finished.
        gallery: Images with answers, as `worst` makes one.
        metrics: What metrics.json is about to say, where it is not there yet.
    """
    metrics = run.metrics() if metrics is None else metrics
    config, data = run.config(), run.data()
    there = [name for name in SPLITS if name in metrics]
    scored = there[0]
    start = run.environment()[-1]
    images = ", ".join(f"{count:,} {name}" for name, count in data["images"].items())
    return RunPage(
        name=run.name,
        about=f"{config.model.arch} on {data['name']} ({images}; {len(data['class_names'])} classes,"
        f" {data['image_size']} px), {start['reason']}, finished {metrics['finished']}",
        verdict=_verdict(metrics, scored),
        scores=_scores(metrics, there),
        losses=_losses(metrics, there),
        costs=_costs(metrics, config.model.arch),
        curve=Curve(config.model.arch, {config.fit.seed: tuple(run.history())}, metrics["best_epoch"]),
        classes=_classes(metrics[scored], scored),
        confusions=tuple(_confusion(run, name, data["class_names"]) for name in there if run.has_predictions(name)),
        calibrations=tuple(found for name in there if (found := _calibration(run, metrics[name], name)) is not None),
        ranking=_ranking(run, scored, data["class_names"]),
        charts=_charts(metrics[scored], config.model.arch),
        tables=_tables(metrics[scored]),
        gallery=gallery,
        config=_differences(identity(config, data["fingerprint"])),
        environment=_environment(start),
        repeat=(
            with_door(start["command"]),
            f"python -m kerascnn.fit --config {shlex.quote(str(run.config_file))} --run again",
        ),
    )


def worst(
    split: str,
    predictions: Predictions,
    class_names: Sequence[str],
    images: np.ndarray,
    model: keras.Model | None = None,
) -> Gallery:
    """The worst mistakes of a split with their maps.

    Args:
        split: Its name.
        predictions: Of the split.
        class_names: C names.
        images: uint8, of `predictions.worst(PICTURED)`, in its order.
        model: For Grad-CAM of the answers; None: no maps.
    """
    rows = predictions.worst(PICTURED)
    answers = predictions.predicted[rows]
    heat = grad_cam.grad_cam(model, images, answers) if model is not None and len(rows) else None
    exhibits = tuple(
        Exhibit(
            str(predictions.ids[row]),
            class_names[predictions.labels[row]],
            images[i],
            (
                Answer(
                    "",
                    class_names[answers[i]],
                    float(predictions.probabilities[row, answers[i]]),
                    right=False,
                    heat=None if heat is None else grad_cam.overlay(images[i], heat[i]),
                ),
            ),
        )
        for i, row in enumerate(rows)
    )
    total = int((~predictions.correct).sum())
    maps = "; beside each the places that speak for the answer (Grad-CAM)" if heat is not None else ""
    return Gallery(
        f"The {len(rows)} worst of {total:,} mistakes among {len(predictions):,} {split} images{maps}", exhibits
    )


def _verdict(metrics: Mapping[str, Any], split: str) -> Statement:
    scores = metrics[split]
    accuracy, lowest = Interval(**scores[HEADLINE.name]), scores["worst_class"]
    marked = metrics["test_is_val"] or split == "val"
    lines = [f"Always answering the largest class scores {scores['majority'] * 100:.2f} %."]
    if lowest["f1"] is not None:
        lines.append(f"Hardest class: {lowest['name']} (F1 {lowest['f1']:.3f}, n = {lowest['n']:,}).")
    lines += ["Val chose this model: no test set was kept apart."] if marked else []
    lines += symptoms(scores, split)
    groups = f" in {scores['groups']:,} groups" if "groups" in scores else ""
    headline = (
        f"{split} {HEADLINE.title} {accuracy.value * 100:.2f} % [{accuracy.low * 100:.2f}, {accuracy.high * 100:.2f}]"
        f" (95 %, n = {accuracy.n:,} images{groups}, 1 seed)"
    )
    return Statement(headline, tuple(lines))


def _scores(metrics: Mapping[str, Any], there: Sequence[str]) -> Table:
    """One row per score that is a share, one column per split."""
    counts = ", ".join(f"{name}: n = {metrics[name][HEADLINE.name]['n']:,}" for name in there)
    rows = _rows(metrics, there, "share")
    note = f"95 % intervals over {_units(metrics, there)}; {counts}."
    note += "".join(_with_chance(split, metrics[split]["ece_null"]) for split in there if "ece_null" in metrics[split])
    return Table("scores", "Scores", (Column("score"), *(Column(name, "share") for name in there)), tuple(rows), note)


def _losses(metrics: Mapping[str, Any], there: Sequence[str]) -> Table | None:
    """One row per score that is not a share, one column per split."""
    rows = _rows(metrics, there, "number")
    columns = (Column("loss"), *(Column(name, "number") for name in there))
    lower = all(score.better == "min" for score in SCORES.values() if score.unit == "number")
    note = f"{'Lower is better. ' if lower else ''}95 % intervals over {_units(metrics, there)}."
    val = metrics.get("val", {})
    if (temperature := val.get("temperature")) is not None:
        reason = val.get("temperature_reason")
        fitted = f"The temperature fitted on val is {temperature:.3f}."
        note += f" The temperature stays 1: val has {reason}." if reason else f" {fitted}"
    return Table("losses", "Losses", columns, tuple(rows), note) if rows else None


def _with_chance(split: str, null: dict[str, float]) -> str:
    return (
        f" With what chance adds, the ECE of {split} is {null['plain']:.2%}; that of a calibrated network would be"
        f" {null['median']:.2%}, and below {null['high']:.2%} in 97.5 % of splits."
    )


def _units(metrics: Mapping[str, Any], there: Sequence[str]) -> str:
    grouped = [f"{metrics[split]['groups']:,} of {split}" for split in there if "groups" in metrics[split]]
    return f"whole groups of images ({', '.join(grouped)})" if grouped else "images"


def _rows(metrics: Mapping[str, Any], there: Sequence[str], kind: Unit) -> list[tuple[Any, ...]]:
    """A row for each score of this unit that a split has, and for each at val's temperature."""
    of_splits = [metrics[split] for split in there]
    cooled = [scores.get("calibrated", {}) for scores in of_splits]
    rows: list[tuple[Any, ...]] = []
    for mark, sources in (("", of_splits), (" at val's temperature", cooled)):
        for score in SCORES.values():
            found = [source.get(score.name) for source in sources]
            if score.unit == kind and any(found):
                title = ", ".join(filter(None, (score.title + mark, score.about)))
                rows.append((title, *(one and Interval(**one) for one in found)))
    return rows


def _costs(metrics: Mapping[str, Any], arch: str) -> Table:
    known = [(key, title, unit) for key, (title, unit) in COSTS.items() if key in metrics]
    columns = (Column("arch"), *(Column(title, unit) for _, title, unit in known))
    return Table("costs", "What it costs", columns, ((arch, *(metrics[key] for key, _, _ in known)),))


def _ranking(run: Run, split: str, class_names: Sequence[str]) -> Ranking | None:
    if not run.has_predictions(split):
        return None
    kept = Predictions.load(run, split)
    return rankings.of(split, kept.probabilities, kept.labels, class_names)


def _classes(scores: dict[str, Any], split: str) -> Bars:
    def interval(row: dict[str, Any], key: str) -> Interval | None:
        return None if row[key] is None else Interval(**row[key])

    rows = sorted(scores["per_class"], key=lambda row: (row["f1"] is None, row["f1"]))
    bars = [
        BarRow(
            row["name"],
            row["n"],
            (interval(row, "precision"), interval(row, "recall")),
            "" if row["f1"] is None else f"F1 {row['f1']:.3f}",
        )
        for row in rows
    ]
    title = f"Precision and recall by class, {split}, the lowest F1 first"
    return Bars(title, ("precision", "recall"), tuple(bars), "95 % intervals.")


def _confusion(run: Run, split: str, class_names: Sequence[str]) -> Confusion:
    return Confusion(split, tuple(class_names), Predictions.load(run, split).confusion())


def _calibration(run: Run, scores: dict[str, Any], split: str) -> Calibration | None:
    """As evaluate measured it; after a training the diagram alone."""
    if "reliability" in scores:
        return Calibration(split, tuple(Bin(**row) for row in scores["reliability"]), Interval(**scores["ece"]))
    if not run.has_predictions(split):
        return None
    kept = Predictions.load(run, split)
    return Calibration(split, tuple(Bin(*row) for row in calibration.reliability(kept.probabilities, kept.labels)))


def _charts(scores: dict[str, Any], arch: str) -> tuple[Chart, ...]:
    def interval(row: dict[str, Any]) -> Interval:
        return Interval(row["value"], row["low"], row["high"], row["n"])

    charts = []
    if rows := scores.get("corruptions"):
        lines = [
            Line(name, tuple((row["severity"], interval(row)) for row in rows if row["corruption"] == name))
            for name in dict.fromkeys(row["corruption"] for row in rows)
        ]
        title = f"Accuracy under corruptions (n = {rows[0]['n']:,})"
        charts.append(Chart("corruptions", title, "severity", "accuracy", tuple(lines)))
    if rows := scores.get("resolutions"):
        points = sorted(((row["pixels"], interval(row)) for row in rows), key=lambda point: point[0])
        title = f"Accuracy on images brought to a smaller side and back (n = {rows[0]['n']:,})"
        charts.append(Chart("resolutions", title, "pixels", "accuracy", (Line(arch, tuple(points)),)))
    return tuple(charts)


def _tables(scores: dict[str, Any]) -> tuple[Table, ...]:
    found = (
        _explanation(scores["explanation"]) if "explanation" in scores else None,
        _confused(scores["confused"]) if scores.get("confused") else None,
        _views(scores, scores["tta"]) if "tta" in scores else None,
    )
    return tuple(table for table in found if table is not None)


def _explanation(found: dict[str, Any]) -> Table:
    keys = ("before", "hottest", "elsewhere", "scattered", "drop", "head_correlation")
    columns = (
        Column("stage"),
        Column("confidence", "number", "Mean confidence in the answer."),
        Column("hottest grey", "number", "With the hottest 20 % of the pixels grey."),
        Column("elsewhere grey", "number", "With a mask of the same form, shifted at random."),
        Column("scattered grey", "number", "With as many single pixels, drawn at random."),
        Column("the map knows", "number", "Elsewhere less hottest: 0 is no better than chance."),
        Column("random head", "number", "Rank correlation with the map of a random head: near 1 is bad."),
    )
    rows = tuple(
        (stage, *(row[key] and Interval(**row[key]) for key in keys)) for stage, row in found["stages"].items()
    )
    note = f"n = {found['n']:,} images, 95 % intervals over them."
    return Table("explanation", "Does Grad-CAM show what matters?", columns, rows, note)


def _confused(pairs: Sequence[dict[str, Any]]) -> Table:
    columns = (Column("truth"), Column("predicted as"), Column("images", "count"), Column("of", "count"))
    rows = tuple((pair["truth"], pair["answer"], pair["count"], pair["n"]) for pair in pairs)
    return Table("confused", "Most confused pairs", columns, rows)


def _views(scores: dict[str, Any], several: dict[str, Any]) -> Table:
    columns = (Column("views"), Column("accuracy", "share"), Column("log loss", "number"))
    rows = tuple(
        (name, Interval(**one["accuracy"]), Interval(**one["loss"]))
        for name, one in (("one look", scores), (f"mean over views: {several['views']}", several))
    )
    return Table("views", "Several looks at each image", columns, rows)


def _differences(flat: dict[str, Any]) -> Table:
    rows = tuple((key, str(value)) for key, value in flat.items() if key != "data.fingerprint")
    note = "Everything else is the default."
    return Table("config", "What differs from the defaults", (Column("key"), Column("value")), rows, note)


def _environment(start: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    names = {
        "tensorflow": "TensorFlow",
        "keras": "Keras",
        "python": "Python",
        "machine": "machine",
        "reason": "device",
        "replicas": "replicas",
        "threads": "threads",
        "git_commit": "commit",
        "command": "command",
    }
    return tuple((words, str(start[key])) for key, words in names.items() if start.get(key) is not None)
