"""How cost grows: experiments/results/growth.png and growth.md.

    python -m experiments.speed.growth --data-dir TFDS_DIR --seconds 250     as often as something is missing
    python -m experiments.speed.growth --table                               picture and table of what is there

Seconds of an epoch against images; memory against images, without a cache and with one; images per second against batch,
image size and depth; one replica against two. Alone on the machine.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from statistics import median

from experiments.speed import units
from experiments.speed.units import Unit

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "experiments" / "results" / "growth.jsonl"
RUNS = "experiments/runs/growth"
BATCHES, SIZES, DEPTHS = (8, 32, 128, 512), (32, 64, 128, 224), (20, 32, 44, 56, 110)
SHARES, MEMORY_SHARES, IMAGES = (0.02, 0.1, 0.3, 1.0), (0.02, 0.1, 0.3, 0.6, 1.0), 44_898


def _benchmark(name: str, *flags: str, part: str = "train") -> Unit:
    ways = ("--parts", part, "--rounds", "3", "--seconds", "2", "--json")
    return Unit(name, ("python", "-m", "kerascnn.benchmark", *flags, *ways), units.benchmark)


def _fit(name: str, *flags: str) -> Unit:
    """One epoch: its seconds and images, from the run's own history."""
    place = ["--runs-dir", RUNS, "--run", name.replace(" ", "_"), "--no-export", "--overwrite"]
    command = ("python", "-m", "kerascnn.fit", *flags, "--epochs", "1", "--warmup", "0", *place)

    def read(text: str) -> dict[str, float]:
        with (ROOT / RUNS / name.replace(" ", "_") / "history.csv").open(newline="") as file:
            (row,) = csv.DictReader(file)
        images = float(row["seconds"]) * float(row["images_per_second"])
        return {"seconds": float(row["seconds"]), "images": images, "wait": float(row["input_wait"])}

    return Unit(name, command, read)


def _all(data_dir: str) -> list[Unit]:
    net = ("--arch", "resnet20")
    found = [_benchmark(f"batch {n}", *net, "--batch-size", str(n)) for n in BATCHES]
    found += [
        _benchmark(f"size {n}", *net, "--image-size", str(n), "--stem", "small", "--batch-size", "32") for n in SIZES
    ]
    found += [_benchmark(f"depth {n}", "--arch", f"resnet{n}", "--batch-size", "128") for n in DEPTHS]
    found += [
        _benchmark(f"replicas {n}", *net, "--batch-size", "128", "--devices", "cpu" if n == 1 else f"cpu:{n}")
        for n in (1, 2)
    ]
    if data_dir:
        cifar = (*net, "--dataset", "tfds:cifar10", "--data-dir", data_dir, "--batch-size", "128")
        found += [_fit(f"epoch {share}", *cifar, "--fraction", str(share)) for share in SHARES]
        # Nothing random before the resize, so that decoded images are kept: 150 KB each, more than a quarter of 24 GB in all.
        large = (
            "--arch",
            "resnet18",
            "--width",
            "0.25",
            "--batch-size",
            "16",
            "--image-size",
            "224",
            "--augment",
            "flip",
        )
        large += ("--dataset", "tfds:cifar10", "--data-dir", data_dir)
        found += [
            _benchmark(f"memory {cache} {share}", *large, "--cache", cache, "--fraction", str(share), part="memory")
            for cache in ("off", "auto")
            for share in MEMORY_SHARES
        ]
    return found


def draw(rows: list[dict], path: Path) -> None:
    """Six panels, one for each kind of growth."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), layout="constrained")
    panels = (
        ("epoch", "training images", "seconds of an epoch"),
        ("memory", "training images of 224 px", "most memory, MB"),
        ("batch", "batch", "images/s"),
        ("size", "image side, px", "images/s"),
        ("depth", "depth", "images/s"),
        ("replicas", "replicas on 2 cores", "images/s"),
    )
    for axis, (kind, across, up) in zip(axes.flat, panels, strict=True):
        for label, points in _curves(rows, kind).items():
            axis.plot(*zip(*sorted(points), strict=True), "o-", label=label)
            if label:
                axis.legend(frameon=False)
            axis.set_ylim(0, 1.1 * max(axis.get_ylim()[1], *(value for _, value in points)))
        axis.set(xlabel=across, ylabel=up)
        if kind in ("batch", "size"):
            axis.set_xscale("log")
        if kind in ("batch", "size", "depth", "replicas"):
            places = sorted(place for place, _ in _curves(rows, kind).get("", []))
            axis.set_xticks(places, labels=[f"{place:g}" for place in places])
            axis.minorticks_off()
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _by_unit(rows: list[dict]) -> dict[str, list[dict]]:
    """Every unit's rounds."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(row["unit"], []).append(row)
    return found


def _curves(rows: list[dict], kind: str) -> dict[str, list[tuple[float, float]]]:
    """Points by curve; a point is the median of its rounds."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for unit, turns in _by_unit([row for row in rows if "failed" not in row]).items():
        words = unit.split()
        if words[0] != kind:
            continue
        if kind == "epoch":
            label, place, column = "", turns[0]["images"], "seconds"
        elif kind == "memory":
            label, place, column = f"--cache {words[1]}", IMAGES * float(words[2]), "kerascnn.memory"
        else:
            label, place, column = "", float(words[1]), "kerascnn.train"
        unit_size = 1e6 if kind == "memory" else 1
        curves.setdefault(label, []).append((place, median(row[column] for row in turns) / unit_size))
    return curves


def table(rows: list[dict]) -> str:
    """Markdown: every point with its command."""
    lines = [
        "# How cost grows",
        "",
        "![six panels](growth.png)",
        "",
        "`python -m experiments.speed.growth --data-dir TFDS_DIR`, alone on the machine; the median [least, most] where there",
        "are several rounds; resnet20's step of 128 images stands here three times, as batch 128, depth 20 and replicas 1.",
        "Training steps and whole epochs, validation apart; memory is the most that a process held.",
        "With `--cache auto` decoded images are kept up to a quarter of what is free, else the encoded ones (the last point).",
        "",
        "| what | figure | command |",
        "|---|--:|---|",
    ]
    for unit, turns in _by_unit(units.settled(rows)).items():
        lines.append(f"| {unit} | {_figure(turns)} | `{turns[0]['command']}` |")
    return "\n".join(lines) + "\n"


def _figure(turns: list[dict]) -> str:
    row = turns[0]
    if "failed" in row:
        return f"failed: {row['failed']}"
    if "seconds" in row:
        wait = f"{row['wait']:.1%} of it waiting for input"
        return f"{row['images']:.0f} images: {row['seconds']:.1f} s, {wait}, {row['peak']:.0f} MB at most"
    memory = "kerascnn.memory" in row
    values = [turn["kerascnn.memory"] / 1e6 if memory else turn["kerascnn.train"] for turn in turns]
    rounds = f" [{min(values):.0f}, {max(values):.0f}], n = {len(values)}" if len(values) > 1 else ""
    return f"{median(values):.0f} {'MB' if memory else 'images/s'}{rounds}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="", help="where TensorFlow Datasets keeps cifar10")
    parser.add_argument("--only", nargs="+", help="kinds of growth (default: all)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=250, help="of this slice")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    whole = True
    if not args.table:
        asked = _all(args.data_dir)
        asked = [unit for unit in asked if not args.only or unit.name.split()[0] in args.only]
        whole = units.run(asked, args.rounds, args.kept, args.seconds, {"python": sys.executable})
        print("nothing is missing" if whole else "more is missing: run it again")
    rows = units.read(args.kept)
    args.kept.with_suffix(".md").write_text(table(rows))
    draw(rows, args.kept.with_suffix(".png"))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
