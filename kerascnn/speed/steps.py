"""The batches and the training step of `fit`, one at a time."""

from collections.abc import Callable

import keras
import tensorflow as tf

from kerascnn import training
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits, pipeline
from kerascnn.data.cache import Cache
from kerascnn.data.sampling import Sampling
from kerascnn.devices.plan import Plan

WARM = 3


def training_data(config: ResolvedConfig, splits: Splits, cache: Cache | None = None) -> tf.data.Dataset:
    """Returns the batches of `fit`; `cache` as in `pipeline.training`."""
    return pipeline.training(
        splits,
        augment=config.augment,
        seed=config.fit.seed,
        batch_size=config.fit.batch_size,
        label_smoothing=config.optim.label_smoothing,
        sampled=Sampling(config.fit.sampling, config.fit.repeats),
        cache=cache,
    )


def training_step(config: ResolvedConfig, splits: Splits, plan: Plan, warm: int = WARM) -> Callable[[], object]:
    """Returns one compiled, warm training step as in `fit`, on one prepared batch; it waits for the loss."""
    model = training.build_and_compile(config, splits, plan)
    batch = next(iter(training_data(config, splits)))
    repeated = tf.data.Dataset.from_tensors(batch).repeat()
    batches = iter(model.distribute_strategy.experimental_distribute_dataset(repeated))
    model.make_train_function()

    def step() -> object:
        return keras.ops.convert_to_numpy(model.train_function(batches)["loss"])

    for _ in range(warm):
        step()
    return step
