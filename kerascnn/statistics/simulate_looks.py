"""Critical levels of a comparison that looks several times, by simulation: `kerascnn.statistics.looks` has the results.

`python -m kerascnn.statistics.simulate_looks` prints the levels and the table of experiments/results/looks.md.

The difference of two archs is 0. What is seen after S seeds is an effect of the images, the same at every look, and a mean over
seeds: of effects of the seed, and of seed and image together. Its variance is estimated as the verdict's is
(`kerascnn.statistics.paired.combined`): that of the images is known well, that of the seeds by S - 1 degrees of freedom.
"""

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.looks import LOOKS
from kerascnn.statistics.paired import FLOOR

SHARES = tuple(i / 10 for i in range(11))  # of the images in the variance after the last look
LEFTS = (0.0, 0.5, 1.0)  # share of seed and image together in the variance of one seed
IMAGES = 1000
PAIRS = (1, 2, 3, 4)  # verdicts that hold together, by Bonferroni


class LookWorld(NamedTuple):
    """A population.

    Attributes:
        share: Share of the images in the variance after the last look.
        left: Share of seed and image together in the variance of one seed.
    """

    share: float
    left: float


class DrawnLooks(NamedTuple):
    """What is seen at each look, [rounds, looks].

    Attributes:
        values: The difference, which is truly 0.
        errors: Its estimated standard error.
        freedoms: Degrees of freedom.
        p: The p value.
    """

    values: np.ndarray
    errors: np.ndarray
    freedoms: np.ndarray
    p: np.ndarray


def draw(world: LookWorld, looks: Sequence[int], rounds: int, rng: np.random.Generator) -> DrawnLooks:
    """Returns `rounds` comparisons as they are seen after each number of seeds."""
    most = looks[-1]
    of_images, of_seed = world.share, (1 - world.share) * most
    seeds = rng.standard_normal((rounds, most), dtype="float32") * np.float32(of_seed**0.5)
    shared = rng.standard_normal(rounds) * of_images**0.5
    found = [_seen(world, shared, seeds[:, :count].astype("float64"), of_images, of_seed) for count in looks]
    values, errors, freedoms = (np.stack(each, axis=1) for each in zip(*found, strict=True))
    p = 2 * stats.t.sf(np.abs(values) / np.maximum(errors, 1e-12), freedoms)
    return DrawnLooks(values, errors, freedoms, p)


def _seen(
    world: LookWorld, shared: np.ndarray, seeds: np.ndarray, of_images: float, of_seed: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns value, standard error and degrees of freedom of one look; arrays of `paired.combined`."""
    count = seeds.shape[1]
    left_part = world.left * of_seed / count
    images_part = of_images + left_part
    seeds_part = seeds.var(axis=1, ddof=1) / count
    variance = np.maximum(images_part + seeds_part - left_part, FLOOR * images_part)
    uncertain = (
        images_part**2 / (IMAGES - 1) + seeds_part**2 / (count - 1) + left_part**2 / ((IMAGES - 1) * (count - 1))
    )
    freedom = np.maximum(variance**2 / np.maximum(uncertain, 1e-300), 1.0)
    return shared + seeds.mean(axis=1), np.sqrt(variance), freedom


def worlds() -> Iterator[LookWorld]:
    """Yields every population."""
    for share in SHARES:
        for left in LEFTS if share < 1 else LEFTS[:1]:
            yield LookWorld(share, left)


class Simulated:
    """The p values of all populations for some looks, from which levels follow.

    Args:
        looks: Numbers of seeds.
        rounds: Number of comparisons of each population.
        seed: Seed of the draws.
    """

    def __init__(self, looks: Sequence[int], rounds: int, seed: int) -> None:
        self.looks, self.rounds = looks, rounds
        rng = np.random.default_rng(seed)
        self.p = [draw(world, looks, rounds, rng).p.astype("float32") for world in worlds()]
        self._sorted = [np.sort(p, axis=0) for p in self.p]

    def single(self, spent: Sequence[float]) -> np.ndarray:
        """Returns for each look the level with which that look alone errs in `spent` of the rounds of the worst population."""
        places = [max(int(share * self.rounds) - 1, 0) for share in spent]
        return np.min([[p[place, k] for k, place in enumerate(places)] for p in self._sorted], axis=0)

    def error(self, levels: np.ndarray) -> float:
        """Returns the share of comparisons in which any look errs, in the worst population."""
        return max(float((p < levels).any(axis=1).mean()) for p in self.p)

    def levels(self, total: float) -> tuple[float, ...]:
        """Returns the level of each look that keeps the total error in every population.

        Each look spends in proportion to its seeds, so that the first ones, which know least, may err least. Three standard
        errors of the simulated share are left, so that its own chance is on the safe side.
        """
        safe = total - 3 * (total * (1 - total) / self.rounds) ** 0.5
        shape = np.array(self.looks) / sum(self.looks)
        low, high = safe, total * len(self.looks)  # what is spent in all, if no two looks err together
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if self.error(self.single(middle * shape)) <= safe else (low, middle)
        return tuple(float(f"{level:.3g}") for level in np.minimum(self.single(low * shape), total))


def table(levels: Sequence[float], rounds: int, seed: int = 100) -> Iterator[str]:
    """Yields rows of Markdown: errors of all looks together, for naive peeking and for the levels."""
    yield "| images' share | seed and image together | any of five looks at 5 % | any at its level | 20 seeds alone at 5 % |"
    yield "|--:|--:|--:|--:|--:|"
    rng = np.random.default_rng(seed)
    for world in worlds():
        p = draw(world, LOOKS, rounds, rng).p
        naive, ours = (p < 0.05).any(axis=1).mean(), (p < np.array(levels)).any(axis=1).mean()
        last = (p[:, -1] < 0.05).mean()
        yield f"| {world.share:.1f} | {world.left:.1f} | {naive:.1%} | {ours:.1%} | {last:.1%} |"


def main() -> None:
    """Prints the levels and the table."""
    parser = argparse.ArgumentParser(prog="python -m kerascnn.statistics.simulate_looks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200_000, help="number of comparisons of each population")
    args = parser.parse_args()
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    for number in range(1, len(LOOKS) + 1):
        simulated = Simulated(LOOKS[:number], args.rounds, seed=number)
        for pairs in PAIRS:
            found[number, pairs] = simulated.levels(0.05 / pairs)
            print(f"({number}, {pairs}): {found[number, pairs]},", flush=True)
    print()
    for line in table(found[len(LOOKS), 1], args.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
