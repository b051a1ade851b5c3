"""Trains a few steps and prints the most bytes that the process has held: `python -m kerascnn.speed.memory CONFIG FORM`."""

import contextlib
import sys

from kerascnn import data, layers, training
from kerascnn.cli.recipes import load_recipe
from kerascnn.devices import timing
from kerascnn.devices.plan import setup
from kerascnn.speed import figures, measure


def main(argv: list[str]) -> None:
    """Everything that the process holds is what one training of this form needs, the interpreter included."""
    config, form = load_recipe(argv[0]), argv[1]
    plan = setup(config.devices, config.fit.batch_size)
    splits = data.load(config.data)
    with layers.stock_paths() if form == figures.STOCK else contextlib.nullcontext():
        step = measure.training_step(training.resolve(config, splits), splits, plan)
    step()
    print(timing.peak_memory())


if __name__ == "__main__":
    main(sys.argv[1:])
