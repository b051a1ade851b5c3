"""Simulation of the coverage of the intervals of one network's scores: test sets drawn from a known population.

`python -m kerascnn.statistics.simulate_scores scores|ece|groups` prints a table of experiments/results/statistics.md.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from kerascnn.statistics import calibration, classification, proper_scores, proportion
from kerascnn.statistics.intervals import Interval

# Logits are normal around their margin; the network is overconfident by this factor.
SHARPNESS = 2.5
_LEVELS = 4096  # bins of the histogram of scores for the true ranking scores


@dataclass(frozen=True)
class Classifier:
    """A network in which the logit of the true class is `margin` above standard normal logits of the others.

    Args:
        classes: Number of classes.
        accuracy: Approximate accuracy in a population of equally frequent classes.
        skew: Ratio of the images of the largest and the smallest class; the others are geometrically between.
        spread: Spread of the margins of the classes: some classes are harder than others.
        group: Standard deviation of the part of the margin that the images of a group share; 1 is that of an image's own
            part.
    """

    classes: int
    accuracy: float
    skew: float = 1.0
    spread: float = 0.6
    group: float = 0.0

    @cached_property
    def margins(self) -> np.ndarray:
        """Margin of each class, [C]."""
        place = (np.arange(self.classes) * 0.618 + 0.5) % 1 * 0.9 + 0.05
        offsets = self.spread * stats.norm.ppf(place)
        rng = np.random.default_rng(0)
        highest = stats.norm.ppf(rng.random(20_000) ** (1 / (self.classes - 1)))
        own = rng.standard_normal(20_000) * (1 + self.group**2) ** 0.5 + offsets[np.arange(20_000) % self.classes]
        return offsets + float(np.quantile(highest - own, self.accuracy))

    def counts(self, n: int) -> np.ndarray:
        """Returns the number of images of each class in a test set of n, [C]: at least one."""
        shares = np.geomspace(1, 1 / self.skew, self.classes)
        counts = np.maximum(1, np.floor(n * shares / shares.sum())).astype(int)
        while counts.sum() > n:
            counts[counts.argmax()] -= 1
        counts[: n - counts.sum()] += 1
        return counts

    def draw(self, rng: np.random.Generator, labels: np.ndarray, groups: np.ndarray | None = None) -> np.ndarray:
        """Returns the probabilities [n, C] of images of these classes."""
        logits = rng.standard_normal((len(labels), self.classes), dtype="float32")
        shared = 0.0
        if self.group:
            each = np.arange(len(labels)) if groups is None else groups
            shared = self.group * rng.standard_normal(each.max() + 1)[each]
        logits[np.arange(len(labels)), labels] += self.margins[labels] + shared
        return softmax(SHARPNESS * logits, axis=1)

    def truth(self, counts: np.ndarray, images: int = 400_000) -> dict[str, float]:
        """Returns the scores of the population, with classes as frequent as in `counts`, estimated from `images` images."""
        classes, share = self.classes, counts / counts.sum()
        confusion, cost = np.zeros((classes, classes)), np.zeros((2, classes))
        found = np.zeros(
            (2, classes, _LEVELS)
        )  # histograms of each class's score: of its own images, and of the others by `share`
        rng, chunk = np.random.default_rng(99), max(1, 2_000_000 // classes)
        rounds = max(1, round(images / chunk))
        first = np.arange(classes) * _LEVELS
        for i in range(rounds):
            labels = (np.arange(chunk) + i * chunk) % classes
            probabilities = self.draw(rng, labels)
            own, rows = np.zeros(probabilities.shape, bool), np.arange(chunk)
            own[rows, labels] = True
            np.add.at(confusion, (labels, probabilities.argmax(axis=1)), 1)
            for each, values in zip(cost, (proper_scores.losses, proper_scores.brier), strict=True):
                each += np.bincount(labels, values(probabilities, labels), classes)
            level = ((logit(np.clip(probabilities, 1e-13, 1 - 1e-7)) + 30) / 47 * _LEVELS).astype(int) + first
            weights = np.broadcast_to(share[labels][:, None], own.shape)
            for kind, mine in enumerate((own, ~own)):
                found[kind] += np.bincount(level[mine], weights[mine], classes * _LEVELS).reshape(classes, _LEVELS)
        per = confusion.sum(axis=1)
        confusion, cost = confusion / per[:, None], cost / per
        hits, answers = np.diag(confusion) * share, share @ confusion
        positive, negative = found[0, :, ::-1], found[1, :, ::-1]
        above, false = (np.cumsum(kind, axis=1) - kind / 2 for kind in (positive, negative))
        precision = above / np.maximum(above + false, 1e-300)
        return {
            "accuracy": float(hits.sum()),
            "balanced accuracy": float(np.diag(confusion).mean()),
            "macro F1": float((2 * hits / (share + answers)).mean()),
            "average precision": float(((positive * precision).sum(axis=1) / positive.sum(axis=1)).mean()),
            "area under ROC": float(
                ((negative * above).sum(axis=1) / negative.sum(axis=1) / positive.sum(axis=1)).mean()
            ),
            "log loss": float(cost[0] @ share),
            "Brier score": float(cost[1] @ share),
        }


def intervals(probabilities: np.ndarray, labels: np.ndarray, groups: np.ndarray | None = None) -> dict[str, Interval]:
    """Returns the scores that evaluate prints, except the ECE."""
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    areas = classification.ranking(probabilities, labels, groups)
    if areas is None:
        raise ValueError("expected images of two classes")
    return {
        "accuracy": proportion(predicted == labels, groups),
        "balanced accuracy": classification.balanced_accuracy(labels, predicted, classes, groups),
        "macro F1": classification.macro_f1(labels, predicted, classes, groups),
        "average precision": areas.average_precision,
        "area under ROC": areas.auroc,
        "log loss": proper_scores.mean_loss(probabilities, labels, groups),
        "Brier score": proper_scores.mean_brier(probabilities, labels, groups),
    }


class ScoreCoverage(NamedTuple):
    """How often intervals hold the truth, and their mean width, by score."""

    coverage: dict[str, float]
    width: dict[str, float]


def coverage(
    draw: Callable[[np.random.Generator], dict[str, Interval]], truth: dict[str, float], rounds: int, seed: int = 0
) -> ScoreCoverage:
    """Returns the coverage in `rounds` test sets; `draw` returns the intervals of a new one."""
    rng = np.random.default_rng(seed)
    found = [draw(rng) for _ in range(rounds)]
    held = {
        name: float(np.mean([one[name].low <= truth[name] <= one[name].high for one in found])) for name in found[0]
    }
    return ScoreCoverage(
        held, {name: float(np.mean([one[name].high - one[name].low for one in found])) for name in found[0]}
    )


def of_scores(network: Classifier, n: int, rounds: int, seed: int = 0) -> ScoreCoverage:
    """Returns the coverage for test sets of n images with fixed shares of classes."""
    counts = network.counts(n)
    labels = np.repeat(np.arange(network.classes), counts)
    return coverage(lambda rng: intervals(network.draw(rng, labels), labels), network.truth(counts), rounds, seed)


def of_groups(
    network: Classifier, groups: int, size: int, rounds: int, *, ignored: bool = False, seed: int = 0
) -> ScoreCoverage:
    """Returns the coverage for test sets of `groups` groups of `size` images; a group has one class, and classes take turns."""
    numbers = np.repeat(np.arange(groups), size)
    labels = numbers % network.classes
    truth = network.truth(np.bincount(labels, minlength=network.classes))
    return coverage(
        lambda rng: intervals(network.draw(rng, labels, numbers), labels, None if ignored else numbers),
        truth,
        rounds,
        seed,
    )


# Deviations of a network's accuracy from its confidence.
MISCALIBRATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "none": lambda confidence, degree: confidence,
    "too sure everywhere": lambda confidence, degree: np.clip(confidence - degree, 0, 1),
    "too sharp": lambda confidence, degree: expit(logit(confidence) / (1 + degree)),
    "too soft": lambda confidence, degree: expit(logit(confidence) * (1 + degree)),
    "unsure images alone": lambda confidence, degree: np.where(confidence < 0.7, (1 - degree) * confidence, confidence),
    "up and down": lambda confidence, degree: np.clip(confidence + degree * np.sin(20 * confidence), 0, 1),
}


@dataclass(frozen=True)
class MiscalibratedNetwork:
    """A network with known confidences, and its accuracy at each of them.

    Args:
        kind: A name in MISCALIBRATIONS.
        error: ECE of the population over 15 bins of equal mass.
        center: Parameter of the confidences, 0.1 + 0.9 expit(normal with this mean, spread 2): 2 gives a mean of 0.82, 5 of
            0.98.
    """

    kind: str
    error: float
    center: float = 2.0

    def confidences(self, rng: np.random.Generator, n: int) -> np.ndarray:
        return np.clip(0.1 + 0.9 * expit(rng.normal(self.center, 2, n)), 0.1, 1 - 1e-9)

    @cached_property
    def degree(self) -> float:
        """Degree of the miscalibration that gives `error`.

        Raises:
            ValueError: There is none.
        """
        if not self.error:
            return 0.0
        confidence = np.sort(self.confidences(np.random.default_rng(7), 300_000)).reshape(calibration.BINS, -1)

        def too_much(degree: float) -> float:
            gaps = (MISCALIBRATIONS[self.kind](confidence, degree) - confidence).mean(axis=1)
            return float(np.abs(gaps).mean()) - self.error

        return float(brentq(too_much, 0, 50 if self.kind.startswith("too s") else 0.999, xtol=1e-5))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns probabilities [n, 20], whose first class is predicted, and labels."""
        confidence = self.confidences(rng, n)
        right = rng.random(n) < MISCALIBRATIONS[self.kind](confidence, self.degree)
        rest = np.repeat((1 - confidence)[:, None] / 19, 19, axis=1)
        return np.concatenate([confidence[:, None], rest], axis=1), np.where(right, 0, 1)


def of_ece(
    population: MiscalibratedNetwork, n: int, rounds: int, seed: int = 0, draws: int = 500
) -> tuple[ScoreCoverage, float]:
    """Returns coverage and width of the ECE's interval, and the mean of the plain ECE."""
    plain = []

    def draw(rng: np.random.Generator) -> dict[str, Interval]:
        found = calibration.ece(*population.draw(rng, n), rounds=draws)
        plain.append(found.plain)
        return {"ECE": found.interval}

    return coverage(draw, {"ECE": population.error}, rounds, seed), float(np.mean(plain))


def table_of_scores(rounds: int) -> Iterator[str]:
    """Returns the table of scores, with `rounds` for few classes, a third with 100 classes, a tenth with 1,000."""
    names = list(intervals(np.eye(2), np.arange(2)))
    yield "| classes | largest / smallest | accuracy | n | " + " | ".join(names) + " |"
    yield "|" + "---|" * (4 + len(names))
    rows = [
        (classes, skew, accuracy, n)
        for classes, skew in ((2, 1.0), (10, 1.0), (10, 20.0))
        for accuracy in (0.7, 0.9, 0.975, 0.995)
        for n in (20, 50, 200, 1000, 5000)
    ]
    rows += [(100, skew, accuracy, n) for skew in (1.0, 20.0) for accuracy in (0.7, 0.975) for n in (200, 1000, 5000)]
    rows += [(1000, 1.0, accuracy, 5000) for accuracy in (0.7, 0.975)]
    for classes, skew, accuracy, n in rows:
        share = {2: 1, 10: 1, 100: 3, 1000: 10}[classes]
        yield _row(
            (classes, f"{skew:g}", accuracy, n), of_scores(Classifier(classes, accuracy, skew), n, rounds // share)
        )


def table_of_groups(rounds: int) -> Iterator[str]:
    """Returns the table of intervals that ignore groups and those that resample them."""
    names = list(intervals(np.eye(2), np.arange(2)))
    yield "| groups | of images | classes | accuracy | groups are | " + " | ".join(names) + " |"
    yield "|" + "---|" * (5 + len(names))
    for groups, size in ((20, 10), (100, 10), (400, 5)):
        for classes, accuracy in ((2, 0.9), (10, 0.7), (10, 0.975)):
            for ignored in (True, False):
                network = Classifier(classes, accuracy, group=1.0)
                held = of_groups(network, groups, size, rounds, ignored=ignored)
                yield _row((groups, size, classes, accuracy, "ignored" if ignored else "resampled"), held)


def table_of_ece(rounds: int) -> Iterator[str]:
    """Returns the table of true errors of 0 to 5 % in several forms, without those that no network of the form has."""
    yield "| miscalibration | mean confidence | true ECE | n | coverage | mean width | mean of the plain ECE |"
    yield "|---|---|---|---|---|---|---|"
    forms = [(kind, 2.0) for kind in MISCALIBRATIONS] + [("too sharp", 5.0)]
    rows = [("none", center, 0.0) for center in (2.0, 5.0)]
    rows += [(kind, center, error) for kind, center in forms for error in (0.005, 0.02, 0.05)]
    for kind, center, error in rows:
        population = MiscalibratedNetwork(kind, error, center)
        try:
            population.degree  # noqa: B018 - raises where no such network exists
        except ValueError:
            continue
        mean = population.confidences(np.random.default_rng(0), 100_000).mean()
        for n in (200, 1000, 5000):
            held, plain = of_ece(population, n, rounds)
            cells = (f"{held.coverage['ECE']:.1%}", f"{held.width['ECE']:.2%}", f"{plain:.2%}")
            yield "| " + " | ".join((kind, f"{mean:.2f}", f"{error:.1%}", str(n), *cells)) + " |"


def _row(head: tuple[object, ...], held: ScoreCoverage) -> str:
    cells = (f"{held.coverage[name]:.1%} ({held.width[name]:.3g})" for name in held.coverage)
    return "| " + " | ".join((*map(str, head), *cells)) + " |"


TABLES = {"scores": table_of_scores, "groups": table_of_groups, "ece": table_of_ece}


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m kerascnn.statistics.simulate_scores", description=__doc__)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--rounds", type=int, default=1000, help="number of test sets for each row")
    args = parser.parse_args()
    for line in TABLES[args.table](args.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
