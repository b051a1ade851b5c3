"""What each fast path gains in a whole training step: that path off over all on, in one process, step after step.

    python -m experiments.speed.paths [--rounds 5] [--seconds 4] [--only NAME ...]

A path is switched off while the step is traced, by replacing the decision that its module asks; the product has one switch for
all of them (`layers.stock_paths`). Pooling in front of a normalization is no such path but resnet9's form: its other order is
here. Steps per execution are decided by a run, so there a step's time is that of a run's epochs behind the first, run after
run. Alone on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

ROWS = (
    ("normalization", "kerascnn.layers.norm.fast", "resnet50", 224, 32, 1.0),
    ("normalization", "kerascnn.layers.norm.fast", "resnet20", 32, 128, 1.0),
    ("pixels side by side", "kerascnn.layers.fused_norm.neighbours", "inception_small", 32, 256, 0.5),
    ("pixels side by side", "kerascnn.layers.fused_norm.neighbours", "resnet20", 32, 128, 0.5),
    ("pixels side by side", "kerascnn.layers.fused_norm.neighbours", "xception", 299, 16, 1.0),
    ("pixels side by side", "kerascnn.layers.fused_norm.neighbours", "googlenet", 224, 32, 1.0),
    ("kernel gradient", "kerascnn.layers.kernel_gradient.fast", "resnet50", 224, 32, 1.0),
    ("kernel gradient", "kerascnn.layers.kernel_gradient.fast", "inception_v3", 299, 16, 1.0),
    ("kernel gradient", "kerascnn.layers.kernel_gradient.fast", "resnet9", 32, 512, 0.5),
    ("shortcut of kind A", "kerascnn.layers.residual.fast", "resnet20", 32, 128, 1.0),
    ("pooling first", "kerascnn.layers.PoolingBlock.call", "resnet9", 32, 512, 0.5),
)
# Decided by a run, not while a layer is traced: in a network whose step is short, since elsewhere it stays at one.
SMALL = ("resnet20", 32, 16, 0.25)


def calls(off: str, arch: str, size: int, batch: int, width: float) -> dict[str, Callable[[], object]]:
    """The step with every path, and without one of them, warm."""
    from kerascnn import data, training
    from kerascnn.config import Config
    from kerascnn.devices.plan import setup
    from kerascnn.speed import rounds

    model = {"arch": arch, "width": width, **({"aux_weight": 0.0} if arch == "inception_v3" else {})}
    config = Config().replace(model=model, data={"image_size": size}, fit={"batch_size": batch})
    splits = data.load(config.data)
    config = training.resolve(config, splits)
    plan = setup(config.devices, batch)
    found = {"on": rounds.training_step(config, splits, plan)}
    with patch(off, normalized_first if off.endswith("PoolingBlock.call") else lambda *_: False):
        found["off"] = rounds.training_step(config, splits, plan)
    return found


def normalized_first(block, x):
    """`PoolingBlock.call` in the other order: convolution, normalization and ReLU, then the maximum."""
    convolution, pool, norm = block.entry
    x = pool(norm(convolution(x)))
    return x + block.branch[1](block.branch[0](x)) if block.branch else x


def seconds_per_step(steps: int | None) -> float:
    """Of a run's epochs behind the first, in executions of so many steps, or of as many as the run itself decides on."""
    from kerascnn import data, training
    from kerascnn.config import Config
    from kerascnn.runs import prepare

    with tempfile.TemporaryDirectory() as folder:
        logging = {"runs_dir": Path(folder), "run": "run", "export": False}
        model = {"arch": SMALL[0], "width": SMALL[3]}
        fit = {"batch_size": SMALL[2], "epochs": 4}
        config = Config().replace(model=model, fit=fit, logging=logging)
        splits = data.load(config.data)
        run = prepare(config, splits.fingerprint, splits.name)
        decide = training.execution.execution_plan if steps is None else lambda *_, **__: steps
        with patch("kerascnn.training.execution.execution_plan", decide), contextlib.redirect_stdout(io.StringIO()):
            training.train(config, run, splits=splits, draw=False, read_test=False)
        rows = list(csv.DictReader((run.path / "history.csv").open()))[1:]
    return median(SMALL[2] / float(row["images_per_second"]) for row in rows)


def executions(rounds: int) -> dict[str, list[float]]:
    """Seconds per step, run after run."""
    found: dict[str, list[float]] = {"on": [], "off": []}
    for _ in range(rounds):
        found["on"].append(seconds_per_step(None))
        found["off"].append(seconds_per_step(1))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each way in a round")
    parser.add_argument("--only", nargs="+", help="paths by name (default: all)")
    args = parser.parse_args()

    import keras

    from kerascnn.devices import timing
    from kerascnn.speed.figures import quartiles

    print("| path | network | step without it over step with it: median [quartiles] of rounds | ms a step with it |")
    print("|---|---|--:|--:|")
    for name, off, *shape in (*ROWS, ("steps per execution", "", *SMALL)):
        if args.only and name not in args.only:
            continue
        keras.backend.clear_session()
        found = timing.interleaved(calls(off, *shape), args.rounds, args.seconds) if off else executions(args.rounds)
        ratios = [without / with_it for without, with_it in zip(found["off"], found["on"], strict=True)]
        low, _, high = quartiles(ratios)
        arch, size, batch, width = shape
        network = f"{arch}, {size} px, batch {batch}" + (f", width {width:g}" if width != 1 else "")
        step = 1000 * median(found["on"])
        print(f"| {name} | {network} | {median(ratios):.3f} [{low:.3f}, {high:.3f}] | {step:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
