"""Score a trained network on a split: accuracy and other scores with intervals, calibration, robustness, explanations."""

import json
import sys
from typing import Any

from kerascnn.cli.command import command
from kerascnn.cli.escaping import one_line
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.data import preflight
from kerascnn.errors import DONE, UserError
from kerascnn.evaluation.evaluate_flags import Evaluate
from kerascnn.runs import finding
from kerascnn.scoring import task as tasks
from kerascnn.scoring.metrics import Score

# Which pixels are gray, and the width of the column.
_GREYED = {"before": 7, "hottest": 8, "elsewhere": 9, "scattered": 9}


@command
def main(argv: list[str]) -> int:
    """`kerascnn evaluate RUN`: prints the scores, or JSON."""
    asked = parse(Evaluate, argv, prog="kerascnn evaluate", description=__doc__ or "")
    if not asked.target:
        raise UserError("which network? kerascnn evaluate RUN (kerascnn evaluate --help)")
    asked = asked.model_copy(update={"target": str(finding.find(asked.target))})
    preflight.dataset(asked.dataset, asked.data_dir)
    screen = Screen(errors=asked.as_json)
    with starting(screen), quiet():
        from kerascnn.data import Room
        from kerascnn.evaluation import evaluating
    say = (lambda line: None) if asked.as_json else screen.say
    found = evaluating.evaluate(asked, say, Room(counting=screen.counting), screen)
    if asked.as_json:
        print(json.dumps(found, allow_nan=False))
    else:
        _show(screen, found)
    return DONE


def _show(screen: Screen, found: dict[str, Any]) -> None:
    from kerascnn.scoring import without_copies

    scores, task = found["scores"], tasks.of_facts(found)
    first = task.leading(scores)
    groups = f" in {scores['groups']:,} groups" if "groups" in scores else ""
    n, width = scores[first.name]["n"], max(20, *(len(row.title) for row in task.rows))
    screen.say(f"{'':<{width}} {'value':>8}  95 % interval      (n = {n:,} images{groups}, 1 network)")
    for row in task.rows:
        if scores.get(row.name) is not None:
            screen.say(f"{row.title:<{width}} {row.show_interval(scores[row.name], 8)}")
        if row.name == "ece" and "ece_null" in scores:
            null = scores["ece_null"]
            screen.say(
                f"  with chance's part {null['plain']:>8.2%}  a calibrated network: {null['median']:.2%},"
                f" below {null['high']:.2%} in 97.5 % of splits"
            )
    if said := without_copies.line(found["split"], scores, task):
        screen.say(said)
    _show_trust(screen, found["split"], scores)
    if "unknown" in found:
        _show_unknown(screen, found["unknown"])
    _show_temperature(screen, scores)
    if "tta" in found:
        interval = first.show_interval(found["tta"][first.name], 8)
        screen.say(f"{'with views: ' + found['tta']['views']:<20} {interval}")
    if task.several:
        _show_labels(screen, scores)
    else:
        _show_classes(screen, scores)
    _show_robustness(screen, found, first)
    if "explanation" in found:
        _show_explanation(screen, found["explanation"])


def _show_temperature(screen: Screen, scores: dict[str, Any]) -> None:
    if "temperature" in scores:
        reason = scores.get("temperature_reason")
        said = f"kept: val has {reason}" if reason else "fitted on these images: val's"
        screen.say(f"temperature          {scores['temperature']:>8.3f}  {said}")
    if "calibrated" in scores:
        cooled = scores["calibrated"]
        said = f"kept: val has {cooled['reason']}" if cooled.get("reason") else "fitted on val"
        screen.say(f"at temperature {cooled['temperature']:.3f}, {said}:")
        for row in tasks.SINGLE.shown_in("calibrated"):
            screen.say(f"  {row.title:<18} {row.show_interval(cooled[row.name], 8)}")


def _show_trust(screen: Screen, split: str, scores: dict[str, Any]) -> None:
    """Prints prediction sets with their coverage, by class and stratum, and the answers at an accuracy."""
    from kerascnn.scoring import prediction_sets, selective_answers

    if selective_answers.KEY in scores:
        screen.say(selective_answers.line(scores[selective_answers.KEY]))
    if prediction_sets.KEY not in scores:
        return
    entry = scores[prediction_sets.KEY]
    for line in [*prediction_sets.lines(split, entry), *prediction_sets.table(entry)]:
        screen.say(line)


def _show_unknown(screen: Screen, entry: dict[str, Any]) -> None:
    """Prints how well images of unknown classes are told from the run's own."""
    from kerascnn.evaluation import unknown

    for line in unknown.lines(entry):
        screen.say(line)


def _show_classes(screen: Screen, scores: dict[str, Any]) -> None:
    screen.say()
    screen.say(f"{'class':<24} {'n':>6} {'precision':>10} {'recall':>8} {'F1':>8}  95 % interval of F1")
    for row in sorted(scores["per_class"], key=lambda row: (row["f1"] is None, row["f1"])):
        values = [row["precision"] and row["precision"]["value"], row["recall"] and row["recall"]["value"], row["f1"]]
        precision, recall, f1 = ("-" if value is None else f"{value:.4f}" for value in values)
        spread = "" if row["f1"] is None else f"  [{row['f1_low']:.4f}, {row['f1_high']:.4f}]"
        screen.say(f"{one_line(row['name'])[:24]:<24} {row['n']:>6} {precision:>10} {recall:>8} {f1:>8}{spread}")
    for pair in scores["confused"][:3]:
        truth, answer = one_line(pair["truth"]), one_line(pair["answer"])
        screen.say(f"most confused: {truth} predicted as {answer}: {pair['count']} of {pair['n']}")
    for one in scores["worst_mistakes"][:3]:
        name, truth, answer = (one_line(str(one[key])) for key in ("id", "truth", "answer"))
        screen.say(f"worst mistake: {name}: {truth} predicted as {answer}, {one['probability']:.1%} sure")


def _show_labels(screen: Screen, scores: dict[str, Any]) -> None:
    """Prints a row for each label, the lowest average precision first, and the worst mistakes."""
    screen.say()
    if scores["chance"] is not None:
        screen.say(f"{tasks.MULTI.headline.title} of a random order: {scores['chance']:.2%}")
    if scores["left_out"]:
        named = ", ".join(map(one_line, scores["left_out"]))
        screen.say(f"left out of it, since all images or none have the label: {named}")
    columns = f"{'threshold':>10} {'precision':>10} {'recall':>8} {'F1':>8} {'AUC':>8} {'AP':>8}  95 % interval of AP"
    screen.say(f"{'label':<24} {'n':>6} {columns}")

    def rank(row: dict[str, Any]) -> tuple[bool, float]:
        found = row["average_precision"]
        return found is None, found["value"] if found else 0.0

    for row in sorted(scores["per_class"], key=rank):
        known = [row[key] and row[key]["value"] for key in ("precision", "recall")]
        known += [row["f1"], *(row[key] and row[key]["value"] for key in ("auroc", "average_precision"))]
        widths = (10, 8, 8, 8, 8)
        values = " ".join(
            f"{'-' if value is None else f'{value:.4f}':>{width}}" for value, width in zip(known, widths, strict=True)
        )
        found = row["average_precision"]
        spread = f"  [{found['low']:.4f}, {found['high']:.4f}]" if found else ""
        screen.say(f"{one_line(row['name'])[:24]:<24} {row['n']:>6} {row['threshold']:>10.4f} {values}{spread}")
    for one in scores["worst_mistakes"][:3]:
        truth, answer = (", ".join(one[key]) or "no label" for key in ("truth", "answer"))
        said = one_line(f"{one['id']}: {truth} predicted as {answer}; {one['label']} {one['probability']:.1%}")
        screen.say(f"worst mistake: {said}")


def _show_robustness(screen: Screen, found: dict[str, Any], first: Score) -> None:
    rows = found.get("corruptions", [])
    if rows:
        screen.say()
        severities = sorted({row["severity"] for row in rows})
        screen.say(f"{first.title} under (n = {rows[0]['n']:,})" + "".join(f"{severity:>9}" for severity in severities))
        for name in dict.fromkeys(row["corruption"] for row in rows):
            values = [row["value"] for row in rows if row["corruption"] == name]
            screen.say(f"  {name:<24}" + "".join(f"{value:>9.2%}" for value in values))
        mean = sum(row["value"] for row in rows) / len(rows)
        screen.say(f"  {'mean of all':<24}{mean:>9.2%}")
    for row in found.get("resolutions", []):
        screen.say(f"{first.title} at {row['pixels']:>4} px      {first.show_interval(row, 8)}")


def _show_explanation(screen: Screen, found: dict[str, Any]) -> None:
    if found["stages"]:
        _show_stages(screen, found)
    methods = found["methods"]
    screen.say()
    screen.say(
        f"maps by method, n = {methods['n']:,}: gain of the area under the curve over the same maps shifted at random"
    )
    boxes = methods.get("boxes")
    hits = f"  {'points into a box':<20}" if boxes else ""
    screen.say(f"{'method':<20} {'deletion':<24} {'insertion':<24} {'random head':<20}{hits}".rstrip())
    for method, row in methods["rows"].items():
        head = row["head_correlation"]
        same = "every map is empty" if head is None else f"{head['value']:.2f} [{head['low']:.2f}, {head['high']:.2f}]"
        values = " ".join(f"{_signed(row[key]):<24}" for key in ("deletion_gain", "insertion_gain"))
        screen.say(f"{method:<20} {values} {same:<20}{'  ' + _share(row['hits']) if boxes else ''}".rstrip())
    if boxes:
        chance, center = _share(boxes["chance"]), _share(boxes["center"])
        screen.say(f"boxes: n = {boxes['n']:,}; a random position hits {chance}, the center {center}")


def _signed(row: dict[str, float]) -> str:
    return f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _share(row: dict[str, float]) -> str:
    return f"{row['value']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"


def _show_stages(screen: Screen, found: dict[str, Any]) -> None:
    screen.say()
    screen.say(f"Grad-CAM of the predictions, n = {found['n']:,}: mean confidence with 20 % of the pixels gray")
    columns = f"{'stage':<7} {'before':>7} {'hottest':>8} {'elsewhere':>9} {'scattered':>9}  {'what the map knows':<24}"
    screen.say(f"{columns}  rank correlation with the map of a random head")
    for stage, row in found["stages"].items():
        head = row["head_correlation"]
        values = " ".join(f"{row[key]['value']:.3f}".rjust(width) for key, width in _GREYED.items())
        knows = _signed(row["drop"])
        same = "every map is empty" if head is None else f"{head['value']:.2f} [{head['low']:.2f}, {head['high']:.2f}]"
        screen.say(f"{stage:<7} {values}  {knows:<24}  {same}")


if __name__ == "__main__":
    sys.exit(main())
