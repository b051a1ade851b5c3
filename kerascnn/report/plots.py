"""Pictures of a run: each function returns a matplotlib Figure, `png` makes bytes of it. No pyplot, no global state.

Class names come from users: they may be long, in any script, or hold what matplotlib would read as mathematics.
"""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kerascnn.report import drawing
from kerascnn.report.drawing import png
from kerascnn.scoring.predictions import Predictions

__all__ = ["png"]

INK, FAINT, GRID = "#24292f", "#6e7781", "#d8dee4"
RIGHT, WRONG = "#1a7f37", "#cf222e"
TRAIN, VAL, OTHER = "#8c959f", "#0969da", "#bf8700"

# More images than this make pictures too small to see.
GALLERY = 24
# Up to this many classes a cell of the confusion matrix has room for its count.
COUNTED = 30
# More names than this would stand in each other's way; every second, third, ... is shown then.
NAMED = 100


def image_grid(
    images: np.ndarray,
    titles: Sequence[str],
    *,
    wrong: Sequence[bool] | None = None,
    heading: str = "",
) -> Figure:
    """Images with a title each, six in a row.

    Args:
        images: Raw pixels 0-255, [n, H, W, 3]; the first GALLERY are shown.
        titles: One per image; a newline starts its second line.
        wrong: Per image, whether its title is red (and otherwise green); None: all plain.
        heading: Above all.
    """
    shown = min(len(images), GALLERY)
    columns = min(6, max(shown, 1))
    rows = max(math.ceil(shown / columns), 1)
    small = shown > 0 and images.shape[1] <= 64
    with drawing.style():
        figure = Figure(figsize=(1.75 * max(columns, 3), 2.3 * rows + 0.55), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for i, axis in enumerate(axes.flat):
            axis.axis("off")
            if i >= shown:
                continue
            pixels = np.clip(np.asarray(images[i]), 0, 255).astype("uint8")
            axis.imshow(pixels, interpolation="nearest" if small else "antialiased")
            color = INK if wrong is None else WRONG if wrong[i] else RIGHT
            title = "\n".join(_short(line, 32) for line in titles[i].split("\n"))
            axis.set_title(title, fontsize=8, color=color)
        figure.suptitle(_plain(heading), fontsize=11, color=INK)
    return figure


def predictions(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], heading: str = ""
) -> Figure:
    """Images with what the model answered: green where right, red with the truth below where wrong.

    Args:
        images: Raw pixels 0-255, [n, H, W, 3].
        labels: True classes, [n].
        probabilities: [n, C].
        class_names: C names.
        heading: Above all.
    """
    answers = probabilities.argmax(axis=1)
    titles = [
        f"{_short(class_names[answer])} {probability[answer]:.0%}"
        + (f"\ntruth: {_short(class_names[label], 18)} {probability[label]:.0%}" if answer != label else "")
        for label, answer, probability in zip(labels, answers, probabilities, strict=True)
    ]
    return image_grid(images, titles, wrong=list(answers != labels), heading=heading)


def worst_mistakes(images: np.ndarray, found: Predictions, class_names: Sequence[str]) -> Figure:
    """The worst mistakes, each with what was answered and the truth.

    Args:
        images: Raw pixels 0-255 of `found.worst(GALLERY)`, in its order.
        found: Predictions of all images.
        class_names: C names.

    Raises:
        ValueError: Another number of images than of mistakes to show.
    """
    worst = found.worst(GALLERY)
    if len(images) != len(worst):
        raise ValueError(f"expected the {len(worst)} worst mistakes, got {len(images)}")
    total = int((~found.correct).sum())
    if not total:
        return _words(f"no mistakes among {len(found)} images")
    heading = f"the {len(worst)} worst of {total} mistakes among {len(found)} images"
    return predictions(images, found.labels[worst], found.probabilities[worst], class_names, heading)


def confusion_matrix(counts: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Counts of each true class (rows) and prediction (columns); the depth of colour is the share of its row.

    Right predictions are blue, mistakes red. Counts stand in the cells up to COUNTED classes, names up to NAMED.

    Args:
        counts: `Predictions.confusion`, int [C, C].
        class_names: C names.
    """
    classes, total = len(class_names), int(counts.sum())
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.interp(classes, [2, 10, 30, 100], [2.2, 5.5, 10.5, 18]))
    with drawing.style():
        figure = Figure(figsize=(side + 2, side + 2.2), layout="constrained")
        axis = figure.subplots()
        axis.imshow(_colors(share), interpolation="nearest")
        if classes <= COUNTED:
            _write_counts(axis, counts, share)
        _name_classes(axis, counts.sum(axis=1), class_names)
        right = int(np.trace(counts))
        headline = f"{right} of {total} right ({right / max(total, 1):.1%})"
        figure.suptitle("\n".join([headline, *_confused(counts, class_names)]), fontsize=10, color=INK)
    return figure


def curves(rows: Sequence[Mapping[str, float]], best: int | None = None) -> Figure:
    """Loss, scores and learning rate by epoch.

    Args:
        rows: history.csv's rows; columns that are missing are left out.
        best: The epoch that val chose, marked.
    """
    panels = (
        ("loss", {"loss": ("train (augmented)", TRAIN), "val_loss": ("val", VAL)}),
        (
            "score",
            {
                "accuracy": ("train accuracy (augmented)", TRAIN),
                "val_accuracy": ("val accuracy", VAL),
                "val_macro_f1": ("val macro F1", OTHER),
            },
        ),
        ("learning rate", {"lr": ("learning rate", INK)}),
    )
    with drawing.style():
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        for axis, (title, lines) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            _draw(axis, rows, lines)
            axis.set_title(title, fontsize=10, loc="left", color=INK)
            if title == "score":
                axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
            if best is not None and title != "learning rate":
                axis.axvline(best, color=VAL, linewidth=1, linestyle=":", label=f"best: epoch {best}")
            if axis.lines and title != "learning rate":
                axis.legend(fontsize=8, frameon=False)
    return figure


def _draw(axis: Axes, rows: Sequence[Mapping[str, float]], lines: Mapping[str, tuple[str, str]]) -> None:
    marker = "o" if len(rows) < 2 else None
    for column, (label, color) in lines.items():
        points = [(row["epoch"], row[column]) for row in rows if column in row]
        if points:
            axis.plot(*zip(*points, strict=True), color=color, label=label, linewidth=1.6, marker=marker)
    axis.set_xlabel("epoch", fontsize=9, color=FAINT)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(rows) == 1:  # else the axis would count in fractions of an epoch
        axis.set_xlim(rows[0]["epoch"] - 1, rows[0]["epoch"] + 1)
    axis.grid(color=GRID, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _colors(share: np.ndarray) -> np.ndarray:
    """Blue on the diagonal, red beside it; the square root makes rare mistakes visible."""
    depth = np.sqrt(share) * 0.85
    colors = matplotlib.colormaps["Reds"](depth)
    diagonal = np.arange(len(share))
    colors[diagonal, diagonal] = matplotlib.colormaps["Blues"](depth[diagonal, diagonal])
    colors[share == 0] = 1.0
    return colors


def _write_counts(axis: Axes, counts: np.ndarray, share: np.ndarray) -> None:
    size = float(np.interp(len(counts), [2, 10, 30], [12, 10, 6]))
    for row, column in zip(*np.nonzero(counts), strict=True):
        color = "white" if share[row, column] > 0.4 else INK
        axis.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=size, color=color)


def _name_classes(axis: Axes, images: np.ndarray, class_names: Sequence[str]) -> None:
    step = math.ceil(len(class_names) / NAMED)
    ticks = range(0, len(class_names), step)
    names = [_short(class_names[c]) for c in ticks]
    size = float(np.interp(len(class_names), [10, 30, 100], [9, 8, 7]))
    axis.set_xticks(ticks, names, rotation=90, fontsize=size, color=INK)
    rows = [f"{name} ({images[c]})" for name, c in zip(names, ticks, strict=True)]
    axis.set_yticks(ticks, rows, fontsize=size, color=INK)
    axis.set_xlabel("prediction", fontsize=9, color=FAINT)
    axis.set_ylabel("truth (images)", fontsize=9, color=FAINT)
    edges = np.arange(len(class_names) + 1) - 0.5
    axis.set_xticks(edges, minor=True)
    axis.set_yticks(edges, minor=True)
    axis.grid(which="minor", color=GRID, linewidth=0.4)
    axis.tick_params(which="both", length=0)


def _confused(counts: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """The most frequent mistake in words, or nothing."""
    mistakes = counts - np.diag(np.diag(counts))
    row, column = np.unravel_index(mistakes.argmax(), mistakes.shape)
    if not mistakes[row, column]:
        return []
    pair = f"{_short(class_names[row])} predicted as {_short(class_names[column])}"
    return [f"most often {pair}: {mistakes[row, column]} of {counts[row].sum()}"]


def _words(text: str) -> Figure:
    with drawing.style():
        figure = Figure(figsize=(5.25, 1.2))
        figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=11, color=INK)
    return figure


def _short(name: str, length: int = 22) -> str:
    """A name without line breaks; the middle of a long one is left out, as its ends tell more."""
    name = _plain(name)
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-(length - length // 2 - 1) :]}"


def _plain(text: str) -> str:
    """Only what can be drawn on one line: control characters and bytes that were no text become a box."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
