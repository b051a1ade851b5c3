"""Draws docs/pictures/how_it_works.png: what a training passes through, and what stands around it.

python docs/site/picture.py
"""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

TARGET = Path(__file__).resolve().parents[1] / "pictures/how_it_works.png"
WIDTH, HEIGHT = 2.3, 0.95
# (column, row, name, what it does)
BOXES = [
    (0, 3, "recipe, flags", "config.toml"),
    (1, 3, "data", "listing, splits, decode"),
    (2, 3, "models, layers", "a network of rows"),
    (3, 3, "training", "one loop, callbacks"),
    (3, 1.5, "runs", "identity, lease, files"),
    (2, 1.5, "scoring", "scores with intervals"),
    (1, 1.5, "artefacts", "export, proof, predictor"),
    (0, 1.5, "report, tracking", "pages, TensorBoard"),
    (3, 0, "studies", "many runs, budgets"),
    (2, 0, "compare, tune", "verdicts, searches"),
    (1, 0, "predict, serve", "answers"),
    (0, 0, "evaluate, audit", "questions"),
]
ARROWS = [
    ((0, 3), (1, 3)),
    ((1, 3), (2, 3)),
    ((2, 3), (3, 3)),
    ((3, 3), (3, 1.5)),
    ((3, 1.5), (2, 1.5)),
    ((2, 1.5), (1, 1.5)),
    ((2, 1.5), (0, 1.5)),
    ((3, 0), (3, 1.5)),
    ((3, 0), (2, 0)),
    ((2, 1.5), (2, 0)),
    ((1, 1.5), (1, 0)),
    ((0, 0), (0, 1.5)),
]
COLORS = {3: "#dbe9f6", 1.5: "#e3f1df", 0: "#fbe8d3"}


def corner(column: float, row: float) -> tuple[float, float]:
    """The lower left corner of a box."""
    return column * (WIDTH + 0.75), row


def draw(axes: Axes) -> None:
    """Draws all boxes and arrows."""
    for column, row, name, text in BOXES:
        x, y = corner(column, row)
        axes.add_patch(
            FancyBboxPatch((x, y), WIDTH, HEIGHT, boxstyle="round,pad=0.04", facecolor=COLORS[row], edgecolor="#555555")
        )
        axes.text(x + WIDTH / 2, y + 0.62, name, ha="center", va="center", fontsize=11, fontweight="bold")
        axes.text(x + WIDTH / 2, y + 0.28, text, ha="center", va="center", fontsize=9)
    for start, end in ARROWS:
        (x, y), (u, v) = corner(*start), corner(*end)
        side, apart = (1, end[0] - start[0]) if end[0] > start[0] else (-1, start[0] - end[0])
        if start[1] == end[1] and apart == 1:
            edges = (x + WIDTH, u) if side > 0 else (x, u + WIDTH)
            ends = (edges[0] + 0.05 * side, y + HEIGHT / 2), (edges[1] - 0.05 * side, v + HEIGHT / 2)
        elif start[1] == end[1]:
            ends = (x + WIDTH / 2, y + HEIGHT + 0.05), (u + WIDTH / 2, v + HEIGHT + 0.05)
        elif start[1] < end[1]:
            ends = (x + WIDTH / 2, y + HEIGHT + 0.05), (u + WIDTH / 2, v - 0.05)
        else:
            ends = (x + WIDTH / 2, y - 0.05), (u + WIDTH / 2, v + HEIGHT + 0.05)
        bend = "arc3,rad=0.12" if start[1] == end[1] and apart > 1 else "arc3"
        style = {"arrowstyle": "->", "color": "#333333", "lw": 1.3, "connectionstyle": bend}
        axes.annotate("", xy=ends[1], xytext=ends[0], arrowprops=style)


def main() -> None:
    """Writes the picture."""
    matplotlib.use("agg")
    figure, axes = plt.subplots(figsize=(10, 4.2), dpi=110)
    draw(axes)
    axes.set_xlim(-0.2, 3 * (WIDTH + 0.75) + WIDTH + 0.2)
    axes.set_ylim(-0.2, 4.15)
    axes.axis("off")
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, bbox_inches="tight", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
