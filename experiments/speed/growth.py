"""How cost grows: experiments/results/growth.png and growth.md.

    python experiments/speed/growth.py --data-dir TFDS_DIR --photos FOLDER --seconds 250     as often as something is missing
    python experiments/speed/growth.py --table                                              picture and table of what is there

Seconds of an epoch against images; memory against images, without a cache and with one; images per second against batch,
image size and depth; one replica against two. Alone on the machine.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import units
from units import Unit

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "experiments" / "results" / "growth.jsonl"
RUNS = "experiments/runs/growth"
BATCHES, SIZES, DEPTHS = (8, 32, 128, 512), (32, 64, 128, 224), (20, 32, 44, 56, 110)
SHARES, PHOTO_SHARES = (0.02, 0.1, 0.3, 1.0), (0.1, 0.3, 1.0)


def _benchmark(name: str, *flags: str) -> Unit:
    command = (
        "python",
        "-m",
        "kerascnn.benchmark",
        *flags,
        "--parts",
        "train",
        "--rounds",
        "3",
        "--seconds",
        "2",
        "--json",
    )
    return Unit(name, command, units.benchmark)


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


def _all(data_dir: str, photos: str) -> list[Unit]:
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
    if photos:
        small = (*net, "--width", "0.25", "--dataset", photos, "--image-size", "64", "--batch-size", "32")
        found += [
            _fit(f"memory {cache} {share}", *small, "--cache", cache, "--fraction", str(share))
            for cache in ("off", "auto")
            for share in PHOTO_SHARES
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
        ("memory", "training images", "most memory, MB"),
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
        if kind in ("batch", "size", "depth", "replicas"):
            axis.set_xticks(sorted(place for place, _ in _curves(rows, kind).get("", [])))
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def _curves(rows: list[dict], kind: str) -> dict[str, list[tuple[float, float]]]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        words = row["unit"].split()
        if words[0] != kind or "failed" in row:
            continue
        if kind == "epoch":
            curves.setdefault("", []).append((row["images"], row["seconds"]))
        elif kind == "memory":
            curves.setdefault(f"--cache {words[1]}", []).append((row["images"], row["peak"]))
        else:
            curves.setdefault("", []).append((float(words[1]), row["kerascnn.train"]))
    return curves


def table(rows: list[dict]) -> str:
    """Markdown: every point with its command."""
    lines = [
        "# How cost grows",
        "",
        "![six panels](growth.png)",
        "",
        "`python experiments/speed/growth.py --data-dir TFDS_DIR --photos FOLDER`, alone, one measurement a point:",
        "neighbours within a tenth are equal. Training steps and whole epochs, validation apart; memory is the most",
        "that the process had resident.",
        "",
        "| what | figure | command |",
        "|---|--:|---|",
    ]
    for row in rows:
        if "failed" in row:
            figure = f"failed: {row['failed']}"
        elif "seconds" in row:
            wait = f"{row['wait']:.1%} of it waiting for input"
            figure = f"{row['images']:.0f} images: {row['seconds']:.1f} s, {wait}, {row['peak']:.0f} MB at most"
        else:
            figure = f"{row['kerascnn.train']:.0f} images/s"
        lines.append(f"| {row['unit']} | {figure} | `{row['command']}` |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default="", help="where TensorFlow Datasets keeps cifar10")
    parser.add_argument("--photos", default="", help="a folder of images, some thousands")
    parser.add_argument("--only", nargs="+", help="kinds of growth (default: all)")
    parser.add_argument("--seconds", type=float, default=250, help="of this slice")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    whole = True
    if not args.table:
        asked = _all(args.data_dir, args.photos)
        asked = [unit for unit in asked if not args.only or unit.name.split()[0] in args.only]
        whole = units.run(asked, 1, args.kept, args.seconds, {"python": sys.executable})
        print("nothing is missing" if whole else "more is missing: run it again")
    rows = units.read(args.kept)
    args.kept.with_suffix(".md").write_text(table(rows))
    draw(rows, args.kept.with_suffix(".png"))
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
