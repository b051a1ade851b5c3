"""Runs training steps of kerascnn or of stock Keras when asked: a line with a number in, the seconds of a step out.

    python -m experiments.speed.keras_step resnet20 32 128 [--stock] [--tensorflow-first]

A worker of machines.py. float32.
"""

import argparse
import contextlib
import sys
import time
from statistics import median

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("arch")
parser.add_argument("size", type=int)
parser.add_argument("batch", type=int)
parser.add_argument("--stock", action="store_true", help="the same network without the fast paths")
parser.add_argument(
    "--tensorflow-first", action="store_true", help="TensorFlow decides about oneDNN, as for every other program"
)


def main() -> None:
    args = parser.parse_args()
    if args.tensorflow_first:
        import tensorflow  # noqa: F401
    from kerascnn import data, layers, training
    from kerascnn.config import Config
    from kerascnn.devices.plan import setup
    from kerascnn.speed import rounds

    model = {"arch": args.arch, **({"aux_weight": 0.0} if args.arch == "inception_v3" else {})}
    config = Config().replace(
        model=model,
        data={"image_size": args.size},
        fit={"batch_size": args.batch},
        optim={"optimizer": "sgd"},
        devices={"dtype": "float32"},
    )
    splits = data.load(config.data)
    config = training.resolve(config, splits)
    plan = setup(config.devices, args.batch)
    step = None
    for line in sys.stdin:
        if step is None:
            with layers.stock_paths() if args.stock else contextlib.nullcontext():
                step = rounds.training_step(config, splits, plan, warm=1)
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(f"seconds {median(seconds)}", flush=True)


if __name__ == "__main__":
    main()
