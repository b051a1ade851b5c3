"""kerascnn's training step beside stock Keras and PyTorch, interleaved round by round: the table in experiments/results/speed.md.

    python -m experiments.speed.compare --torch TORCH_PYTHON --seconds 250     as often as it says that something is missing
    python -m experiments.speed.compare --table                               the table of what is there

The peers are the scripts in experiments/peers, whose README says how to install torch, in an environment of its own.
Ratios are taken between figures of the same round. Alone on the machine: anything beside falsifies the figures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from experiments.speed import units
from experiments.speed.units import Unit

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "experiments" / "results" / "speed.jsonl"
PAGE = KEPT.with_suffix(".md")
MARKS = "<!-- table -->", "<!-- /table -->"
PEERS = "experiments.peers"

# arch here, size, batch, name in keras.applications, name in torchvision, steps of a measurement
ARCHS = (
    ("resnet50", 224, 32, "ResNet50", "resnet50", 3),
    ("resnet20", 32, 128, None, "resnet20", 20),
    ("inception_v3", 299, 16, "InceptionV3", "inception_v3", 3),
)
OURS, STOCK = "kerascnn", "stock Keras, the same network"
PAIRS = 3  # at least, for a ratio


def _ours(arch: str, size: int, batch: int, dtype: str) -> Unit:
    command = [
        "python",
        "-m",
        "kerascnn.benchmark",
        "--arch",
        arch,
        "--image-size",
        str(size),
        "--batch-size",
        str(batch),
    ]
    command += ["--dtype", dtype, "--parts", "train", "--rounds", "3", "--seconds", "3", "--vs", "stock", "--json"]
    command += ["--aux-weight", "0"] if arch == "inception_v3" else []
    return Unit(f"{arch} {OURS} {dtype}", tuple(command), units.benchmark)


def _keras(arch: str, size: int, batch: int, name: str, policy: str, steps: int) -> Unit:
    command = (
        f"python -m {PEERS}.applications_step {name} --size {size} --batch {batch} --policy {policy} --steps {steps}"
    )
    return Unit(f"{arch} keras.applications {policy}", tuple(command.split()), units.peer)


def _torch(arch: str, size: int, batch: int, name: str, dtype: str, steps: int, compiled: bool) -> Unit:
    command = f"torch -m {PEERS}.torch_step {name} --size {size} --batch {batch} --dtype {dtype} --steps {steps}"
    how, flags = (" compiled", ["--compile"]) if compiled else ("", [])
    return Unit(f"{arch} torch {dtype}{how}", (*command.split(), *flags), units.peer)


def _all(names: list[str], torch: bool, compiled: bool) -> list[Unit]:
    found = []
    for arch, size, batch, keras_name, torch_name, steps in ARCHS:
        if arch not in names:
            continue
        found += [_ours(arch, size, batch, dtype) for dtype in ("mixed_bfloat16", "float32")]
        if keras_name:
            found += [_keras(arch, size, batch, keras_name, dtype, steps) for dtype in ("mixed_bfloat16", "float32")]
        if torch:
            found += [_torch(arch, size, batch, torch_name, dtype, steps, False) for dtype in ("bf16", "fp32")]
        if torch and compiled:
            found.append(_torch(arch, size, batch, torch_name, "bf16", steps, True))
    return found


def table(rows: list[dict]) -> str:
    """Markdown: a row for each arch and way; the ratio is kerascnn's best dtype over it, round by round.

    Fewer than three pairs make no ratio: one round proves nothing, and a way that has fewer was measured in another hour.
    """
    lines = [
        "| network | way | images/s: median [least, most], n rounds | kerascnn over it: median of pairs [least, most]"
        " | share of the peak | command |",
        "|---|---|--:|--:|--:|---|",
    ]
    rates = _rates(rows)
    for arch, *_ in ARCHS:
        mine = {way: turns for (name, way), turns in rates.items() if name == arch}
        ours = [turns for way, turns in mine.items() if way.startswith(OURS)]
        if not ours:
            continue
        best = max(ours, key=lambda turns: median(value for value, _ in turns.values()))
        for way, turns in mine.items():
            values = [value for value, _ in turns.values()]
            pairs = [best[turn][0] / value for turn, (value, _) in turns.items() if turn in best]
            command = next(iter(turns.values()))[1][0]
            shares = [share for _, (_, share) in turns.values() if share is not None]
            share = f"{median(shares):.0%}" if shares else "-"
            spread = f"{median(values):.1f} [{min(values):.1f}, {max(values):.1f}], n = {len(values)}"
            ratio = f"{median(pairs):.2f} x [{min(pairs):.2f}, {max(pairs):.2f}]" if len(pairs) >= PAIRS else "-"
            lines.append(f"| {arch} | {way} | {spread} | {ratio} | {share} | `{command}` |")
    lines += [
        f"| {row['unit'].replace(' ', ' | ', 1)} | failed: {row['failed']} | - | - | `{row['command']}` |"
        for row in units.settled(rows)
        if "failed" in row
    ]
    return "\n".join(lines) + "\n"


def _rates(rows: list[dict]) -> dict[tuple[str, str], dict[int, tuple[float, tuple[str, float | None]]]]:
    """Images per second, command and share of the peak by (arch, way) and round."""
    found: dict = {}
    for row in rows:
        if "failed" in row:
            continue
        arch, _, way = row["unit"].partition(" ")
        command = row["command"]
        if way.startswith(OURS):
            dtype = way.removeprefix(OURS)
            for form, label in (("kerascnn", OURS), ("stock", STOCK)):
                share = row[f"{form}.train_share"]
                found.setdefault((arch, label + dtype), {})[row["round"]] = row[f"{form}.train"], (command, share)
        else:
            found.setdefault((arch, way), {})[row["round"]] = row["train"], (command, None)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archs", nargs="+", default=[arch for arch, *_ in ARCHS])
    parser.add_argument("--torch", help="the interpreter of an environment with torch; without it torch is left out")
    parser.add_argument(
        "--compiled", action="store_true", help="also torch.compile, which takes a minute before it starts"
    )
    parser.add_argument("--without", nargs="+", default=[], help='ways to leave out, such as "kerascnn float32"')
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=250, help="of this slice")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if not args.table:
        python = {"python": sys.executable, "torch": args.torch or ""}
        ways = _all(args.archs, bool(args.torch), args.compiled)
        ways = [unit for unit in ways if unit.name.partition(" ")[2] not in args.without]
        whole = units.run(ways, args.rounds, args.kept, args.seconds, python)
        print("nothing is missing" if whole else "more is missing: run it again")
        if not whole:
            return 1
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    text = f"{before}{MARKS[0]}\n{table(units.read(args.kept))}{MARKS[1]}{rest.partition(MARKS[1])[2]}"
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
