"""Which family's Grad-CAM explains its answers better: deletion scores of finished runs, as Markdown.

    python -m experiments.explain_families RUN... --keep FOLDER > experiments/results/grad_cam.md

Runs are grouped by arch; all have the same test images and the same seeds. What was measured of a run is kept in FOLDER, so
that the command goes on where it was stopped.
"""

import argparse
import functools
import sys
from pathlib import Path

import numpy as np

from kerascnn.runs import Run
from kerascnn.statistics import MIN_SEEDS, Difference, over_seeds, two_way

INTRODUCTION = """# Which family explains itself better?

Grad-CAM of the answered class on test images that are spread over the split. *before*: mean confidence in the answer; the next
columns: the confidence that is left with 20 % of the pixels grey, the hottest ones of the map, a mask of the same form shifted at
random, and as many single pixels at random. *What the map knows*: shifted less hottest; at 0 the map is no better than chance,
below 0 it points away from what matters. *Random head*: rank correlation of the map with that of the same network whose head is
random (the sanity check of Adebayo et al., 2018); near 1 the map would not depend on what the head has learned. Means over seeds
with Student's 95 % intervals.

Made by

    python -m experiments.explain_families RUN... --keep FOLDER --most {most} > experiments/results/grad_cam.md

with the runs {names} of `{command}`.
"""
NAMES = ("before", "hottest", "elsewhere", "scattered", "head")


def measured(path: Path, most: int, keep: Path) -> dict[str, np.ndarray]:
    """By "<stage> <name>" one number per image."""
    file = keep / f"{path.name}.npz"
    if not file.exists():
        # Only here: what is kept already needs no TensorFlow.
        from kerascnn.artefacts.opening import load_keras
        from kerascnn.evaluation import evaluated_model
        from kerascnn.scoring import grad_cam, map_tests

        found = evaluated_model.find(path, None, None, "test")
        images = np.concatenate([batch for batch, _ in found.images(most)])
        model, rows = load_keras(Run(path).best_model), {}
        for stage in grad_cam.stages(model):
            heat = grad_cam.grad_cam(model, images, stage=stage)
            confidences = map_tests.confidences(found.predictor.infer, images, heat)
            rows |= {f"{stage} {name}": values for name, values in confidences._asdict().items()}
            head = map_tests.head_matters(model, images, heat, functools.partial(grad_cam.grad_cam, stage=stage))
            rows[f"{stage} head"] = np.array([np.nan if head is None else head.value])
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(file, **rows)
    with np.load(file) as arrays:
        return dict(arrays)


def spread(values: list[float], within: tuple[float, float]) -> str:
    """The mean with its interval, within what the measure can be; under three seeds each value."""
    found = over_seeds(values, within)
    if found is None:
        return ", ".join(f"{value:.3f}" for value in values)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def family_table(runs: dict[int, dict[str, np.ndarray]], stages: list[str]) -> list[str]:
    lines = []
    for stage in stages:
        means = {name: [float(run[f"{stage} {name}"].mean()) for run in runs.values()] for name in NAMES}
        drops = [cold - hot for cold, hot in zip(means["elsewhere"], means["hottest"], strict=True)]
        cells = [spread(means[name], (0, 1)) for name in NAMES[:-1]]
        cells += [spread(drops, (-1, 1)), spread(means["head"], (-1, 1))]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    return lines


def difference(first: dict[int, dict[str, np.ndarray]], second: dict[int, dict[str, np.ndarray]], relative: bool):
    """Second minus first of what the last stage's maps know, images and seeds resampled; relative: per unit of confidence."""
    seeds = sorted(set(first) & set(second))

    def parts(runs: dict[int, dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        last = sorted(key.split()[0] for key in next(iter(runs.values())))[-1]
        drop = np.array([runs[s][f"{last} elsewhere"] - runs[s][f"{last} hottest"] for s in seeds])
        return drop, np.array([runs[s][f"{last} before"] for s in seeds])

    (drop_1, before_1), (drop_2, before_2) = parts(first), parts(second)

    def differences(index: np.ndarray) -> np.ndarray:
        means = [part[:, index].mean(axis=2).T for part in (drop_1, before_1, drop_2, before_2)]
        return means[2] / means[3] - means[0] / means[1] if relative else means[2] - means[0]

    return two_way(differences, images=drop_1.shape[1], seeds=len(seeds))


def said(name: str, found: Difference) -> str:
    inside = found.low <= 0 <= found.high
    words = "they cannot be told apart here" if inside else "they differ"
    if found.seeds < MIN_SEEDS:
        words = "so much for these runs; the spread over seeds is not in it, so it decides nothing about the families"
    rests = f"{found.seeds} seeds, {found.images} images, {found.over} resampled"
    return f"- {name}: {found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}] ({rests}): {words}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("--most", type=int, default=500)
    parser.add_argument("--made-by", default="fit", help="the command that trained the runs, for the heading")
    asked = parser.parse_args()
    families: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    accuracy: dict[str, list[float]] = {}
    for path in asked.runs:
        config = Run(path).config()
        families.setdefault(config.model.arch, {})[config.fit.seed] = measured(path, asked.most, asked.keep)
        accuracy.setdefault(config.model.arch, []).append(Run(path).metrics()["test"]["accuracy"]["value"])
        print(f"{path.name} measured", file=sys.stderr)
    names = ", ".join(f"`{path.name}`" for path in asked.runs)
    print(INTRODUCTION.format(most=asked.most, names=names, command=asked.made_by))
    for arch, runs in families.items():
        stages = sorted({key.split()[0] for key in next(iter(runs.values()))})
        n = len(next(iter(runs.values()))[f"{stages[0]} before"])
        print(
            f"## {arch}: {len(runs)} seeds, {n} test images explained, accuracy on all of test {np.mean(accuracy[arch]):.2%}\n"
        )
        print("| stage | before | hottest grey | elsewhere grey | scattered grey | what the map knows | random head |")
        print("|---|---|---|---|---|---|---|")
        print("\n".join(family_table(runs, stages)), end="\n\n")
    if len(families) == 2:
        (one, first), (two, second) = families.items()
        print(f"## {two} less {one}, last stage, at the seeds that both have\n")
        print(said("what the map knows", difference(first, second, relative=False)))
        print(said("the same, per unit of confidence before", difference(first, second, relative=True)))


if __name__ == "__main__":
    main()
