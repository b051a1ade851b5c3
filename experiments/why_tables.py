"""The tables and the picture of `why.py`, from what it measured."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import why_measures as measures
from kerascnn import statistics
from kerascnn.comparison.contrasts import ArchPredictions, contrast
from kerascnn.report import markdown
from kerascnn.report.cells import show
from kerascnn.report.drawing import GRID, saved
from kerascnn.report.report_tables import Cell, Column, ReportTable, Unit
from kerascnn.runs import Run
from kerascnn.runs.files import write_file
from kerascnn.statistics import SHARE, Interval

Rows = Mapping[str, Mapping[int, dict[str, Any]]]
STAGES = ("stem", "stage1", "stage2", "stage3")
_SKELETON = "# Four questions from the article\n\n{facts}\n\n" + "\n\n".join(
    f"## {title}\n\n" + "\n\n".join(f"{{{name}}}" for name in names)
    for title, names in (
        ("Why residual?", ("depth", "gradients")),
        ("What does residual change against a plain connection?", ("lesions",)),
        ("Why several kernel sizes?", ("branches", "zoom")),
        ("What does a plain convolution layer lack?", ("plain",)),
    )
)


def write(out: Path, rows: Rows, runs: Mapping[str, Mapping[int, Run]], facts: str) -> None:
    """why.md and why.png; words around the tables of a why.md that is there stay.

    Args:
        out: The folder.
        rows: What `why.Store` kept, by network and seed.
        runs: The finished runs, by network and seed.
        facts: What the runs have in common: data, epochs, device, commit, command.
    """
    found = tables(rows, runs)
    blocks = {
        name: "\n".join(markdown.table_markdown(table)).replace("## ", "### ", 1) for name, table in found.items()
    }
    file = out / "why.md"
    text = file.read_text(encoding="utf-8") if file.exists() else _fill(_SKELETON, {"facts", *blocks})
    for name, block in {"facts": facts, **blocks}.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", lambda m, b=block: m[1] + b + m[2], text, flags=re.S
        )
    write_file(file, (text.rstrip() + "\n").encode())
    write_file(out / "why.png", saved(picture(rows, runs), "png", facecolor="white", metadata={"Software": None}))


def _fill(skeleton: str, names: set[str]) -> str:
    present = [name for name in re.findall(r"\{(\w+)\}", skeleton) if name in names]
    empty = {name: f"<!-- {name} -->\n\n<!-- /{name} -->" for name in present}
    return re.sub(r"\{(\w+)\}\n*", lambda m: f"{empty[m[1]]}\n\n" if m[1] in empty else "", skeleton)


def tables(rows: Rows, runs: Mapping[str, Mapping[int, Run]]) -> dict[str, ReportTable]:
    """Every table by its name in why.md."""
    nets, modules = [name for name in rows if _is_resnet(name)], [name for name in rows if not _is_resnet(name)]
    same = [name for name in rows if name.endswith(" 20") or name in modules]
    pairs = [(name.replace("residual", "plain"), name) for name in nets if name.startswith("residual")]
    return {
        "depth": _scores("depth", "Test accuracy by depth", nets, rows, runs, dict(pairs)),
        "gradients": _gradients(nets, rows),
        "lesions": _lesions(nets, rows),
        "branches": _scores(
            "branches",
            "Test accuracy by branches, at equal MACs",
            modules,
            rows,
            runs,
            dict.fromkeys(modules[1:], modules[0]),
        ),
        "zoom": _zoom([name for name in same if name in modules or name == "residual 20"], rows),
        "plain": _summary(same, rows),
    }


def _is_resnet(name: str) -> bool:
    return name.startswith(("residual", "plain"))


def over_seeds(
    found: Mapping[int, Any],
    value: Callable[[dict[str, Any]], float],
    within: tuple[float | None, float | None] = (None, None),
) -> Cell:
    """The mean over seeds with its t interval, within what the score can be; under three seeds each value."""
    return spread([value(row) for row in found.values()], within)


def spread(values: Sequence[float], within: tuple[float | None, float | None] = (None, None)) -> Cell:
    """The same of values, one per seed."""
    over = statistics.over_seeds(values, within)
    unit: Unit = "share" if within == SHARE else "number"
    return over if over is not None else ", ".join(show(value, unit) for value in values)


def _scores(
    name: str,
    title: str,
    nets: Sequence[str],
    rows: Rows,
    runs: Mapping[str, Mapping[int, Run]],
    against: Mapping[str, str],
) -> ReportTable:
    """Scores, and for the networks in `against` how far they are behind another one."""
    columns = (
        Column("network"),
        Column("parameters", "count"),
        Column("MACs", "macs"),
        Column("test accuracy", "share"),
        Column("seeds"),
        Column("minus", note="the network that the difference is against"),
        Column("difference", "points", "paired by image and seed, both resampled"),
    )
    answers = {net: ArchPredictions.read(net, dict(runs[net])) for net in nets}
    lines: list[tuple[Cell, ...]] = []
    for net in nets:
        row = next(iter(rows[net].values()))
        other = against.get(net)
        each = ", ".join(f"{one['accuracy'] * 100:.1f}" for one in rows[net].values())
        accuracy = over_seeds(rows[net], lambda one: one["accuracy"], SHARE)
        line: tuple[Cell, ...] = (net, row["params"], row["macs"], accuracy, each)
        if other is None:
            lines.append((*line, None, None))
        else:
            difference = contrast(answers[other], answers[net], "accuracy").difference
            found = Interval(difference.value, difference.low, difference.high, difference.images)
            lines.append((*line, other, found))
    images = len(next(iter(answers.values())).labels)
    return ReportTable(
        name, title, columns, tuple(lines), f"{images:,} test images, {_seeds(rows)} seeds; 95 % intervals."
    )


def _seeds(rows: Rows) -> int:
    return min(len(found) for found in rows.values())


def _gradients(nets: Sequence[str], rows: Rows) -> ReportTable:
    columns = [Column("network"), Column("when"), *(Column(stage, "number") for stage in STAGES)]
    columns.append(Column("stem / stage3", "number", "mean over seeds of the ratio"))
    lines = []
    for net in nets:
        for when in ("before", "after"):
            by_seed = [measures.by_stage(row[f"gradients_{when}"]) for row in rows[net].values()]
            means = [float(np.mean([found[stage] for found in by_seed])) for stage in STAGES]
            ratio = float(np.mean([found["stem"] / found["stage3"] for found in by_seed]))
            lines.append((net, f"{when} training", *means, ratio))
    note = f"Norm of the loss's gradient in all weights of a stage, mean over 256 training images and {_seeds(rows)} seeds."
    return ReportTable("gradients", "Gradient norm by stage", tuple(columns), tuple(lines), note)


def _lesions(nets: Sequence[str], rows: Rows) -> ReportTable:
    columns = (
        Column("network"),
        Column("whole", "share"),
        Column("without one block", "share", "mean over blocks"),
        Column("without the worst one", "share"),
        Column("blocks", "count", "those that keep their input's shape"),
        Column("reach, px", "number", "spread of the last stage's effective receptive field"),
    )
    lines = []
    for net in nets:
        found = rows[net]
        blocks = {seed: [v for k, v in row["without"].items() if k != "whole"] for seed, row in found.items()}
        lines.append(
            (
                net,
                over_seeds(found, lambda row: row["without"]["whole"], SHARE),
                spread([float(np.mean(values)) for values in blocks.values()], SHARE),
                spread([min(values) for values in blocks.values()], SHARE),
                len(next(iter(blocks.values()))),
                over_seeds(found, lambda row: row["reach"]),
            )
        )
    note = f"Accuracy on 500 test images after training, {_seeds(rows)} seeds; 95 % t intervals over seeds."
    return ReportTable("lesions", "One block left out of a trained network", columns, tuple(lines), note)


def _zoom(nets: Sequence[str], rows: Rows) -> ReportTable:
    columns = (Column("network"), *(Column(f"x {factor:g}", "share") for factor in measures.ZOOMS))
    lines = tuple(
        (net, *(over_seeds(rows[net], lambda row, f=factor: row["zoom"][f"{f:g}"], SHARE) for factor in measures.ZOOMS))
        for net in nets
    )
    note = f"All test images, {_seeds(rows)} seeds; 95 % t intervals over seeds. Trained at x 1 alone."
    return ReportTable("zoom", "Test accuracy by zoom, at equal MACs", columns, lines, note)


def _summary(nets: Sequence[str], rows: Rows) -> ReportTable:
    columns = (
        Column("network"),
        Column("test accuracy", "share"),
        Column("log loss", "number"),
        Column("reach, px", "number"),
        Column("at zoom 0.5", "share"),
        Column("at zoom 2", "share"),
        Column("training", "seconds", "mean of a run, other jobs beside"),
    )
    lines = tuple(
        (
            net,
            over_seeds(rows[net], lambda row: row["accuracy"], SHARE),
            over_seeds(rows[net], lambda row: row["loss"]),
            over_seeds(rows[net], lambda row: row["reach"]),
            over_seeds(rows[net], lambda row: row["zoom"]["0.5"], SHARE),
            over_seeds(rows[net], lambda row: row["zoom"]["2"], SHARE),
            float(np.mean([row["seconds"] for row in rows[net].values()])),
        )
        for net in nets
    )
    note = f"{_seeds(rows)} seeds; 95 % t intervals over seeds. Plain 20 and 3x3 alone are stacks of plain 3x3 convolutions."
    return ReportTable("plain", "Everything at equal MACs", columns, lines, note)


def picture(rows: Rows, runs: Mapping[str, Mapping[int, Run]]) -> Figure:
    """Val accuracy by epoch, gradient norm by block, accuracy without a block, accuracy by zoom."""
    nets = [name for name in rows if _is_resnet(name)]
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    curves, gradients, lesions, zoom = figure.subplots(2, 2).flat
    for i, net in enumerate(nets):
        style = {"color": f"C{i // 2}", "linestyle": "--" if net.startswith("plain") else "-", "label": net}
        _band(curves, [[row["val_accuracy"] for row in run.history()] for run in runs[net].values()], style, first=1)
        blocks = [place for place in next(iter(rows[net].values()))["gradients_before"] if "_block" in place]
        norms = [[row["gradients_before"][place] for place in blocks] for row in rows[net].values()]
        _band(gradients, norms, style, first=1)
        left = [place for place in next(iter(rows[net].values()))["without"] if place != "whole"]
        drops = [[row["without"][place] for place in left] for row in rows[net].values()]
        _band(lesions, drops, style, first=1)
    for i, net in enumerate(name for name in rows if not _is_resnet(name) or name == "residual 20"):
        scores = [[row["zoom"][f"{factor:g}"] for factor in measures.ZOOMS] for row in rows[net].values()]
        _band(zoom, scores, {"color": f"C{i}", "label": net}, places=measures.ZOOMS)
    gradients.set_yscale("log")
    zoom.set_xscale("log")
    zoom.set_xticks(measures.ZOOMS, [f"{factor:g}" for factor in measures.ZOOMS])
    zoom.minorticks_off()
    for axis, title, x in (
        (curves, "val accuracy", "epoch"),
        (gradients, "gradient norm before training, by block", "block"),
        (lesions, "test accuracy without this block", "block (those that keep their input's shape)"),
        (zoom, "test accuracy by zoom, equal MACs", "zoom"),
    ):
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel(x, fontsize=9)
        axis.grid(color=GRID, linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(fontsize=8, frameon=False)
    figure.suptitle(f"means over {_seeds(rows)} seeds, bands from the lowest to the highest", fontsize=9)
    return figure


def _band(
    axis: Axes, values: Sequence[Sequence[float]], style: Mapping[str, Any], *, first: int = 0, places: Any = None
) -> None:
    table = np.array(values)
    x = np.arange(first, first + table.shape[1]) if places is None else np.array(places)
    axis.fill_between(x, table.min(axis=0), table.max(axis=0), color=style["color"], alpha=0.15, linewidth=0)
    axis.plot(x, table.mean(axis=0), marker="o", markersize=3, linewidth=1.4, **style)
