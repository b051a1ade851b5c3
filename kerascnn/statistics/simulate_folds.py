"""Simulation of the coverage of intervals over folds: learners that are trained on folds of images from a known population.

`python -m kerascnn.statistics.simulate_folds --rounds 2000` prints the table of experiments/results/statistics.md.

Images are points of two normal classes. The learners differ in how much their result depends on single training images: `means`
answers the class with the nearer mean, `neighbor` the class of the nearest training image. The truth of a score is its mean over
all training sets of the size of one fold's, and all images. The truth of a difference is 0: both learners are of one kind, and
each sees its own half of the coordinates, which are equally informative.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.folds import FoldSizes, fold_difference
from kerascnn.statistics.intervals import t_interval

FEATURES = 8  # coordinates that a learner sees
APART = 1.4  # distance of the classes' means along them, in standard deviations


def draw(rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns points [images, 2 * FEATURES] and labels: two equal classes, mirrored at the origin."""
    labels = np.arange(images) % 2
    center = APART / 2 / FEATURES**0.5
    points = rng.standard_normal((images, 2 * FEATURES)) + np.where(labels, center, -center)[:, None]
    return points, labels


def means(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the class with the nearer mean."""
    first, second = train[labels == 0].mean(axis=0), train[labels == 1].mean(axis=0)
    return (test @ (second - first) > (second @ second - first @ first) / 2).astype(int)


def neighbor(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Returns the class of the nearest training image."""
    distances = (train**2).sum(axis=1) - 2 * test @ train.T
    return labels[distances.argmin(axis=1)]


Learner = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
LEARNERS: dict[str, Learner] = {"means": means, "neighbor": neighbor}


class FoldWorld(NamedTuple):
    """A learner, the number of images and of folds."""

    learner: str
    images: int
    folds: int

    @property
    def sizes(self) -> FoldSizes:
        """Images of a fold."""
        return FoldSizes(self.images / self.folds, self.images - self.images / self.folds)


def right(world: FoldWorld, rng: np.random.Generator) -> np.ndarray:
    """Returns whether both learners answer each image correctly while it is in the tested fold, bool [folds, n / folds, 2]."""
    points, labels = draw(rng, world.images)
    fold = np.arange(world.images) // 2 % world.folds
    learn = LEARNERS[world.learner]
    found = []
    for number in range(world.folds):
        out = fold == number
        halves = (slice(None, FEATURES), slice(FEATURES, None))
        answers = [learn(points[~out, half], labels[~out], points[out, half]) for half in halves]
        found.append(np.stack([answer == labels[out] for answer in answers], axis=1))
    return np.stack(found)


@cache
def truth(world: FoldWorld, rounds: int = 2000, seed: int = 1) -> float:
    """Returns the accuracy in the population, over training sets of the size of one fold's."""
    rng = np.random.default_rng(seed)
    learn, found = LEARNERS[world.learner], 0.0
    for _ in range(rounds):
        train, test = draw(rng, round(world.sizes.train)), draw(rng, 1000)
        for half in (slice(None, FEATURES), slice(FEATURES, None)):
            found += float((learn(train[0][:, half], train[1], test[0][:, half]) == test[1]).mean())
    return found / (2 * rounds)


def plain(values: np.ndarray, world: FoldWorld) -> tuple[float, float]:
    """Returns Student's interval over folds, as if their training sets were independent."""
    found = t_interval(values.mean(axis=1).tolist())
    return found.low, found.high


def corrected(values: np.ndarray, world: FoldWorld) -> tuple[float, float]:
    """Returns the corrected resampled t interval."""
    found = fold_difference(values.mean(axis=1).tolist(), world.sizes, most=1.0)
    return found.low, found.high


def pooled(values: np.ndarray, world: FoldWorld) -> tuple[float, float]:
    """Returns the interval over images, as if one network had answered all of them."""
    each = values.ravel()
    half = stats.norm.ppf(0.975) * each.std(ddof=1) / len(each) ** 0.5
    return float(each.mean() - half), float(each.mean() + half)


METHODS = {"t over folds": plain, "corrected t": corrected, "over images": pooled}


class FoldCoverage(NamedTuple):
    """Share of rounds whose interval holds the truth, and half the mean width, by method."""

    held: dict[str, float]
    half: dict[str, float]


def coverage(world: FoldWorld, rounds: int, seed: int = 0) -> tuple[FoldCoverage, FoldCoverage]:
    """Returns the coverage of a score and of a paired difference."""
    rng = np.random.default_rng(seed)
    true = truth(world)
    ends = np.empty((2, rounds, len(METHODS), 2))
    for i in range(rounds):
        answers = right(world, rng)
        score, difference = answers[..., 0].astype(float), answers[..., 1].astype(float) - answers[..., 0]
        ends[0, i] = [method(score, world) for method in METHODS.values()]
        ends[1, i] = [method(difference, world) for method in METHODS.values()]
    found = []
    for each, aim in zip(ends, (true, 0.0), strict=True):
        held = ((each[:, :, 0] <= aim) & (aim <= each[:, :, 1])).mean(axis=0)
        half = (each[:, :, 1] - each[:, :, 0]).mean(axis=0) / 2
        found.append(FoldCoverage(*(dict(zip(METHODS, row.tolist(), strict=True)) for row in (held, half))))
    return found[0], found[1]


def table(rounds: int) -> Iterator[str]:
    """Returns the table as Markdown: coverage in percent, half the mean width in points."""
    yield "| learner | images | folds | accuracy | of | " + " | ".join(METHODS) + " |"
    yield "|---|--:|--:|--:|---|" + "--:|" * len(METHODS)
    for learner in LEARNERS:
        for images in (100, 400):
            for folds in (2, 5, 10):
                world = FoldWorld(learner, images, folds)
                true = truth(world)
                for what, found in zip(("score", "difference"), coverage(world, rounds), strict=True):
                    cells = " | ".join(f"{found.held[m]:.1%} (±{found.half[m] * 100:.1f})" for m in METHODS)
                    yield f"| {learner} | {images} | {folds} | {true:.1%} | {what} | {cells} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m kerascnn.statistics.simulate_folds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="number of data sets for each row")
    for line in table(parser.parse_args().rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
