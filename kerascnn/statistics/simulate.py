"""Simulation of the coverage of intervals: two archs, many images and some seeds, drawn from a known population.

`python -m kerascnn.statistics.simulate --rounds 1000` prints the table of experiments/results/statistics.md.
"""

import argparse
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.intervals import t_interval
from kerascnn.statistics.paired import Difference, combined, two_way


@dataclass(frozen=True)
class Population:
    """A population in which a network is right on an image with probability Phi(ability - difficulty + favor + luck).

    Ability belongs to the arch, difficulty to the image, favor to the image and the arch's family, luck to the seed and the
    arch. Difficulty, favor and luck are normal with the spreads below; a spread of 0 removes an effect. Abilities are chosen
    such that the accuracies hold in the population of all images and seeds.

    Args:
        accuracies: Accuracies of the two archs in the population.
        difficulty: Spread among images, shared by both archs.
        family: Spread of the effect of an image on one family in every run.
        seed: Spread among seeds of one arch.
    """

    accuracies: tuple[float, float] = (0.9, 0.9)
    difficulty: float = 1.5
    family: float = 0.8
    seed: float = 0.1

    @property
    def difference(self) -> float:
        """The true difference, second minus first."""
        return self.accuracies[1] - self.accuracies[0]

    def draw(self, rng: np.random.Generator, seeds: int, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns which images both archs predict correctly, bool [seeds, images] each."""
        spread = (1 + self.difficulty**2 + self.family**2 + self.seed**2) ** 0.5
        difficulty = self.difficulty * rng.standard_normal(images, dtype="float32")

        def right(accuracy: float) -> np.ndarray:
            ability = spread * stats.norm.ppf(accuracy) + self.seed * rng.standard_normal((seeds, 1), dtype="float32")
            favor = self.family * rng.standard_normal(images, dtype="float32")
            return rng.standard_normal((seeds, images), dtype="float32") < ability - difficulty + favor

        return right(self.accuracies[0]), right(self.accuracies[1])


Method = Callable[[np.ndarray], tuple[float, float]]


def by_two_way(differences: np.ndarray, rounds: int = 500) -> tuple[float, float]:
    """Returns the interval of the verdict."""
    seeds, images = differences.shape
    found = two_way(
        lambda index: differences[:, index].mean(axis=2).T, images=images, seeds=seeds, most=1.0, rounds=rounds
    )
    return found.low, found.high


def closed_form(differences: np.ndarray, level: float = 0.95) -> Difference:
    """Returns the limit of `two_way` for many resamplings, for a mean, by analysis of variance, which is much faster.

    Args:
        differences: Difference of each seed and image, [S, m].
        level: Confidence level of the interval.
    """
    d = differences.astype("float32")
    (seeds, images), value = d.shape, float(d.mean(dtype="float64"))
    by_seed, by_image = d.mean(axis=1, dtype="float64"), d.mean(axis=0, dtype="float64")
    images_part = max(float(by_image.var(ddof=1)) / images, 1 / images**2)
    seeds_part = float(by_seed.var(ddof=1)) / seeds
    squares = float((d * d).sum(dtype="float64"))
    rest = squares - images * float((by_seed**2).sum()) - seeds * float((by_image**2).sum()) + d.size * value**2
    left_part = max(rest, 0.0) / ((seeds - 1) * (images - 1)) / d.size
    variance, freedom = combined(images_part, seeds_part, left_part, images, seeds)
    parts = (images_part, seeds_part, left_part)
    found = Difference(value, value, value, level, images, seeds, "images and seeds", variance**0.5, freedom, *parts)
    return found.at(level)


def by_closed_form(differences: np.ndarray) -> tuple[float, float]:
    """Returns the interval of the verdict in closed form."""
    found = closed_form(differences)
    return found.low, found.high


def by_plain_bootstrap(differences: np.ndarray, rounds: int = 500) -> tuple[float, float]:
    """Returns percentiles of the uncorrected two-way bootstrap of images and seeds."""
    seeds, images = differences.shape
    rng = np.random.default_rng(0)
    drawn = differences[:, rng.integers(0, images, (rounds, images))].mean(axis=2)
    means = np.take_along_axis(drawn.T, rng.integers(0, seeds, (rounds, seeds)), axis=1).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def by_seeds(differences: np.ndarray) -> tuple[float, float]:
    """Returns Student's interval over the differences of seeds."""
    interval = t_interval(differences.mean(axis=1))
    return interval.low, interval.high


def by_images(differences: np.ndarray) -> tuple[float, float]:
    """Returns the interval over images alone, of each image's mean over seeds."""
    return _normal(differences.mean(axis=0))


def pooled(differences: np.ndarray) -> tuple[float, float]:
    """Returns a wrong interval, for comparison: the predictions of all seeds as if they were separate images."""
    return _normal(differences.ravel())


def _normal(values: np.ndarray) -> tuple[float, float]:
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


METHODS: dict[str, Method] = {
    "two-way (the verdict)": by_two_way,
    "two-way, uncorrected": by_plain_bootstrap,
    "over seeds": by_seeds,
    "over images": by_images,
    "pooled": pooled,
}


class PopulationCoverage(NamedTuple):
    """Coverage in one population.

    Args:
        population: The population.
        coverage: Share of rounds whose interval holds the true difference, by method.
        width: Mean width of the interval, by method.
    """

    population: Population
    coverage: dict[str, float]
    width: dict[str, float]


def populations(full: Population) -> Iterator[Population]:
    """Yields `full` with each of its three effects on and off."""
    for on in itertools.product((False, True), repeat=3):
        difficulty, family, seed = np.multiply(on, (full.difficulty, full.family, full.seed)).tolist()
        yield replace(full, difficulty=difficulty, family=family, seed=seed)


def coverage(
    population: Population,
    *,
    seeds: int = 5,
    images: int = 1000,
    rounds: int = 1000,
    seed: int = 0,
    methods: dict[str, Method] | None = None,
) -> PopulationCoverage:
    """Returns how often each method's 95 % interval holds the true difference in `rounds` new comparisons."""
    rng = np.random.default_rng(seed)
    methods = METHODS if methods is None else methods
    ends = np.empty((rounds, len(methods), 2))
    for i in range(rounds):
        first, second = population.draw(rng, seeds, images)
        differences = second.astype("int8") - first.astype("int8")
        ends[i] = [method(differences) for method in methods.values()]
    held = (ends[:, :, 0] <= population.difference) & (population.difference <= ends[:, :, 1])
    width = (ends[:, :, 1] - ends[:, :, 0]).mean(axis=0)
    return PopulationCoverage(
        population,
        dict(zip(methods, held.mean(axis=0).tolist(), strict=True)),
        dict(zip(methods, width.tolist(), strict=True)),
    )


def table(rows: list[PopulationCoverage]) -> str:
    """Returns the rows as Markdown: coverage in percent, mean width in points."""
    methods = list(rows[0].coverage)
    lines = ["| difficulty | family by image | seed | difference | " + " | ".join(methods) + " |"]
    lines.append("|---|---|---|---|" + "---|" * len(methods))
    for population, held, width in rows:
        switches = " | ".join(f"{value:g}" for value in (population.difficulty, population.family, population.seed))
        cells = " | ".join(f"{held[m]:.1%} (±{width[m] / 2 * 100:.2f})" for m in methods)
        lines.append(f"| {switches} | {population.difference * 100:+.1f} | {cells} |")
    return "\n".join(lines)


def worlds(rounds: int, images: int) -> Iterator[str]:
    """Returns the coverage of the verdict's interval in every population as Markdown: equal archs, and one that is 2 points
    better.
    """
    yield "| difficulty | family by image | seed | difference | 3 seeds | 5 seeds | 10 seeds |"
    yield "|---|---|---|---|--:|--:|--:|"
    for difference in (0.0, 0.02):
        for i, each in enumerate(populations(Population(accuracies=(0.9 - difference, 0.9)))):
            found = [_held(each, seeds, images, rounds, i + 100 * seeds + images) for seeds in (3, 5, 10)]
            switches = " | ".join(f"{value:g}" for value in (each.difficulty, each.family, each.seed))
            yield f"| {switches} | {difference * 100:+.1f} | " + " | ".join(f"{share:.1%}" for share in found) + " |"


def _held(population: Population, seeds: int, images: int, rounds: int, seed: int) -> float:
    methods: dict[str, Method] = {"verdict": by_closed_form}
    return coverage(population, seeds=seeds, images=images, rounds=rounds, seed=seed, methods=methods).coverage[
        "verdict"
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m kerascnn.statistics.simulate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="number of comparisons for each row")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--difference", type=float, default=0.0, help="true difference of the accuracies")
    parser.add_argument("--worlds", action="store_true", help="only the verdict, with 3, 5 and 10 seeds")
    args = parser.parse_args()
    if args.worlds:
        for line in worlds(args.rounds, args.images):
            print(line, flush=True)
        return
    full = Population(accuracies=(0.9 - args.difference, 0.9))
    rows = [
        coverage(each, seeds=args.seeds, images=args.images, rounds=args.rounds, seed=i)
        for i, each in enumerate(populations(full))
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
