"""Recipes for the first command, weighed on val: accuracy against training multiply-adds, one run a call.

    python -m experiments.first_command --arch resnet --seed 0 [FLAGS OF fit ...]    one row, on val alone
    python -m experiments.first_command --table                                      the rows as a table
    python -m experiments.first_command --finals RUN...                              finished runs of fit, by arch, on test

`--seed N` seeds the run and moves the cut of val as well, so that five seeds judge a recipe by five cuts of val (n = 3,000
images). Test is not read. Training multiply-adds are three times those of the forward pass (forward, gradient to the input,
gradient to the kernel) for each image of each epoch at the size of that epoch.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

KEPT = Path(__file__).resolve().parent / "results" / "first_command.jsonl"
PASSES = 3


def measure(words: list[str]) -> dict:
    """One training by the flags in `words`; val alone judges it."""
    from kerascnn import data, training
    from kerascnn.cli.parsing import parse_config
    from kerascnn.cli.screen import Screen
    from kerascnn.models import cost
    from kerascnn.runs import prepare
    from kerascnn.training import assembly

    seed = words[words.index("--seed") + 1]
    with tempfile.TemporaryDirectory() as folder:
        flags = [*words, "--split-seed", seed, "--runs-dir", folder, "--run", "run", "--no-export"]
        config = parse_config(flags, prog="first_command", description="")
        splits = data.load(config.data)
        config = training.resolve(config, splits)
        run = prepare(config, splits.fingerprint, splits.name)
        metrics = training.train(config, run, splits=splits, screen=Screen(), draw=False, read_test=False)
    images = len(splits.train)
    small, whole = config.fit.low_res_epochs or 0, config.fit.epochs - (config.fit.low_res_epochs or 0)
    size = splits.image_size
    macs = whole * _macs(config, size, cost, assembly)
    if small:
        macs += small * _macs(config, assembly.small(splits).image_size, cost, assembly)
    return {
        "recipe": " ".join(_without(words)),
        "arch": config.model.arch,
        "seed": int(seed),
        "val": metrics["val"]["accuracy"]["value"],
        "n": metrics["val"]["accuracy"]["n"],
        "macs": PASSES * macs * images,
        "seconds": metrics["train_seconds"],
    }


def _macs(config, size: int, cost, assembly) -> int:
    return cost.count(assembly.network(config.model, size, 10)).macs


def _without(words: list[str]) -> list[str]:
    """The flags that make the recipe: all but the arch and the seed."""
    kept, skip = [], False
    for word in words:
        if skip or word in ("--arch", "--seed"):
            skip = not skip
            continue
        kept.append(word)
    return kept


def table(rows: list[dict]) -> str:
    """Markdown, the cheapest first within an arch."""
    groups: dict[tuple, list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["arch"], row["recipe"]].append(row)
    lines = [
        "| arch | flags | training multiply-adds | val accuracy, mean over seeds (n) | spread over seeds | seconds, median |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for (arch, recipe), group in sorted(groups.items(), key=lambda item: (item[0][0], item[1][0]["macs"])):
        values = [row["val"] for row in group]
        spread = f"{100 * stdev(values):.1f} points" if len(values) > 1 else "-"
        seconds = sorted(row["seconds"] for row in group)[len(group) // 2]
        lines.append(
            f"| {arch} | `{recipe or '(none)'}` | {group[0]['macs'] / 1e12:.2f} T | {mean(values):.2%}"
            f" ({len(group)} seeds, {sum(row['n'] for row in group):,}) | {spread} | {seconds:.0f} |"
        )
    return "\n".join(lines)


def finals(places: list[Path]) -> str:
    """Markdown: test accuracy of finished runs, mean over seeds with Student's interval, and what they computed."""
    from scipy.stats import t

    groups: dict[str, list[dict]] = defaultdict(list)
    for place in places:
        metrics = json.loads((place / "metrics.json").read_text())
        with (place / "config.toml").open("rb") as file:
            config = tomllib.load(file)
        counts = json.loads((place / "data.json").read_text())["images"]
        fit, arch = config["fit"], config["model"]["arch"]
        groups[arch].append({"metrics": metrics, "fit": fit, "images": counts["train"], "config": config})
    lines = [
        "| arch | test accuracy, mean of seeds [95 %, t over seeds] | each seed | n | training multiply-adds"
        " | seconds of training |",
        "|---|--:|---|--:|--:|---|",
    ]
    for arch, runs in sorted(groups.items(), reverse=True):
        runs.sort(key=lambda run: run["fit"]["seed"])
        values = [100 * run["metrics"]["test"]["accuracy"]["value"] for run in runs]
        half = t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5
        each = ", ".join(f"{value:.1f}" for value in values)
        seconds = ", ".join(f"{run['metrics']['train_seconds']:.0f}" for run in runs)
        lines.append(
            f"| {arch} | {mean(values):.1f} % [{mean(values) - half:.1f}, {mean(values) + half:.1f}] | {each} |"
            f" {runs[0]['metrics']['test']['accuracy']['n']:,} | {_training_macs(runs[0]) / 1e12:.2f} T | {seconds} |"
        )
    return "\n".join(lines)


def _training_macs(run: dict) -> int:
    """Of a finished run, counted at the sizes that its epochs had."""
    from kerascnn import models
    from kerascnn.models import cost
    from kerascnn.training import assembly

    size, fit = run["config"]["data"]["image_size"], run["fit"]
    found = {
        side: cost.count(models.build(run["config"]["model"]["arch"], (side, side, 3), 10)).macs
        for side in (size, assembly.small_size(size))
    }
    small = fit.get("low_res_epochs", 0)
    whole = fit["epochs"] - small
    return PASSES * run["images"] * (whole * found[size] + small * found[assembly.small_size(size)])


def main() -> int:
    words = sys.argv[1:]
    if words[:1] == ["--finals"]:
        print(finals([Path(word) for word in words[1:]]))
        return 0
    if words == ["--table"]:
        print(table([json.loads(line) for line in KEPT.read_text().splitlines()]))
        return 0
    row = measure(words)
    with KEPT.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
