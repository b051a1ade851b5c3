"""A small network alone and taught by a large one, on equal terms, seed by seed: trains what is missing, and prints the tables.

    python -m experiments.distillation RUNS [TFDS_FOLDER]

RUNS is a folder for the runs, TFDS_FOLDER that of the prepared CIFAR-10, without which there is only the embedded data set. Run
again after a kill, it goes on. Progress is on standard error.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kerascnn.__main__ import main
from kerascnn.runs import Run
from kerascnn.statistics import SHARE, over_seeds, t_interval, two_way

SEEDS = (0, 1, 2, 3)
STUDENT = ("--arch", "resnet20", "--width", "0.25", "--augment", "none", "--epochs", "6", "--low-res-epochs", "4")


class Images(NamedTuple):
    """A data set, the flags that choose it, and the arch of its teacher."""

    said: str
    words: tuple[str, ...]
    teacher: str


DATA = {
    "fashion": Images("fashion_mnist_mini (embedded)", (), "inception_small"),
    "cifar10": Images("a tenth of CIFAR-10", ("--dataset", "tfds:cifar10", "--fraction", "0.1"), "resnet56"),
}
KINDS = {
    "alone": ("alone", ()),
    "soft": ("`--distill soft` (temperature 4)", ("--distill", "soft")),
    "hard": ("`--distill hard`", ("--distill", "hard")),
    "feature": ("`--distill feature`", ("--distill", "feature")),
}


def fit(folder: Path, name: str, *words: str) -> None:
    """Trains a run, or what is left of it."""
    if Run(folder / name).finished:
        return
    with contextlib.redirect_stdout(sys.stderr):
        code = main(["fit", "--run", name, "--runs-dir", str(folder), "--no-export", *words])
    if code:
        raise SystemExit(code)


def train(folder: Path, tfds: list[str]) -> None:
    """Trains everything that is missing: the students alone and by soft answers first."""
    for kinds in (("alone", "soft"), ("hard", "feature")):
        for key in chosen(tfds):
            images = DATA[key]
            place = (*images.words, "--data-dir", *tfds) if images.words else ()
            fit(folder, f"teacher_{key}", "--arch", images.teacher, *place)
            for seed in SEEDS:
                for kind in kinds:
                    words = KINDS[kind][1]
                    taught = ("--teacher", str(folder / f"teacher_{key}"), *words) if words else ()
                    fit(folder, f"{key}_{kind}_s{seed}", *STUDENT, *place, "--seed", str(seed), *taught)


def chosen(tfds: list[str]) -> list[str]:
    """Returns the data sets whose images are there."""
    return [key for key, images in DATA.items() if tfds or not images.words]


def right(run: Run) -> np.ndarray:
    """Whether each test image was answered right, in the order of ids."""
    kept = run.read_predictions("test")
    return (kept["probabilities"].argmax(axis=1) == kept["labels"])[np.argsort(kept["ids"])]


def _cost(metrics: dict[str, Any]) -> str:
    return f"{metrics['params']:,} parameters, {metrics['macs'] / 1e6:,.1f} M MACs"


def table(folder: Path, key: str) -> None:
    """Prints the table of a data set: of every kind whose runs are finished."""
    students = {kind: [Run(folder / f"{key}_{kind}_s{seed}") for seed in SEEDS] for kind in KINDS}
    answers = {kind: np.stack([right(run) for run in runs]) for kind, runs in students.items() if all_done(runs)}
    images = answers["alone"].shape[1]
    score, cost = Run(folder / f"teacher_{key}").metrics(), students["alone"][0].metrics()
    print(
        f"\n## {DATA[key].said}\n\nTeacher: {DATA[key].teacher}, {_cost(score)}, {score['epochs']} epochs, test accuracy"
        f" {score['test']['accuracy']['value']:.1%} (1 seed). Student: {_cost(cost)}, {cost['epochs']} epochs."
        f" n = {images:,} test images, {len(SEEDS)} seeds.\n"
    )
    print(
        "| student | by seed | mean, t over seeds | minus alone: these images, t over seeds | minus alone: images and seeds |"
    )
    print("|---|---|---|---|---|")
    for kind, right_ones in answers.items():
        each = right_ones.mean(axis=1)
        over = over_seeds(each.tolist(), SHARE)
        if over is None:
            raise ValueError(f"expected three seeds or more, got {len(SEEDS)}")
        cells = [KINDS[kind][0], " · ".join(f"{value:.1%}" for value in each)]
        cells += [f"{over.value:.1%} [{over.low:.1%}, {over.high:.1%}]", *_gains(right_ones, answers["alone"])]
        print(f"| {' | '.join(cells)} |")


def all_done(runs: Sequence[Run]) -> bool:
    """Returns whether all runs have their scores."""
    return all(run.finished for run in runs)


def _gains(taught: np.ndarray, alone: np.ndarray) -> list[str]:
    """Returns the paired difference in points: over seeds on these images, and over images and seeds."""
    if taught is alone:
        return ["", ""]
    gain = (taught.astype(float) - alone).T
    here = t_interval(gain.mean(axis=0).tolist())
    both = two_way(lambda chosen: gain[chosen].mean(axis=1), images=len(gain), seeds=len(SEEDS), most=1.0)
    return [f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]" for found in (here, both)]


if __name__ == "__main__":
    place, prepared = Path(sys.argv[1]), sys.argv[2:3]
    train(place, prepared)
    for name in chosen(prepared):
        table(place, name)
