"""Turns a finished run's directory into its page; every number comes from metrics.json, history.csv and predictions/."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from kerascnn.architectures import own
from kerascnn.report import run_pictures
from kerascnn.report.page import Gallery, RunPage, Statement
from kerascnn.report.report_tables import Column, ReportTable, Unit
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.runs import Run, identity, with_door
from kerascnn.scoring import prediction_sets, without_copies
from kerascnn.scoring.split_scores import symptoms
from kerascnn.scoring.task import Task
from kerascnn.statistics import Interval

SPLITS = ("test", "val", "train")
# cost -> (title in the page, unit)
COSTS: dict[str, tuple[str, Unit]] = {
    "params": ("parameters", "count"),
    "macs": ("multiply-adds per image", "macs"),
    "epochs": ("epochs", "count"),
    "train_seconds": ("training time", "seconds"),
    "images_per_second": ("training images per second", "count"),
}


def run_page(run: Run, gallery: Gallery | None = None, metrics: Mapping[str, Any] | None = None) -> RunPage:
    """Returns the page of a finished run.

    Args:
        run: A finished run.
        gallery: Images with predictions, from `worst`.
        metrics: The content of metrics.json before it is written.
    """
    metrics = run.metrics() if metrics is None else metrics
    config, data, task = run.config(), run.data(), run.task
    arch = own.shown(config.model.arch)
    there = [name for name in SPLITS if name in metrics]
    scored = there[0]
    start, history = run.environment()[-1], run.history()
    images = ", ".join(f"{count:,} {name}" for name, count in data["images"].items())
    return RunPage(
        name=run.name,
        about=f"{arch} on {data['name']} ({images}; {len(data['class_names'])} classes,"
        f" {data['image_size']} px), {start['reason']}, finished {metrics['finished']}",
        verdict=_verdict(metrics, scored, task),
        scores=_scores(metrics, there, task),
        losses=_losses(metrics, there, task),
        costs=_costs(metrics, arch),
        curve=TrainingCurve(arch, {config.fit.seed: tuple(history)}, metrics["best_epoch"])
        if history
        else None,  # of an ensemble
        classes=run_pictures.class_bars(metrics[scored], scored),
        confusions=run_pictures.confusions(run, there),
        calibrations=run_pictures.reliability(run, metrics, there),
        ranking=run_pictures.ranking(run, scored),
        selective=run_pictures.selective(run, there),
        charts=run_pictures.robustness(metrics[scored], arch, task),
        tables=_tables(metrics[scored], task),
        gallery=gallery,
        config=_differences(identity(config, data["fingerprint"])),
        environment=_environment(start),
        repeat=(
            with_door(start["command"]),
            *([f"python -m kerascnn.fit --config {shlex.quote(str(run.config_file))} --run again"] if history else []),
        ),
    )


def _verdict(metrics: Mapping[str, Any], split: str, task: Task) -> Statement:
    scores = metrics[split]
    headline = task.leading(scores)
    first = Interval(**scores[headline.name])
    marked = metrics["test_is_val"] or split == "val"
    lines = [said] if (said := without_copies.line(split, scores, task)) else []
    lines += _by_labels(metrics, scores) if task.several else _by_class(scores)
    lines += ["Val chose this model: no test set was kept apart."] if marked else []
    lines += symptoms(scores, split, task)
    groups = f" in {scores['groups']:,} groups" if "groups" in scores else ""
    said = (
        f"{split} {headline.title} {first.value * 100:.2f} % [{first.low * 100:.2f}, {first.high * 100:.2f}]"
        f" (95 %, n = {first.n:,} images{groups}, {_networks(metrics)})"
    )
    return Statement(said, tuple(lines))


def _by_class(scores: Mapping[str, Any]) -> list[str]:
    lowest = scores["worst_class"]
    lines = [f"Always answering the largest class scores {scores['majority'] * 100:.2f} %."]
    if lowest["f1"] is not None:
        lines.append(f"Hardest class: {lowest['name']} (F1 {lowest['f1']:.3f}, n = {lowest['n']:,}).")
    return lines


def _by_labels(metrics: Mapping[str, Any], scores: Mapping[str, Any]) -> list[str]:
    """Returns what a random order would score, the hardest label, and how labels are decided."""
    lines = []
    if lowest := scores["worst_class"]:
        precision = lowest["average_precision"]["value"]
        lines.append(f"A random order of the images scores {scores['chance'] * 100:.2f} %.")
        lines.append(
            f"Hardest class: {lowest['name']} (average precision {precision:.3f}, n = {lowest['n']:,} with it)."
        )
    chosen = metrics.get("thresholds", {}).get("chosen_on")
    how = f"were chosen on {chosen}, by the highest F1" if chosen else "are 0.5: there was no val to choose them"
    return [*lines, f"A label is predicted from its threshold on; thresholds {how}."]


def _networks(metrics: Mapping[str, Any]) -> str:
    if "soup" in metrics:
        return f"the mean of the weights of {len(metrics['soup']['taken'])} networks"
    return f"an ensemble of {len(metrics['members'])} networks" if "members" in metrics else "1 seed"


def _scores(metrics: Mapping[str, Any], there: Sequence[str], task: Task) -> ReportTable:
    """Returns one row per score that is a share, with one column per split."""
    counts = ", ".join(f"{name}: n = {metrics[name][task.leading(metrics[name]).name]['n']:,}" for name in there)
    rows = _rows(metrics, there, "share", task)
    note = f"95 % intervals over {_units(metrics, there)}; {counts}."
    note += "".join(_with_chance(split, metrics[split]["ece_null"]) for split in there if "ece_null" in metrics[split])
    return ReportTable(
        "scores", "Scores", (Column("score"), *(Column(name, "share") for name in there)), tuple(rows), note
    )


def _losses(metrics: Mapping[str, Any], there: Sequence[str], task: Task) -> ReportTable | None:
    """Returns one row per other score, with one column per split."""
    rows = _rows(metrics, there, "number", task)
    columns = (Column("loss"), *(Column(name, "number") for name in there))
    lower = all(score.better == "min" for score in task.rows if score.unit == "number")
    note = f"{'Lower is better. ' if lower else ''}95 % intervals over {_units(metrics, there)}."
    val = metrics.get("val", {})
    if (temperature := val.get("temperature")) is not None:
        reason = val.get("temperature_reason")
        fitted = f"The temperature fitted on val is {temperature:.3f}."
        note += f" The temperature stays 1: val has {reason}." if reason else f" {fitted}"
    return ReportTable("losses", "Losses", columns, tuple(rows), note) if rows else None


def _with_chance(split: str, null: dict[str, float]) -> str:
    return (
        f" With what chance adds, the ECE of {split} is {null['plain']:.2%}; that of a calibrated network would be"
        f" {null['median']:.2%}, and below {null['high']:.2%} in 97.5 % of splits."
    )


def _units(metrics: Mapping[str, Any], there: Sequence[str]) -> str:
    grouped = [f"{metrics[split]['groups']:,} of {split}" for split in there if "groups" in metrics[split]]
    return f"whole groups of images ({', '.join(grouped)})" if grouped else "images"


def _rows(metrics: Mapping[str, Any], there: Sequence[str], kind: Unit, task: Task) -> list[tuple[Any, ...]]:
    """A row for each score of this unit that a split has, and for each at val's temperature."""
    of_splits = [metrics[split] for split in there]
    cooled = [scores.get("calibrated", {}) for scores in of_splits]
    rows: list[tuple[Any, ...]] = []
    for mark, sources in (("", of_splits), (" at val's temperature", cooled)):
        for score in task.rows:
            found = [source.get(score.name) for source in sources]
            if score.unit == kind and any(found):
                title = ", ".join(filter(None, (score.title + mark, score.about)))
                rows.append((title, *(one and Interval(**one) for one in found)))
    return rows


def _costs(metrics: Mapping[str, Any], arch: str) -> ReportTable:
    known = [(key, title, unit) for key, (title, unit) in COSTS.items() if key in metrics]
    columns = (Column("arch"), *(Column(title, unit) for _, title, unit in known))
    return ReportTable("costs", "What it costs", columns, ((arch, *(metrics[key] for key, _, _ in known)),))


def _tables(scores: dict[str, Any], task: Task) -> tuple[ReportTable, ...]:
    found = (
        _sets(scores[prediction_sets.KEY]) if prediction_sets.KEY in scores else None,
        *(_explanation(scores["explanation"]) if "explanation" in scores else ()),
        _confused(scores["confused"]) if scores.get("confused") else None,
        _views(scores, scores["tta"], task) if "tta" in scores else None,
    )
    return tuple(table for table in found if table is not None)


def _sets(entry: Mapping[str, Any]) -> ReportTable:
    """Returns the coverage of prediction sets, of all images and by class."""
    rules = entry["rules"]
    shown = [("one threshold", rules["marginal"])] + (
        [("one for each class", rules["class"])] if "class" in rules else []
    )
    columns = [Column("class")]
    for title, _ in shown:
        columns += [Column(f"coverage, {title}", "share"), Column(f"size, {title}", "number")]
    whole: list[Any] = ["all images"]
    for _, one in shown:
        covered = Interval(**one["coverage"]) if "coverage" in one else None
        whole += [covered, one["size"]["value"]]
    rows: list[tuple[Any, ...]] = [tuple(whole)]
    for i, row in enumerate(shown[0][1]["per_class"]):
        cells: list[Any] = [row["name"]]
        for _, one in shown:
            mine = one["per_class"][i]
            cells += [mine["coverage"] and Interval(**mine["coverage"]), mine["size"]]
        rows.append(tuple(cells))
    note = " ".join(prediction_sets.lines("test", entry)) + ". 95 % intervals over images."
    return ReportTable("prediction_sets", "Prediction sets", tuple(columns), tuple(rows), note)


def _explanation(found: dict[str, Any]) -> tuple[ReportTable, ...]:
    stages = (_stages(found),) if found["stages"] else ()
    return (*stages, _methods(found["methods"])) if "methods" in found else stages


def _methods(found: dict[str, Any]) -> ReportTable:
    boxes = found.get("boxes")
    keys = (
        "deletion",
        "insertion",
        "deletion_gain",
        "insertion_gain",
        "head_correlation",
        *(("hits",) if boxes else ()),
    )
    columns = (
        Column("method"),
        Column(
            "deletion", "number", "Area under the confidence while the hottest pixels turn grey first: low is good."
        ),
        Column("insertion", "number", "Area under it while they appear first: high is good."),
        Column(
            "deletion gain", "number", "Lower than with the same maps shifted at random: 0 is no better than chance."
        ),
        Column("insertion gain", "number", "Higher than with them."),
        Column("random head", "number", "Rank correlation with the map of a random head: near 1 is bad."),
        *((Column("in a box", "share", "Hottest position inside of a box of the image's class."),) if boxes else ()),
    )
    rows = tuple((name, *(row[key] and Interval(**row[key]) for key in keys)) for name, row in found["rows"].items())
    note = f"n = {found['n']:,} images, 95 % intervals over them."
    if boxes:
        chance, center = boxes["chance"]["value"], boxes["center"]["value"]
        note += f" Boxes: n = {boxes['n']:,}; a random position hits {chance:.1%}, the center {center:.1%}."
    return ReportTable("maps_by_method", "Which maps show what matters?", columns, rows, note)


def _stages(found: dict[str, Any]) -> ReportTable:
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
    return ReportTable("explanation", "Does Grad-CAM show what matters?", columns, rows, note)


def _confused(pairs: Sequence[dict[str, Any]]) -> ReportTable:
    columns = (Column("truth"), Column("predicted as"), Column("images", "count"), Column("of", "count"))
    rows = tuple((pair["truth"], pair["answer"], pair["count"], pair["n"]) for pair in pairs)
    return ReportTable("confused", "Most confused pairs", columns, rows)


def _views(scores: dict[str, Any], several: dict[str, Any], task: Task) -> ReportTable:
    first = task.leading(scores)
    columns = (Column("views"), Column(first.title, first.unit), Column("log loss", "number"))
    rows = tuple(
        (name, Interval(**one[first.name]), Interval(**one["loss"]))
        for name, one in (("one look", scores), (f"mean over views: {several['views']}", several))
    )
    return ReportTable("views", "Several looks at each image", columns, rows)


def _differences(flat: dict[str, Any]) -> ReportTable:
    rows = tuple((key, str(value)) for key, value in flat.items() if key != "data.fingerprint")
    note = "Everything else is the default."
    return ReportTable("config", "What differs from the defaults", (Column("key"), Column("value")), rows, note)


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
