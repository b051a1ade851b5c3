"""Turns a conclusion into the data of a page."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerascnn import statistics
from kerascnn.cli.escaping import as_file_name
from kerascnn.comparison.conclude import Conclusion, Pair
from kerascnn.comparison.contrasts import ArchPredictions
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.gallery import gallery
from kerascnn.comparison.outside_entries import OutsideEntry
from kerascnn.comparison.summary_lines import about, beside, p_value
from kerascnn.report.cells import show
from kerascnn.report.class_bars import BARS, ClassBar, ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.page import ComparisonPage, Statement
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.report_tables import Cell, Column, ReportTable
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.runs import identity
from kerascnn.scoring.metrics import Score
from kerascnn.statistics import MIN_SEEDS, Interval, calibration, several_labels
from kerascnn.statistics.calibration import ReliabilityBin

# The columns of the table of costs, each with its value for one arch.
COSTS: tuple[tuple[Column, Callable[[Entry], Any]], ...] = (
    (Column("parameters", "count"), lambda arch: arch.cost.params),
    (Column("MACs", "macs", "Multiply-adds of one image's inference."), lambda arch: arch.cost.macs),
    (
        Column(
            "training", "seconds", "Seconds of one run's epochs, mean over seeds, other jobs on the machine included."
        ),
        lambda arch: arch.train_seconds,
    ),
    (
        Column("training images/s", "number", "Warm steps, measured when the comparison was planned."),
        lambda arch: arch.cost.images_per_second,
    ),
    (
        Column(
            "latency p50",
            "milliseconds",
            "One image, float32, all archs measured in turn in each of several processes: the median process.",
        ),
        lambda arch: arch.cost.latency_p50,
    ),
    (Column("latency p95", "milliseconds"), lambda arch: arch.cost.latency_p95),
    (
        Column("best images/s", "number", "Inference in batches of 64, above 64 px of 16."),
        lambda arch: arch.cost.throughput,
    ),
    (Column("peak memory", "bytes", "Of a process that trains."), lambda arch: arch.cost.memory),
    (Column("export", "bytes", "SavedModel."), lambda arch: arch.cost.export),
    (
        Column("points per second", "number", "The main score, such as accuracy, in points over seconds of training."),
        lambda arch: 100 * _headline(arch) / arch.train_seconds if arch.train_seconds else None,
    ),
)


# Of --tune-each alone.
TUNING: tuple[Column, Callable[[Entry], Any]] = (
    Column("tuning", "seconds", "Seconds of the epochs of all runs whose val chose the settings."),
    lambda arch: arch.tuning_seconds,
)


def page(found: Conclusion, name: str, repeat: Sequence[str]) -> ComparisonPage:
    """Returns the page of a comparison."""
    return ComparisonPage(
        name=name,
        about=about(found),
        verdicts=tuple(
            Statement(pair.verdict.seen, (pair.verdict.decision, *pair.beside, pair.verdict.power), tuple(beside(pair)))
            for pair in found.verdicts
        ),
        scores=_scores(found),
        costs=_costs(found),
        curves=tuple(
            TrainingCurve(entry.label, {seed: tuple(run.history()) for seed, run in entry.runs.items()})
            for entry in found.best
            if entry.runs
        ),
        charts=tuple(_charts(found)),
        classes=_classes(found),
        confusions=() if found.task.several else tuple(_confusion(entry) for entry in found.best),
        calibrations=tuple(_calibration(entry) for entry in found.best if not entry.answers.by_class_only),
        tables=tuple(_tables(found)),
        gallery=gallery(found.verdicts[0]),
        config=_config(found.best),
        environment=_environment(found.best),
        repeat=tuple(repeat),
    )


def _over_runs(entry: Entry, values: Sequence[float], score: Score) -> Cell:
    """Returns the mean over runs with its interval, or the values if there are too few runs."""
    over = entry.over(values, score)
    if over is not None or len(values) == 1:
        return over or float(values[0])
    return ", ".join(show(value, score.unit) for value in values)


def _scores(found: Conclusion) -> ReportTable:
    first = found.task.headline
    scores = list(dict.fromkeys((found.rule, *found.task.shown_in("columns"))))
    split = found.best[0].split
    unit = "fold" if found.best[0].by_folds else "seed"
    columns = [Column("arch"), Column(f"{unit}s", "count")]
    columns += [Column(f"{split} {score.title}", score.unit) for score in scores]
    columns.append(Column(f"val {first.title}", first.unit))
    rows = []
    for entry in found.entries:
        val = entry.score("val", first.name)
        values = [
            _over_runs(entry, list(entry.answers.values(score.name).values()), score)
            if entry.answers.has(score)
            else None
            for score in scores
        ]
        rows.append((entry.label, len(entry.seeds), *values, _over_runs(entry, val, first) if val else None))
    images = len(found.entries[0].answers.labels)
    few = f"under {MIN_SEEDS} seeds each value"
    note = f"Means over seeds with 95 % t intervals over seeds ({few}), on the same {images:,} {split} images."
    if unit == "fold":
        note = f"Means over folds with the corrected resampled t; each of {images:,} images is tested once."
    return ReportTable("scores", "Scores", tuple(columns), tuple(rows), note)


def _headline(arch: Entry) -> float:
    """Returns the mean over seeds of the headline score."""
    return float(np.mean(list(arch.answers.values(arch.answers.task.headline.name).values())))


def _costs(found: Conclusion) -> ReportTable:
    tuned = any(arch.tuning_seconds is not None for arch in found.entries)
    shown = [*COSTS, TUNING] if tuned else COSTS
    columns = (Column("arch"), *(column for column, _ in shown))
    rows = tuple((arch.label, *(value(arch) for _, value in shown)) for arch in found.entries)
    return ReportTable("costs", "Costs", columns, rows)


def _charts(found: Conclusion) -> list[ScoreChart]:
    """Returns charts of the score against the axis of variants, and against costs."""
    rule, first = found.rule, found.best[0]
    over = "corrected t over folds" if first.by_folds else "t over seeds"
    title = f"{first.split.capitalize()} {rule.title} ({len(first.answers.labels):,} images, whiskers: {over})"
    axes = [
        ("score_by_macs", "multiply-adds", lambda entry: entry.cost.macs, True),
        ("score_by_latency", "milliseconds at batch 1", lambda entry: entry.cost.latency_p50, True),
    ]
    if found.axis:
        axes.insert(
            0, (f"score_by_{found.axis}", found.axis_title, lambda entry: entry.place, found.axis != "image_size")
        )
    charts = []
    for name, x, at, log in axes:
        if name != f"score_by_{found.axis}" and found.axis in ("lr", "fraction"):
            continue  # the network is always the same, so that its cost is not informative
        lines = []
        for arch in dict.fromkeys(entry.arch for entry in found.entries):
            mine = [(at(entry), entry) for entry in found.entries if entry.arch == arch]
            points = [(float(place), _point(entry, found.metric)) for place, entry in mine if place is not None]
            lines += [ScoreLine(arch, tuple(sorted(points)))] if points else []
        if not lines:
            continue  # costs that no system gives
        charts.append(ScoreChart(name, title, x, rule.title, tuple(lines), log, rule.unit))
    return charts


def _point(entry: Entry, metric: str) -> Interval:
    values = list(entry.answers.values(metric).values())
    mean = float(np.mean(values))
    # With too few seeds, whiskers extend from the lowest to the highest value.
    return entry.over(values, entry.answers.task.score(metric)) or Interval(mean, min(values), max(values), len(values))


def _classes(found: Conclusion) -> ClassBars:
    """Returns the recall, or average precision, by class of the first pair; the other pairs are in their statements."""
    pair = found.verdicts[0]
    rows = []
    for c, one in enumerate(pair.contrast.classes):
        values = tuple(_recall(entry, pair.contrast.seeds, c) for entry in (pair.first, pair.second))
        note = f"{one.difference.value * 100:+.1f} points" if one.difference else "too few images"
        if one.difference and one.p is not None:
            note += f", {p_value(one.p)}"
        rows.append(ClassBar(one.name, one.images, values, note))
    if len(rows) > BARS:  # if not all are drawn, those that differ most come first
        gaps = [abs(one.difference.value) if one.difference else 0.0 for one in pair.contrast.classes]
        rows = [rows[c] for c in sorted(range(len(rows)), key=lambda c: -gaps[c])]
    what = "Average precision" if found.task.several else "Recall"
    title = f"{what} by class: {pair.first.label} and {pair.second.label}"
    seeds = len(pair.contrast.seeds)
    over = pair.contrast.difference.over
    tested = f"p of the difference with {over} resampled, corrected for {len(rows)} classes (Holm)"
    note = f"Means over {seeds} seeds with t intervals; {tested}."
    if pair.contrast.unit == "fold":
        note = "All images out of fold, intervals over images; no class is said to differ."
    elif seeds < MIN_SEEDS:
        means = "Means of two seeds, from the lower to the higher" if seeds == 2 else "One seed, intervals over images"
        note = f"{means}; under {MIN_SEEDS} seeds no class is said to differ."
    return ClassBars(title, (pair.first.label, pair.second.label), tuple(rows), note)


def _recall(entry: Entry, seeds: Sequence[int], c: int) -> Interval | None:
    found = entry.answers
    seeds = tuple(found.by_seed) if entry.by_folds else seeds  # of folds all images at once
    if found.task.several:
        return _average_precision(found, seeds, c)
    mine = found.labels == c
    if not mine.any():
        return None
    right = [found.by_seed[seed].correct[mine] for seed in seeds]
    if len(right) == 1:
        return statistics.proportion(right[0], None if found.groups is None else found.groups[mine])
    values = [float(one.mean()) for one in right]
    mean = float(np.mean(values))
    return statistics.over_seeds(values, statistics.SHARE) or Interval(mean, min(values), max(values), len(values))


def _average_precision(found: ArchPredictions, seeds: Sequence[int], c: int) -> Interval | None:
    areas = [
        several_labels.ranking(found.by_seed[s].probabilities, found.labels, found.groups).classes[c] for s in seeds
    ]
    known = [area.average_precision for area in areas if area is not None]
    if len(known) < 2:
        return known[0] if known else None
    values = [one.value for one in known]
    mean = float(np.mean(values))
    return statistics.over_seeds(values, statistics.SHARE) or Interval(mean, min(values), max(values), len(values))


def _confusion(entry: Entry) -> ConfusionMatrix:
    found = entry.answers
    counts = np.sum([one.confusion() for one in found.by_seed.values()], axis=0)
    return ConfusionMatrix(entry.label, found.class_names, counts, len(found.by_seed))


def _calibration(entry: Entry) -> ReliabilityCurve:
    """Returns the calibration over seeds: confidences of all seeds in one diagram, the error as a mean over seeds."""
    found = entry.answers
    probabilities = [one.probabilities for one in found.by_seed.values()]
    if found.task.several:
        kept = several_labels.reliability(np.concatenate(probabilities), np.tile(found.labels, (len(probabilities), 1)))
        return ReliabilityCurve(entry.label, tuple(ReliabilityBin(*one) for one in kept), of_labels=True)
    bins = calibration.reliability(np.concatenate(probabilities), np.tile(found.labels, len(probabilities)))
    errors = [calibration.ece(each, found.labels, found.groups).interval for each in probabilities]
    # Seeds share their images, and with them most of the chance: the mean interval is that of an average seed.
    value, low, high = np.mean([one[:3] for one in errors], axis=0).tolist()
    ece = Interval(value, low, high, len(errors))
    return ReliabilityCurve(entry.label, tuple(bins), ece)


def _tables(found: Conclusion) -> list[ReportTable]:
    tables = [_two_way(found)] if found.table else []
    return [*tables, *(_pairs(pair) for pair in found.verdicts)]


def _two_way(found: Conclusion) -> ReportTable:
    """Returns variants by arch, and their differences with the verdict's interval."""
    rule = found.rule
    unit: Any = (rule.unit, "points" if rule.points else rule.unit)
    archs = [entry.arch for entry in found.best]
    columns = [Column(found.axis_title), *(Column(arch, unit[0]) for arch in archs)]
    columns += [Column(f"{arch} - {archs[0]}", unit[1]) for arch in archs[1:]]
    rows = []
    for variant in dict.fromkeys(pair.first.variant for pair in found.table):
        scores: dict[str, Any] = {
            entry.arch: _over_runs(entry, list(entry.answers.values(found.metric).values()), rule)
            for entry in found.entries
            if entry.variant == variant
        }
        pairs = {pair.second.arch: _interval(pair) for pair in found.table if pair.first.variant == variant}
        rows.append((variant, *map(scores.get, archs), *map(pairs.get, archs[1:])))
    rows_of = len(found.table)
    note = (
        "Scores with t intervals over seeds; differences with images and seeds resampled, each at the level at which Holm's"
        f" test of {rows_of} rows judges it: one whose interval holds 0 is not said to differ."
    )
    return ReportTable(
        "two_way",
        f"{found.best[0].split.capitalize()} {rule.title} by {found.axis_title} and arch",
        tuple(columns),
        tuple(rows),
        note,
    )


def _interval(pair: Pair) -> Interval:
    difference = pair.contrast.difference
    return Interval(difference.value, difference.low, difference.high, difference.images)


def _pairs(pair: Pair) -> ReportTable:
    """Returns the pairs of runs by seed."""
    found, rule = pair.contrast, pair.contrast.first.task.score(pair.contrast.metric)
    columns = (
        Column(found.unit),
        Column(pair.first.label, rule.unit),
        Column(pair.second.label, rule.unit),
        Column(f"right only by {pair.first.label}", "count"),
        Column(f"right only by {pair.second.label}", "count"),
        Column("exact McNemar p", "number"),
    )
    first, second = (answers.values(found.metric) for answers in (found.first, found.second))
    rows = tuple(
        (str(seed), first[seed], second[seed], *test) for seed, test in zip(found.seeds, found.pairs, strict=True)
    )
    note = "Right means all labels right. " if found.first.task.several else ""
    note += "McNemar asks whether these two runs differ on other images; it says nothing of other seeds, and is never pooled."
    title = f"Pairs of runs: {pair.first.label} and {pair.second.label}, {pair.first.split} {rule.title}"
    return ReportTable(f"pairs_{as_file_name(pair.second.arch)}", title, columns, rows, note)


def _config(entries: Sequence[Entry]) -> ReportTable | None:
    """Returns the keys whose values differ between the archs; None without runs, which alone have configs."""
    flats = []
    entries = [entry for entry in entries if entry.runs]
    if not entries:
        return None
    for entry in entries:
        run = next(iter(entry.runs.values()))
        flats.append(identity(run.config(), run.data()["fingerprint"]))
    keys = sorted({key for flat in flats for key in flat} - {"fit.seed"})
    differ = [key for key in keys if len({str(flat.get(key)) for flat in flats}) > 1]
    rows = tuple((key, *(str(flat.get(key, "default")) for flat in flats)) for key in differ)
    columns = (Column("key"), *(Column(entry.label) for entry in entries))
    return ReportTable("config", "What differs between the configs", columns, rows)


def _environment(entries: Sequence[Entry]) -> tuple[tuple[str, str], ...]:
    """Returns the environment of all starts of all runs, usually with one value each."""
    starts = [start for entry in entries for run in entry.runs.values() for start in run.environment()]
    keys = ("python", "tensorflow", "keras", "machine", "reason", "threads", "policy", "git_commit")
    found = {key: sorted({str(start[key]) for start in starts if start.get(key) is not None}) for key in keys}
    outside = [(entry.arch, entry.source) for entry in entries if isinstance(entry, OutsideEntry)]
    return (*((key, ", ".join(values)) for key, values in found.items() if values), *outside)
