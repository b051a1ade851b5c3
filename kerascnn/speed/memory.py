"""The memory of a training, measured in a process of its own. No TensorFlow before that."""

import contextlib

from kerascnn.cli.screen import quiet
from kerascnn.config import Config
from kerascnn.speed.figures import STOCK


def peak_memory(config: Config, form: str) -> int:
    """The most bytes that this process has held once it has trained a few steps of `config` in this form.

    Called in a process of its own: everything that it holds is what one training needs, the interpreter included.
    """
    with quiet(config.logging.verbose):
        from kerascnn import data, layers, training
        from kerascnn.devices import timing
        from kerascnn.devices.plan import setup
        from kerascnn.speed.steps import training_step

        plan = setup(config.devices, config.fit.batch_size)
        splits = data.load(config.data)
        with layers.stock_paths() if form == STOCK else contextlib.nullcontext():
            step = training_step(training.resolve(config, splits), splits, plan)
        step()
        return timing.peak_memory()
