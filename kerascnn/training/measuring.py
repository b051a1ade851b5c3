"""The cost of a config's network, measured before it is trained."""

import contextlib
import time
from typing import Any

import keras
import numpy as np

from kerascnn.architectures import counting, own
from kerascnn.architectures.shape import Shape
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits, pipeline
from kerascnn.data.cache import Cache
from kerascnn.data.sampling import Sampling
from kerascnn.models import cost
from kerascnn.training import assembly

# Steps before the measurement, its seconds, and its most steps: the first steps compile and fill the cache.
WARM_STEPS, SECONDS, MOST_STEPS = 4, 3.0, 60


def network_cost(config: ResolvedConfig, classes: int) -> counting.Counted:
    """Returns parameters and multiply-adds of a resolved config's network, from its row, or by building that of a function.

    Raises:
        UserError: There is no such network.
    """
    if own.parse(config.model.arch):
        assembly.find_network(config)
        found = cost.count(assembly.network(config.model, config.data.image_size, classes))
        return counting.Counted(found.params, found.macs)
    return counting.counted(config.model.arch, config.data.image_size, classes, Shape.of(config.model))


def seconds_per_step(
    model: keras.Model, config: ResolvedConfig, splits: Splits, phases: Phases = SILENT
) -> tuple[float, float]:
    """Returns the median time of a warm training step in `fit`'s own loop, and the time of all steps but the first.

    Args:
        model: A model of `build_and_compile`; a few steps train it.
        config: A resolved config.
        splits: The config's data.
        phases: Shows the measurement.
    """
    ends: list[float] = []

    class Enough(Exception):
        """Raised at the end of the measurement."""

    compiling, warm = phases.phase("compiling the training step"), SILENT.phase("warm steps", MOST_STEPS)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            nonlocal warm
            ends.append(time.perf_counter())
            if len(ends) == 1:
                compiling.end()
                warm = phases.phase("timing warm steps")
            if len(ends) > WARM_STEPS + 2 and ends[-1] - ends[WARM_STEPS] > SECONDS:
                raise Enough

    stream = pipeline.training(
        splits,
        augment=config.augment,
        seed=config.fit.seed,
        batch_size=config.fit.batch_size,
        label_smoothing=config.optim.label_smoothing,
        sampled=Sampling(config.fit.sampling, config.fit.repeats),
        cache=Cache(config.data.cache),
        phases=phases,
    )
    try:
        with pipeline.telling(splits.train.source), contextlib.suppress(Enough):
            model.fit(stream, steps_per_epoch=MOST_STEPS, epochs=1, callbacks=[Clock()], shuffle=False, verbose=0)
    finally:
        compiling.end()
        warm.end()
    return float(np.median(np.diff(ends[WARM_STEPS:]))), ends[-1] - ends[0]
