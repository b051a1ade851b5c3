"""Seconds of a training step of this machine, at a batch and at shares of it, taken in turns, as JSON.

    python -m experiments.scaling.steps --arch resnet20 --image-size 32 --batches 128 64 32

The least of some rounds stands for a machine without other work; taken in turns, all batches meet the same other work.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from kerascnn.cli.parsing import parse_config

ROUNDS = 8


def timed(arch: str, image_size: int, batches: list[int]) -> dict[str, float]:
    """Returns the least seconds of a step by batch; the first batch is the largest."""
    import keras
    import tensorflow as tf

    from kerascnn import data, training
    from kerascnn.devices.plan import setup
    from kerascnn.speed.steps import training_data

    flags = ["--arch", arch, "--image-size", str(image_size), "--batch-size", str(batches[0]), "--dtype", "float32"]
    config = parse_config(flags, prog="steps", description="")
    plan = setup(config.devices, batches[0])
    splits = data.load(config.data)
    resolved = training.resolve(config, splits)
    model = training.build_and_compile(resolved, splits, plan)
    whole = next(iter(training_data(resolved, splits)))
    model.make_train_function()

    def step_of(batch: int) -> Callable[[], Any]:
        share = tf.nest.map_structure(lambda values: values[:batch], whole)
        repeated = iter(tf.data.Dataset.from_tensors(share).repeat())
        return lambda: keras.ops.convert_to_numpy(model.train_function(repeated)["loss"])

    steps = {batch: step_of(batch) for batch in batches}
    found: dict[str, float] = {}
    for turn in range(ROUNDS + 2):  # two warm ones
        for batch, step in steps.items():
            begun = time.perf_counter()
            step()
            if turn >= 2:
                taken = time.perf_counter() - begun
                found[f"seconds.{batch}"] = min(taken, found.get(f"seconds.{batch}", taken))
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="resnet20")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batches", type=int, nargs="+", default=[128, 64, 32])
    given = parser.parse_args()
    print(json.dumps(timed(given.arch, given.image_size, given.batches)))


if __name__ == "__main__":
    main()
