"""Simulations of conclusions that choose, promote, plan or lose runs, in populations whose truth is known.

`python -m kerascnn.statistics.designs --rounds 2000` prints the tables of experiments/results/statistics.md.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

from kerascnn.statistics.paired import Difference, holm, p_value, two_way
from kerascnn.statistics.power import seeds_needed
from kerascnn.statistics.simulate import Population, closed_form

LIKELY = 0.05  # a difference is reported if its p value is below this
VAL, TEST = 600, 1000  # images
CRASHES = 0.1  # share of one arch's seeds that cannot be trained


class Judged(NamedTuple):
    """Conclusions over rounds whose true difference is 0.

    Args:
        coverage: Share of rounds whose interval holds the true difference.
        bias: Mean of the observed difference.
        better: Share of rounds that report the second arch, or the winner, as better.
        separable: Share of rounds that report a difference in any row of the table.
    """

    coverage: float
    bias: float
    better: float
    separable: float


class Advice(NamedTuple):
    """Results of the advice "it would take about N seeds".

    Args:
        fixed: Power with the advised N if the true difference is the given one.
        plug_in: Power with the N that follows from the difference that the first runs showed.
        half_width: Power with the N for which the interval is as wide as the true difference.
        seeds: Median N of `fixed`.
        none: Share of rounds in which no number of seeds up to the limit was enough for `fixed`.
    """

    fixed: float
    plug_in: float
    half_width: float
    seeds: float
    none: float


def networks(
    rng: np.random.Generator, spreads: tuple[float, ...], variants: int, seeds: int, images: int, accuracy: float = 0.9
) -> np.ndarray:
    """Returns which images are predicted correctly, bool [archs, variants, seeds, images], as drawn by `Population`.

    Every network is right on a share `accuracy` of all images over all seeds; variants of an arch share the effects of
    images.

    Args:
        rng: Generator of the draws.
        spreads: Spread of the luck of a seed, for each arch.
        variants: Number of variants of each arch, equally good.
        seeds: Number of seeds.
        images: Number of images.
        accuracy: Accuracy of all networks.
    """
    base = Population()
    shared = base.difficulty * rng.standard_normal(images, dtype="float32")
    found = np.empty((len(spreads), variants, seeds, images), bool)
    for arch, luck in enumerate(spreads):
        spread = (1 + base.difficulty**2 + base.family**2 + luck**2) ** 0.5
        ability = spread * stats.norm.ppf(accuracy) + luck * rng.standard_normal((variants, seeds, 1), dtype="float32")
        favor = base.family * rng.standard_normal(images, dtype="float32")
        chance = rng.standard_normal((variants, seeds, images), dtype="float32")
        found[arch] = chance < ability + favor - shared
    return found


def _difference(second: np.ndarray, first: np.ndarray) -> Difference:
    return closed_form(second.astype("int8") - first.astype("int8"))


def _separable(rows: list[Difference], corrected: bool) -> bool:
    p_values = [p_value(row) for row in rows]
    return min(holm(p_values) if corrected else p_values) < LIKELY


def choosing(
    rounds: int,
    variants: int = 5,
    seeds: int = 5,
    choose: int = 2,
    spreads: tuple[float, float] = (0.05, 0.3),
    seed: int = 0,
) -> dict[str, Judged]:
    """Compares equal learning rates, best against best, the second arch noisier; the judging runs choose, or other runs."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, ...]]] = {"same runs": [], "other runs": []}
    for _ in range(rounds):
        right = networks(rng, spreads, variants, seeds + choose, VAL + TEST)
        val, test = right[..., :VAL].mean(axis=3), right[:, :, :seeds, VAL:]
        for name, chosen_by in (("same runs", val[:, :, :seeds]), ("other runs", val[:, :, seeds:])):
            one, other = chosen_by.mean(axis=2).argmax(axis=1)
            rows = [_difference(test[1, place], test[0, place]) for place in range(variants)]
            separable = _separable(rows, corrected=name == "other runs")
            found[name].append(_judged(_difference(test[1, other], test[0, one]), separable))
    return _means(found)


def promotion(
    rounds: int, candidates: int = 3, seeds: int = 3, choose: int = 2, luck: float = 0.1, seed: int = 0
) -> dict[str, Judged]:
    """Retrains candidates that are equal to the baseline; the judging runs name the winner, or other runs."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, ...]]] = {"same runs": [], "other runs": []}
    for _ in range(rounds):
        right = networks(rng, (luck,) * (candidates + 1), 1, seeds + choose, VAL + TEST)[:, 0]
        val, test = right[1:, :, :VAL].mean(axis=2), right[:, :seeds, VAL:]
        rows = [_difference(one, test[0]) for one in test[1:]]
        for name, chosen_by in (("same runs", val[:, :seeds]), ("other runs", val[:, seeds:])):
            winner = rows[int(chosen_by.mean(axis=1).argmax())]
            found[name].append(_judged(winner, _separable(rows, corrected=name == "other runs")))
    return _means(found)


def _judged(found: Difference, separable: bool) -> tuple[float, ...]:
    return found.low <= 0 <= found.high, found.value, found.low > 0, separable


def _means(found: dict[str, list[tuple[float, ...]]]) -> dict[str, Judged]:
    return {name: Judged(*(float(mean) for mean in np.mean(rows, axis=0))) for name, rows in found.items()}


def advice(population: Population, seeds: int = 5, images: int = 1000, rounds: int = 500, seed: int = 0) -> Advice:
    """Measures whether the advised number of seeds shows the difference in 80 of 100 comparisons.

    The true difference is that of the population. The first runs of `seeds` seeds give the spread, and for `plug_in` and
    `half_width` also the difference. A new comparison with the advised number then shows a difference from 0, or not.
    """
    rng = np.random.default_rng(seed)
    true = abs(population.difference)
    shown: dict[str, list[bool]] = {"fixed": [], "plug_in": [], "half_width": []}
    counts, none = [], 0
    for _ in range(rounds):
        first = closed_form(_drawn(population, rng, seeds, images))
        numbers = {
            "fixed": seeds_needed(first, true),
            "plug_in": seeds_needed(first, max(abs(first.value), 1e-4)),
            # An interval as wide as the difference has a power of one half.
            "half_width": seeds_needed(first, true, power=0.5),
        }
        for name, number in numbers.items():
            if name == "fixed":
                counts.append(number or 0)
                none += number is None
            if number is not None:
                again = closed_form(_drawn(population, rng, number, images))
                shown[name].append(again.low > 0 or again.high < 0)
    powers = {name: float(np.mean(each)) if each else float("nan") for name, each in shown.items()}
    advised = [count for count in counts if count]
    return Advice(**powers, seeds=float(np.median(advised)) if advised else float("nan"), none=none / rounds)


def _drawn(population: Population, rng: np.random.Generator, seeds: int, images: int) -> np.ndarray:
    first, second = population.draw(rng, seeds, images)
    return second.astype("int8") - first.astype("int8")


def looks(rounds: int, first: int = 3, last: int = 10, seed: int = 0) -> list[float]:
    """Returns the share of comparisons of equal archs that report a difference at any look, after each seed from `first` on."""
    rng = np.random.default_rng(seed)
    said = np.zeros((rounds, last - first + 1), bool)
    for i in range(rounds):
        d = _drawn(Population(), rng, last, TEST)
        said[i] = [p_value(closed_form(d[:count])) < LIKELY for count in range(first, last + 1)]
    return np.logical_or.accumulate(said, axis=1).mean(axis=0).tolist()


def crashes(rounds: int, seeds: int = 5, share: float = CRASHES, seed: int = 0) -> dict[str, float]:
    """Measures the coverage of the difference of finished trainings, and of all, if one arch cannot be trained with some
    seeds.
    """
    rng = np.random.default_rng(seed)
    chance = 0.1  # accuracy of a failed run: always the same class of ten
    ends, every = 0.0, share * (chance - 0.9)
    held: dict[str, list[bool]] = {
        "dropped, of trainings that end": [],
        "dropped, of all": [],
        "counted as chance, of all": [],
    }
    named = 0
    for _ in range(rounds):
        first, second = Population().draw(rng, seeds, TEST)
        lost = rng.random(seeds) < share
        named += int(lost.any())
        if (~lost).sum() >= 3:
            found = _difference(second[~lost], first[~lost])
            held["dropped, of trainings that end"].append(found.low <= ends <= found.high)
            held["dropped, of all"].append(found.low <= every <= found.high)
        if lost.any():  # no run failed
            second[lost] = rng.random((lost.sum(), TEST)) < chance
            found = _difference(second, first)
            held["counted as chance, of all"].append(found.low <= every <= found.high)
    return {**{name: float(np.mean(each)) for name, each in held.items()}, "named": named / rounds}


def grouped(rounds: int, groups: int = 100, size: int = 10, seeds: int = 5, seed: int = 0) -> dict[str, float]:
    """Returns coverage if the images of a group are right or wrong together (correlation 0.5 of their effect on a family)."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(groups), size)
    held: dict[str, list[bool]] = {"groups": [], "images": []}
    for _ in range(rounds):
        sides = []
        for _ in range(2):
            favor = 0.5**0.5 * (rng.standard_normal(groups)[number] + rng.standard_normal(groups * size))
            luck, left = 0.05 * rng.standard_normal((seeds, 1)), 0.3 * rng.standard_normal((seeds, groups * size))
            sides.append(favor + luck + left < 1.2)
        d = sides[1].astype("int8") - sides[0].astype("int8")
        for name, known in (("groups", number), ("images", None)):
            found = two_way(
                _means_of(d),
                images=groups * size,
                seeds=seeds,
                most=1.0,
                groups=known,
                rounds=150,
            )
            held[name].append(found.low <= 0 <= found.high)
    return {name: float(np.mean(each)) for name, each in held.items()}


def _means_of(differences: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda index: differences[:, index].mean(axis=2).T


def tables(rounds: int) -> Iterator[str]:
    """Returns all tables as Markdown."""
    yield "### Chosen and judged\n\n| seeds | chosen by | coverage | bias, points | any row said to differ |"
    yield "|--:|---|--:|--:|--:|"
    for seeds in (3, 5):
        for name, row in choosing(rounds, seeds=seeds).items():
            yield f"| {seeds} | {name} | {row.coverage:.1%} | {100 * row.bias:+.2f} | {row.separable:.1%} |"
    yield "\n### Promotion\n\n| seeds | winner by | winner said to be better | any row said to differ |\n|--:|---|--:|--:|"
    for seeds in (3, 5):
        for name, row in promotion(rounds, seeds=seeds).items():
            yield f"| {seeds} | {name} | {row.better:.1%} | {row.separable:.1%} |"
    yield (
        "\n### Advice\n\n| first runs | true difference | spread of seeds | median N | power at the true difference"
        " | plug-in power | power by an interval's width | no N |\n|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for seeds, difference, luck in ((3, 0.03, 0.1), (5, 0.03, 0.1), (5, 0.02, 0.05)):
        population = Population(accuracies=(0.9 - difference, 0.9), seed=luck)
        one = advice(population, seeds=seeds, rounds=max(rounds // 4, 50))
        yield (
            f"| {seeds} | {100 * difference:.0f} points | {luck} | {one.seeds:.0f} | {one.fixed:.0%} | {one.plug_in:.0%}"
            f" | {one.half_width:.0%} | {one.none:.0%} |"
        )
    shown = looks(rounds)
    yield "\n### Looks\n\n| looks after 3 to N seeds | " + " | ".join(map(str, range(3, 11))) + " |"
    yield (
        "|---|"
        + "--:|" * len(shown)
        + "\n| said to differ at least once | "
        + " | ".join(f"{p:.1%}" for p in shown)
        + " |"
    )
    yield "\n### Crashes\n\n| seeds | " + " | ".join(crashes(50)) + " |\n|--:|" + "--:|" * 4
    for seeds in (5, 10):
        yield f"| {seeds} | " + " | ".join(f"{value:.1%}" for value in crashes(rounds, seeds=seeds).values()) + " |"
    yield "\n### Groups\n\n| " + " | ".join(grouped(2)) + " |\n|--:|--:|"
    yield "| " + " | ".join(f"{value:.1%}" for value in grouped(rounds).values()) + " |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m kerascnn.statistics.designs", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000, help="conclusions drawn for each row")
    for line in tables(parser.parse_args().rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
