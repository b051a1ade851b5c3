"""Turns the results of all folds and their ensemble into the data of a page."""

import os
from pathlib import Path

from kerascnn.cross_validation.fold_results import FoldResults
from kerascnn.report import run_pictures
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.page import FoldsPage, Link, Statement
from kerascnn.report.report_tables import Cell, Column, ReportTable
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.runs import Run
from kerascnn.statistics import Interval
from kerascnn.studies.folds_directory import FoldsDirectory

_NOTE = (
    "Means over folds with the corrected resampled t (Nadeau and Bengio, 2003): the variance among {0} folds times 1/{0} +"
    " {1:.3g}, the ratio of tested to training images, because the training sets of two folds overlap."
)


def page(directory: FoldsDirectory, found: FoldResults, ensemble: Run, command: str) -> FoldsPage:
    """Returns the page of a cross-validation."""
    run = next(iter(found.runs.values()))
    config, data = run.config(), run.data()
    pooled = found.pooled()
    return FoldsPage(
        name=directory.name,
        about=f"{config.model.arch} on {data['name']}, {len(found.runs)} folds, {len(found.predictions):,} images"
        f" ({len(data['class_names'])} classes, {data['image_size']} px), seed {config.fit.seed}",
        verdict=Statement(found.lines()[0], (found.lines()[1].strip(), *ensemble_lines(ensemble, len(found.runs)))),
        scores=_scores(found),
        folds=_folds(found),
        ensemble=_ensemble(found, ensemble),
        chart=_chart(found),
        classes=run_pictures.class_bars(pooled, "out of fold"),
        confusion=None
        if found.task.several
        else ConfusionMatrix("out of fold", found.class_names, found.predictions.confusion()),
        links=tuple(
            Link(f"fold {fold}: {each.name}", _relative(each.report_file, directory.path))
            for fold, each in found.runs.items()
        )
        + (
            (Link("ensemble", _relative(ensemble.report_file, directory.path)),)
            if ensemble.report_file.exists()
            else ()
        ),
        environment=tuple(
            (key, str(run.environment()[-1][key]))
            for key in ("tensorflow", "keras", "python", "reason", "git_commit")
            if run.environment() and run.environment()[-1].get(key) is not None
        ),
        repeat=(command,),
    )


def ensemble_lines(ensemble: Run, count: int) -> list[str]:
    """Returns the score and the cost of the ensemble as text."""
    metrics, first = ensemble.metrics(), ensemble.task.headline
    times = metrics["latency_ms"] / metrics["member_latency_ms"]
    cost = (
        f"the ensemble of {count} networks costs {count} times as much as one: {metrics['params']:,} parameters,"
        f" {metrics['macs'] / 1e6:,.1f} M MACs, {metrics['bytes'] / 1e6:,.1f} MB, {metrics['latency_ms']:.1f} ms an image"
        f" ({times:.1f} times {metrics['member_latency_ms']:.1f} ms)"
    )
    if "test" not in metrics:
        return [
            "the ensemble has no score of its own: no test was given apart, and most of its networks have seen each image;"
            " the out-of-fold score is that of one network",
            cost,
        ]
    scores = [each[first.name]["value"] for each in metrics["member_tests"]]
    mine = metrics["test"][first.name]
    return [
        f"given test {first.title} of the ensemble {first.show_interval(mine)} (95 %, n = {mine['n']:,} images); of its"
        f" networks alone {first.show(sum(scores) / len(scores))} on average, {first.show(min(scores))} to"
        f" {first.show(max(scores))}",
        cost,
    ]


def _relative(path: Path, start: Path) -> str:
    return os.path.relpath(path, start).replace(os.sep, "/")


def _scores(found: FoldResults) -> ReportTable:
    """Returns one row per score that is a share or a number, over folds."""
    columns = (
        Column("score"),
        Column("mean over folds"),
        Column("standard deviation", note="Of the folds: how single networks and their images differ."),
        Column("lowest fold"),
        Column("highest fold"),
    )
    rows = tuple(
        (
            score.title,
            score.show_interval(one.interval._asdict()),
            score.show_amount(one.spread),
            score.show(one.least),
            score.show(one.most),
        )
        for score, one in found.scores().items()
    )
    sizes = found.sizes
    note = _NOTE.format(len(found.runs), sizes.test / sizes.train)
    return ReportTable("out_of_fold", "Out-of-fold scores", columns, rows, note)


def _folds(found: FoldResults) -> ReportTable:
    scores = list(found.scores())
    columns = (
        Column("fold"),
        Column("train", "count"),
        Column("val", "count"),
        Column("tested", "count"),
        *(Column(score.title, score.unit) for score in scores),
    )
    rows: list[tuple[Cell, ...]] = []
    for fold, metrics in found.metrics.items():
        images, test = found.images[fold], metrics["test"]
        intervals = [Interval(**{key: test[score.name][key] for key in Interval._fields}) for score in scores]
        rows.append((str(fold), images["train"], images.get("val", 0), images["test"], *intervals))
    note = "Intervals of one fold are over its images alone."
    return ReportTable("folds", "Folds", columns, tuple(rows), note)


def _ensemble(found: FoldResults, ensemble: Run) -> ReportTable:
    metrics, headline = ensemble.metrics(), found.task.headline
    first = next(iter(found.metrics.values()))
    member = next(iter(found.runs.values())).best_model.stat().st_size
    rows: list[tuple[Cell, ...]] = [
        ("one network", first["params"], first["macs"], member, metrics["member_latency_ms"], None),
        ("ensemble", metrics["params"], metrics["macs"], metrics["bytes"], metrics["latency_ms"], None),
    ]
    if "test" in metrics:
        values = [each[headline.name]["value"] for each in metrics["member_tests"]]
        rows[0] = (*rows[0][:-1], sum(values) / len(values))
        mine = metrics["test"][headline.name]
        rows[1] = (*rows[1][:-1], Interval(**{key: mine[key] for key in Interval._fields}))
    columns = (
        Column(""),
        Column("parameters", "count"),
        Column("MACs", "macs"),
        Column("file", "bytes"),
        Column("one image", "milliseconds", "Batch 1, float32, on the machine that made the ensemble."),
        Column(f"given test {headline.title}", headline.unit, "The mean of the single networks, and the ensemble."),
    )
    return ReportTable("ensemble", "The ensemble and what it costs", columns, tuple(rows))


def _chart(found: FoldResults) -> ScoreChart:
    points, headline = [], found.task.headline
    for fold, metrics in found.metrics.items():
        score = metrics["test"][headline.name]
        points.append((float(fold), Interval(**{key: score[key] for key in Interval._fields})))
    mean = found.scores()[headline].interval.value
    title = f"Test {headline.title} by fold (whiskers: 95 % over the images of the fold)"
    line = ScoreLine("fold", tuple(points), joined=False)
    return ScoreChart("by_fold", title, "fold", headline.title, (line,), unit=headline.unit, reference=("mean", mean))
