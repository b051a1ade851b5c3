"""How training went, epoch by epoch: losses, scores and learning rate of one run; means and bands over seeds of several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from kerascnn.report import cells
from kerascnn.report.axes import SIZE, frame, legend, short
from kerascnn.report.drawing import FAINT, SERIES, Panel, Picture, hover
from kerascnn.report.report_tables import Unit
from kerascnn.scoring.task import of_column

# More strips than this, each with the values of its epoch under the pointer, make a page heavy.
STRIPS = 120


@dataclass(frozen=True)
class TrainingCurve:
    """How training went: the mean over seeds is drawn, the band reaches from the lowest to the highest seed.

    Args:
        label: The arch.
        runs: By seed the rows of history.csv.
        best: The epoch that val chose, where there is one seed.
    """

    label: str
    runs: Mapping[int, tuple[Mapping[str, float], ...]]
    best: int | None = None


class EpochLine(NamedTuple):
    """One line by epoch.

    Attributes:
        label: In the legend.
        points: (epoch, mean, lowest, highest), ascending.
        color: One of `drawing.SERIES`.
        dashed: Tells it apart from another of the same color.
    """

    label: str
    points: Sequence[tuple[float, float, float, float]]
    color: str
    dashed: bool = False


def _of_val(name: str) -> tuple[str, str]:
    """The column of history.csv that has val's score of this name, and its label: the score's own title."""
    row = of_column(f"val_{name}")
    assert row is not None, f"no score is called {name}"
    return f"val_{name}", f"val {row.title}"


def _of_train(name: str) -> tuple[str, str]:
    """The same of the training images, as they were shown."""
    return name, f"train {_of_val(name)[1].removeprefix('val ')} (augmented)"


# Title, unit and lines of a run's pictures; a line is (column of history.csv, label, color, dashed).
_OF_RUN: tuple[tuple[str, Unit, tuple[tuple[str, str, str, bool], ...]], ...] = (
    ("loss", "number", (("loss", "train (augmented)", SERIES[1], True), ("val_loss", "val", SERIES[0], False))),
    (
        "score",
        "share",
        (
            (*_of_train("accuracy"), SERIES[1], True),
            (*_of_train("mean_average_precision"), SERIES[1], True),
            (*_of_val("accuracy"), SERIES[0], False),
            (*_of_val("mean_average_precision"), SERIES[0], False),
            (*_of_val("macro_f1"), SERIES[2], False),
        ),
    ),
    ("learning rate", "number", (("lr", "learning rate", SERIES[3], False),)),
)
_OF_ARCHS: tuple[tuple[str, str, Unit], ...] = (
    (*_of_val("accuracy"), "share"),
    (*_of_val("mean_average_precision"), "share"),
    ("val_loss", "val loss", "number"),
    ("loss", "training loss (augmented)", "number"),
)


def of_run(curve: TrainingCurve) -> list[Picture]:
    """Loss, scores and learning rate of one run."""
    rows = next(iter(curve.runs.values()), ())
    pictures = []
    for title, unit, columns in _OF_RUN:
        lines = [
            EpochLine(
                label, [(row["epoch"], row[key], row[key], row[key]) for row in rows if key in row], color, dashed
            )
            for key, label, color, dashed in columns
        ]
        pictures.append(_picture(title, lines, unit, curve.best if title == "score" else None))
    return [picture for picture in pictures if picture is not None]


def of_archs(curves: Sequence[TrainingCurve]) -> list[Picture]:
    """Mean over seeds with the band from the lowest to the highest, for val score and losses."""
    pictures = []
    for key, title, unit in _OF_ARCHS:
        lines = [
            EpochLine(curve.label, band(curve, key), SERIES[i % len(SERIES)], i >= len(SERIES))
            for i, curve in enumerate(curves)
        ]
        pictures.append(_picture(title, lines, unit))
    return [picture for picture in pictures if picture is not None]


def band(curve: TrainingCurve, key: str) -> list[tuple[float, float, float, float]]:
    """(epoch, mean, lowest, highest) over the seeds; an epoch that some seeds lack would bend the mean."""
    by_epoch: dict[float, list[float]] = {}
    for rows in curve.runs.values():
        for row in rows:
            if key in row:
                by_epoch.setdefault(row["epoch"], []).append(row[key])
    full = max(map(len, by_epoch.values()), default=0)
    return [(e, float(np.mean(v)), min(v), max(v)) for e, v in sorted(by_epoch.items()) if len(v) == full]


def _picture(title: str, lines: Sequence[EpochLine], unit: Unit, best: int | None = None) -> Picture | None:
    """None where no line has a point."""
    known = [line for line in lines if line.points]
    if not known:
        return None
    chosen = "" if best is None else f", best epoch {best}"
    about = "at the end " + ", ".join(f"{line.label} {cells.show(line.points[-1][1], unit)}" for line in known)

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        for line in known:
            _line(axis, line)
        if best is not None:
            axis.axvline(best, color=FAINT, linewidth=1, linestyle=":", label=f"best epoch {best}")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.margins(x=0.02)
        epochs = sorted({point[0] for line in known for point in line.points})
        if len(epochs) == 1:
            axis.set_xlim(epochs[0] - 1, epochs[0] + 1)
        frame(axis, "epoch", title, unit)
        _strips(axis, epochs, known, unit)
        legend(figure, *axis.get_legend_handles_labels())

    return Picture(f"{title} by epoch{chosen}", about, SIZE, draw)


def _line(axis: Axes, line: EpochLine) -> None:
    x, y, low, high = (np.array(values, float) for values in zip(*line.points, strict=True))
    if (low != high).any():
        axis.fill_between(x, low, high, color=line.color, alpha=0.18, linewidth=0)
    marker = "o" if len(x) < 3 else None
    style = "--" if line.dashed else "-"
    axis.plot(x, y, color=line.color, label=short(line.label), linestyle=style, marker=marker)


def _strips(axis: Axes, epochs: Sequence[float], lines: Sequence[EpochLine], unit: Unit) -> None:
    """Upright strips that show the values of their epoch under the pointer."""
    axis.autoscale_view()  # autoscaling is lazy: a strip must neither come before it nor change it
    axis.autoscale(False)
    shown = epochs[:: -(-len(epochs) // STRIPS)]
    width = (shown[-1] - shown[0]) / max(len(shown) - 1, 1) or 1
    values = {line.label: {point[0]: point[1:] for point in line.points} for line in lines}
    for epoch in shown:
        known = [f"{label} {_value(*of[epoch], unit)}" for label, of in values.items() if epoch in of]
        strip = axis.axvspan(epoch - width / 2, epoch + width / 2, alpha=0, linewidth=0)
        hover(strip, f"epoch {epoch:g}: {', '.join(known)}")


def _value(mean: float, low: float, high: float, unit: Unit) -> str:
    spread = f" ({cells.show(low, unit)} to {cells.show(high, unit)})" if low != high else ""
    return cells.show(mean, unit) + spread
