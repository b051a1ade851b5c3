"""A user's matplotlibrc, whatever it says, changes no picture and stops none (cases of other projects' bug reports)."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

from kerascnn.report import confusion_matrix, image_grid, score_chart, training_curves
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.drawing import png
from kerascnn.report.page_svg import page_figure
from kerascnn.report.score_chart import ScoreChart, ScoreLine
from kerascnn.report.training_curves import TrainingCurve
from kerascnn.statistics import Interval

FOREIGN = {
    "text.usetex": True,
    "image.origin": "lower",
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "savefig.pad_inches": 3,
    "font.size": 30,
    "font.family": ["serif"],
    "figure.dpi": 300,
    "figure.constrained_layout.use": False,
    "figure.autolayout": True,
    "axes.facecolor": "black",
    "axes.unicode_minus": False,
    "axes.grid": True,
    "axes.xmargin": 0.4,
    "axes.prop_cycle": matplotlib.cycler(color=["pink"]),
    "lines.linewidth": 9,
    "lines.marker": "x",
    "text.color": "white",
    "text.parse_math": True,
    "legend.fontsize": 40,
    "xtick.labelsize": 40,
    "svg.fonttype": "path",
    "svg.hashsalt": "mine",
    "path.sketch": (1, 100, 2),
    "errorbar.capsize": 20,
}
ROWS = [{"epoch": e, "loss": 2 / e, "val_loss": 2.1 / e, "val_accuracy": 1 - 1 / (e + 1), "lr": 0.1} for e in (1, 2)]


def pictures() -> list[bytes | str]:
    """One of each kind, PNG and SVG."""
    images = np.arange(3 * 16 * 16 * 3, dtype="uint8").reshape(3, 16, 16, 3)
    points = ((1e6, Interval(0.9, 0.8, 0.95, 9)), (3e6, Interval(0.95, 0.9, 0.97, 9)))
    lines = (ScoreLine("a_b", points), ScoreLine("$^", points))
    chart = score_chart.picture(ScoreChart("c", "$t_1", "x_$", "y", lines, log=True, reference=("clean", 0.9)))
    matrix = ConfusionMatrix("val", ("a_b", "$c^"), np.array([[1, 0], [1, 1]]))
    return [
        png(image_grid.images_with_titles(images, ["a_b", "c & d", "50 % $x$"], heading="x_y")),
        png(confusion_matrix.picture(matrix, confusion_matrix.FILE)),
        png(*training_curves.of_run(TrainingCurve("a", {0: tuple(ROWS)}, 2))),
        png(chart),
        page_figure(chart),
    ]


@pytest.fixture(scope="module")
def plain() -> list[bytes | str]:
    with matplotlib.rc_context(matplotlib.rcParamsDefault.copy()):
        return pictures()


@pytest.mark.parametrize("keys", [["text.usetex"], ["image.origin"], list(FOREIGN)[2:]], ids=lambda keys: keys[0])
def test_other_settings_give_the_same_pictures(keys: list[str], plain: list[bytes | str]) -> None:
    with matplotlib.rc_context({key: FOREIGN[key] for key in keys}):
        before = dict(matplotlib.rcParams)
        assert pictures() == plain
        assert dict(matplotlib.rcParams) == before, "the user's own settings stay"


@pytest.mark.parametrize("backend", ["TkAgg", "no such backend", "module://nowhere"])
def test_any_backend_of_the_environment_will_do(backend: str, tmp_path) -> None:
    (tmp_path / "matplotlibrc").write_text("backend: TkAgg\ntext.usetex: True\nnonsense: 1\n")
    code = (
        "import sys; from kerascnn.report.drawing import Picture, png\n"
        "assert png(Picture('a', 'b', (2, 2), lambda figure: figure.subplots()))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = os.environ | {"MPLBACKEND": backend, "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment, cwd=tmp_path)
