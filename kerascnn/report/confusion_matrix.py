"""Confusion matrices: which class is predicted as which."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from kerascnn.report.axes import short
from kerascnn.report.drawing import INK, SERIES, WRONG, Panel, Picture, hover

# Largest side in pixels: more would only make the page larger.
PIXELS = 250
# Number of mistakes with a text under the pointer if cells have no room for a count.
HOVERED = 200
HIT = SERIES[0]
# The deepest color of a cell with a count, which stays legible on a light and on a dark page (contrast 4.5 to 1).
DEEPEST = 0.62
FAINTEST = 0.12


@dataclass(frozen=True)
class ConfusionMatrix:
    """The counts of true and predicted classes.

    Args:
        label: The arch or the split.
        class_names: Names of the C classes.
        counts: int [C, C]: true class by predicted class, summed over seeds.
        seeds: Number of seeds.
    """

    label: str
    class_names: tuple[str, ...]
    counts: np.ndarray
    seeds: int = 1


class MatrixRoom(NamedTuple):
    """The texts that fit into a matrix.

    Attributes:
        counted: Largest number of classes whose cells show their count.
        named: Largest number of names beside an axis; with more classes every second, third, ... is named.
        letters: Letters of a name.
        inches: Inches of a side, at some numbers of classes.
        points: Font size of names, at some numbers of classes.
    """

    counted: int
    named: int
    letters: int
    inches: dict[int, float]
    points: dict[int, float]


PAGE = MatrixRoom(20, 20, 16, {2: 2.2, 10: 4.1, 20: 5.4}, {10: 9, 20: 7.5})
FILE = MatrixRoom(30, 100, 22, {2: 2.2, 10: 5.5, 30: 10.5, 100: 18}, {10: 9, 30: 8, 100: 7})


def picture(matrix: ConfusionMatrix, room: MatrixRoom = PAGE) -> Picture:
    """Draws true classes as rows and predicted classes as columns; color is the share of the row, mistakes in another color."""
    counts, classes = matrix.counts, len(matrix.class_names)
    right, total = int(np.trace(counts)), int(counts.sum())
    over = f", {matrix.seeds} seeds together" if matrix.seeds > 1 else ""
    title = f"{matrix.label}: {right:,} of {total:,} right ({right / max(total, 1):.1%}){over}"
    side = _at(classes, room.inches)

    def draw(figure: Panel) -> None:
        axis = figure.subplots()
        if classes <= room.counted:
            _cells(axis, matrix, room)
        else:
            axis.imshow(pixels(counts), interpolation="none", extent=(-0.5, classes - 0.5, classes - 0.5, -0.5))
            _frequent(axis, matrix)
        axis.set_xlim(-0.5, classes - 0.5)
        axis.set_ylim(classes - 0.5, -0.5)
        axis.set_aspect("equal")
        _name(axis, matrix, room)

    return Picture(title, "; ".join(mistakes(matrix)) or "no mistakes", (side + 1.4, side + 1.2), draw, "matrix")


def _at(classes: int, values: dict[int, float]) -> float:
    return float(np.interp(classes, list(values), list(values.values())))


def depth(share: np.ndarray) -> np.ndarray:
    """Returns the color depth of a cell; the square root makes rare mistakes visible."""
    return FAINTEST + np.sqrt(share) * (DEEPEST - FAINTEST)


def _cells(axis: Axes, matrix: ConfusionMatrix, room: MatrixRoom) -> None:
    counts = matrix.counts
    size = _at(len(counts), {2: 12, 10: 9.5, room.counted: 6})
    size -= max(0, len(f"{counts.max()}") - 3) * size / 8
    deep = depth(_share(counts))
    for row, column in zip(*np.nonzero(counts), strict=True):
        color, alpha = HIT if row == column else WRONG, float(deep[row, column])
        cell = Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=color, alpha=alpha, linewidth=0)
        hover(axis.add_patch(cell), _said(matrix, row, column))
        axis.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=size, color=INK)


def _frequent(axis: Axes, matrix: ConfusionMatrix) -> None:
    """Adds texts under the pointer to the most frequent mistakes."""
    for row, column in _mistakes(matrix.counts, HOVERED):
        cell = Rectangle((column - 0.5, row - 0.5), 1, 1, alpha=0, linewidth=0)
        hover(axis.add_patch(cell), _said(matrix, row, column))


def _share(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def pixels(counts: np.ndarray) -> np.ndarray:
    """Returns RGBA in 0-255, transparent without predictions; beyond PIXELS classes neighbors share a pixel."""
    edges = np.arange(0, len(counts), math.ceil(len(counts) / PIXELS))
    share = _share(np.add.reduceat(np.add.reduceat(counts, edges, axis=0), edges, axis=1))
    color = np.where(np.eye(len(share), dtype=bool)[..., None], _rgb(HIT), _rgb(WRONG))
    deep = np.where(share > 0, FAINTEST + np.sqrt(share) * (1 - FAINTEST), 0)[..., None] * 255
    return np.concatenate([np.broadcast_to(color, (*share.shape, 3)), deep], axis=-1).astype("uint8")


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])


def _name(axis: Axes, matrix: ConfusionMatrix, room: MatrixRoom) -> None:
    classes, images = len(matrix.class_names), matrix.counts.sum(axis=1)
    places = range(0, classes, math.ceil(classes / room.named))
    size = _at(classes, room.points)
    names = [short(matrix.class_names[c], room.letters) for c in places]
    axis.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=size, color=INK)
    rows = [f"{name} ({images[c]:,})" for name, c in zip(names, places, strict=True)]
    axis.set_yticks(places, rows, fontsize=size, color=INK)
    axis.set_xlabel("prediction", fontsize=10)
    axis.set_ylabel("truth (images)", fontsize=10)
    axis.tick_params(bottom=False, left=False)
    axis.spines[:].set_visible(True)


def _mistakes(counts: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Returns (true class, predicted class) of the most frequent mistakes."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(counts)) for index in order]
    return [pair for pair in pairs if wrong[pair]]


def _said(matrix: ConfusionMatrix, truth: int, predicted: int) -> str:
    found, of = matrix.counts[truth, predicted], matrix.counts[truth].sum()
    names = matrix.class_names
    what = f"{names[truth]} predicted as {names[predicted]}" if truth != predicted else f"{names[truth]} predicted"
    return f"{what}: {found:,} of {of:,} ({found / of:.1%})"


def mistakes(matrix: ConfusionMatrix, most: int = 5) -> list[str]:
    """Returns the most frequent mistakes as text."""
    return [_said(matrix, *pair) for pair in _mistakes(matrix.counts, most)]
