"""Coverage of prediction sets, simulated and measured on finished runs, as Markdown.

    python -m experiments.coverage RUN... > experiments/results/coverage.md

Runs are grouped by arch, and all have the same val and test images. Only their predictions are read.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from kerascnn.runs import Run
from kerascnn.statistics import conformal

COVERAGES = (0.8, 0.9, 0.95)
ROUNDS = 1000
CLASSES = 10
INTRODUCTION = """# Do prediction sets cover what they say?

Made by

    python -m experiments.coverage RUN... --rounds {rounds} > experiments/results/coverage.md

with {runs}, all with the same {val:,} val and {test:,} test
images of fashion_mnist_mini. *Marginal*: one threshold; *class*: one for each class with {fewest} images. Shares are of images
whose set holds the true class.
"""


def networks(rng: np.random.Generator, candidates: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probabilities [candidates, images, CLASSES] of equally good networks, and the labels [images].

    A logit is the image's own evidence plus the luck of the network: candidates are as alike as epochs of a training.
    """
    labels = rng.integers(0, CLASSES, images)
    evidence = rng.normal(size=(images, CLASSES)) * 1.5
    evidence[np.arange(images), labels] += 4.2
    logits = evidence + 0.7 * rng.normal(size=(candidates, images, CLASSES))
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True), labels


def covered(
    score: str, known: np.ndarray, labels: np.ndarray, new: np.ndarray, truth: np.ndarray, coverage: float
) -> float:
    """Returns the share of new images whose set holds the truth, with one threshold."""
    limit = conformal.threshold(conformal.of_truth(conformal.SCORES[score](known), labels), coverage)
    return float((conformal.of_truth(conformal.SCORES[score](new), truth) <= limit).mean())


def simulated(rounds: int) -> list[str]:
    """Returns the table of the simulation: val chooses among candidates, or calibration images choose nothing."""
    lines = [
        "## Simulated: what it costs that val chose the checkpoint",
        "",
        f"Equally good networks of {CLASSES} classes; the one with the best accuracy on val is kept, and LAC's threshold",
        "for 90 % comes from the same val, or from as many images that chose nothing. Means over",
        f"{rounds:,} simulations on 2,000 new images, and their standard errors.",
        "",
        "| candidates | images | val accuracy less true | coverage from val | coverage from calibration |",
        "|--:|--:|--:|--:|--:|",
    ]
    for candidates in (1, 10, 30):
        for n in (60, 150, 600):
            found = np.array([_chosen(np.random.default_rng([candidates, n, i]), candidates, n) for i in range(rounds)])
            mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(rounds)
            lines.append(
                f"| {candidates} | {n} | {mean[0] * 100:+.2f} points | {mean[1]:.2%} ± {error[1] * 100:.2f} |"
                f" {mean[2]:.2%} ± {error[2] * 100:.2f} |"
            )
    return lines


def _chosen(rng: np.random.Generator, candidates: int, n: int) -> tuple[float, float, float]:
    probabilities, labels = networks(rng, candidates, 2 * n + 2000)
    right = probabilities.argmax(axis=2) == labels
    best = int(right[:, :n].mean(axis=1).argmax())
    one, new, truth = probabilities[best], probabilities[best, 2 * n :], labels[2 * n :]
    optimism = right[best, :n].mean() - right[best, 2 * n :].mean()
    from_val = covered("lac", one[:n], labels[:n], new, truth, 0.9)
    return float(optimism), from_val, covered("lac", one[n : 2 * n], labels[n : 2 * n], new, truth, 0.9)


class Predicted:
    """The kept predictions of a run.

    Args:
        run: A finished run.
    """

    def __init__(self, run: Run) -> None:
        self.arch = run.path.name.rpartition("_fashion")[0] or run.path.name
        self.val, self.test = run.read_predictions("val"), run.read_predictions("test")

    def rates(self, score: str, coverage: float, by_class: bool) -> tuple[float, float, float]:
        """Returns the coverage of test by val's thresholds, the mean size of a set, and the lowest coverage of a class."""
        known, new = (conformal.SCORES[score](part["probabilities"]) for part in (self.val, self.test))
        labels, truth = self.val["labels"].astype(int), self.test["labels"].astype(int)
        one = conformal.threshold(conformal.of_truth(known, labels), coverage)
        limits = np.array(conformal.by_class(known, labels, coverage)) if by_class else np.full(known.shape[1], one)
        sets = new <= limits
        held = sets[np.arange(len(truth)), truth]
        lowest = min(float(held[truth == c].mean()) for c in np.unique(truth))
        return float(held.mean()), float(sets.sum(axis=1).mean()), lowest

    def halves(self, score: str, coverage: float, rounds: int) -> np.ndarray:
        """Returns the coverage of one random half of test by the threshold of the other, which chose nothing, [rounds]."""
        scores = conformal.of_truth(
            conformal.SCORES[score](self.test["probabilities"]), self.test["labels"].astype(int)
        )
        half, rng, found = len(scores) // 2, np.random.default_rng(0), []
        for _ in range(rounds):
            drawn = scores[rng.permutation(len(scores))]
            found.append(float((drawn[half:] <= conformal.threshold(drawn[:half], coverage)).mean()))
        return np.array(found)


def measured(runs: list[Predicted]) -> list[str]:
    """Returns the table of the coverage on test by val's thresholds, a row for each arch, score and nominal coverage."""
    by_arch: dict[str, list[Predicted]] = defaultdict(list)
    for run in runs:
        by_arch[run.arch].append(run)
    spread = {
        c: conformal.expected_coverage(len(runs[0].val["labels"]), len(runs[0].test["labels"]), c) for c in COVERAGES
    }
    allowed = ", ".join(f"{one.low:.1%} to {one.high:.1%} for {c:.0%}" for c, one in spread.items())
    lines = [
        "## Measured: thresholds from val, coverage on test",
        "",
        "Mean over the seeds of an arch, with the lowest and the highest. All seeds share val and test, so that their",
        "coverages move together:",
        f"what chance allows of one network with calibration images that chose nothing is {allowed}.",
        "",
        "| arch (seeds) | score | asked | marginal | size | lowest class | class | size | lowest class |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for arch, some in by_arch.items():
        for score in conformal.SCORES:
            for coverage in COVERAGES:
                cells = []
                for by_class in (False, True):
                    found = np.array([run.rates(score, coverage, by_class) for run in some])
                    held, mean = found[:, 0], found.mean(axis=0)
                    cells += [
                        f"{held.mean():.2%} [{held.min():.1%}, {held.max():.1%}]",
                        f"{mean[1]:.2f}",
                        f"{mean[2]:.1%}",
                    ]
                lines.append(f"| {arch} ({len(some)}) | {score} | {coverage:.0%} | {' | '.join(cells)} |")
    return lines


def halved(runs: list[Predicted], rounds: int) -> list[str]:
    """Returns the table of thresholds from images that chose nothing, with the spread that theory expects."""
    half = len(runs[0].test["labels"]) // 2
    lines = [
        "## Measured: thresholds from images that chose nothing",
        "",
        f"Test is halved at random {rounds:,} times for each run; the threshold comes from one half ({half} images),",
        "the coverage from the other. Mean of all, and the middle 95 % beside those of the Beta and the binomial",
        "distribution that `evaluate` prints.",
        "",
        "| score | asked | mean | middle 95 % | expected |",
        "|---|--:|--:|--:|--:|",
    ]
    for score in conformal.SCORES:
        for coverage in COVERAGES:
            found = np.concatenate([run.halves(score, coverage, rounds) for run in runs])
            low, high = np.quantile(found, (0.025, 0.975))
            one = conformal.expected_coverage(half, half, coverage)
            lines.append(
                f"| {score} | {coverage:.0%} | {found.mean():.2%} | {low:.1%} to {high:.1%} |"
                f" {one.mean:.2%}, {one.low:.1%} to {one.high:.1%} |"
            )
    return lines


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    runs = [Predicted(Run(path)) for path in asked.runs]
    counts = {arch: sum(run.arch == arch for run in runs) for arch in dict.fromkeys(run.arch for run in runs)}
    names = " and ".join(f"{n} runs of {arch} (seeds 0 to {n - 1})" for arch, n in counts.items())
    val, test = len(runs[0].val["labels"]), len(runs[0].test["labels"])
    print(INTRODUCTION.format(runs=names, val=val, test=test, fewest=conformal.FEWEST, rounds=asked.rounds))
    for part in (measured(runs), halved(runs, asked.rounds), simulated(asked.rounds)):
        print("\n".join(part), end="\n\n")


if __name__ == "__main__":
    main()
