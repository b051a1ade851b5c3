"""Fine-tuned and from scratch, as a table: python -m experiments.finetuning.finetune_table RUNS > results/finetune.md."""

import sys
from pathlib import Path

import numpy as np

from kerascnn.runs import Run
from kerascnn.statistics import SHARE, over_seeds, t_interval, two_way, wilson

SEEDS = (11, 12, 13, 14, 15)
KINDS = {
    "finetuned": "`--config finetune --weights RUN --optimizer sgd --lr 0.02 --backbone-lr-scale 0.5`",
    "scratch": "from scratch, `--lr 0.05`",
}


def right(run: Run) -> np.ndarray:
    """Whether each test image was answered right, in the order of ids."""
    kept = run.read_predictions("test")
    return (kept["probabilities"].argmax(axis=1) == kept["labels"])[np.argsort(kept["ids"])]


def main(folder: Path) -> None:
    """Print the page."""
    answers = {kind: np.stack([right(Run(folder / f"{kind}_s{seed}")) for seed in SEEDS]) for kind in KINDS}
    source = Run(folder / "imagenette_resnet18").metrics()["test"]["accuracy"]
    print(
        f"The run that they start from: imagenette test accuracy {source['value']:.1%} (n = {source['n']:,}, 1 seed).\n"
    )
    seeds = ", ".join(map(str, SEEDS))
    head = f"seeds {seeds}, each with its Wilson interval | mean, t interval over {len(SEEDS)} seeds"
    print(f"| hymenoptera, test | {head} | training |")
    print("|---|---|---|---|")
    for kind, said in KINDS.items():
        each = [f"{row.mean():.1%} [{low:.1%}, {high:.1%}]" for row in answers[kind] for low, high in [ends(row)]]
        over = over_seeds(answers[kind].mean(axis=1).tolist(), SHARE)
        if over is None:
            raise ValueError(f"expected three seeds or more, got {len(SEEDS)}")
        seconds = [Run(folder / f"{kind}_s{seed}").metrics()["train_seconds"] for seed in SEEDS]
        took = ", ".join(f"{value:.0f}" for value in seconds)
        print(f"| {said} | {' · '.join(each)} | {over.value:.1%} [{over.low:.1%}, {over.high:.1%}] | {took} s |")
    gain = (answers["finetuned"].astype(float) - answers["scratch"]).T
    found = two_way(lambda chosen: gain[chosen].mean(axis=1), images=len(gain), seeds=len(SEEDS), most=1.0)
    these = t_interval(gain.mean(axis=0).tolist())
    print(
        f"\nFine-tuned minus from scratch, other seeds on these very photos: {100 * these.value:+.1f} points"
        f" [{100 * these.low:+.1f}, {100 * these.high:+.1f}] (t over {len(SEEDS)} seeds)."
    )
    print(
        f"\nFine-tuned minus from scratch, paired by image and seed: {100 * found.value:+.1f} points"
        f" [{100 * found.low:+.1f}, {100 * found.high:+.1f}] "
        f" (95 %, over {found.over}; n = {len(gain)} images, {len(SEEDS)} seeds)."
    )


def ends(row: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of one run's accuracy."""
    interval = wilson(int(row.sum()), len(row))
    return interval.low, interval.high


if __name__ == "__main__":
    main(Path(sys.argv[1]))
