"""The picture of a comparison: val accuracy against the cost of training, a band over the seeds, the verdict above it.

python -m experiments.compare_picture experiments/comparisons/NAME experiments/runs OUT.png
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

from kerascnn.cli.recipes import load_toml
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.runs import Run

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def main(comparison: Path, runs_dir: Path, out: Path) -> None:
    """Draw it."""
    directory = ComparisonDirectory(comparison)
    kept = load_toml(directory.terms_file)
    runs = [Run(runs_dir / name) for name in kept["runs"]]
    figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for (name, cell), color in zip(kept["cells"].items(), COLORS, strict=False):
        mine = [run for run in runs if run.finished and run.config().model.arch == cell["arch"]]
        scores = np.array([[row["val_accuracy"] for row in run.history()] for run in mine]) * 100
        # Seconds of the warm measurement: what was timed in the runs holds whatever else the machine did.
        seen = mine[0].data()["images"]["train"] * np.arange(1, scores.shape[1] + 1)
        minutes = seen / cell["cost"]["images_per_second"] / 60
        label = f"{name}: {cell['cost']['macs'] / 1e6:.1f} M MACs, {cell['cost']['latency_p50']:.1f} ms at batch 1"
        axes.plot(minutes, scores.mean(axis=0), color=color, label=label)
        axes.fill_between(minutes, scores.min(axis=0), scores.max(axis=0), color=color, alpha=0.2, linewidth=0)
    axes.set(xlabel="minutes of training, at the speed of a few warm steps", ylabel="val accuracy, %")
    axes.set_title(_verdict(directory), fontsize=8, loc="left", wrap=True)
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(out, dpi=110)


def _verdict(directory: ComparisonDirectory) -> str:
    """The sentence as it was printed."""
    lines = directory.log_file.read_text(encoding="utf-8").splitlines()
    seen = [line.split("  ", 1)[1] for line in lines if " images; images" in line][-1]
    half = seen.rfind("(")
    return f"{seen[:half].strip()}\n{seen[half:]}"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
