"""The streams that a run trains on and is scored on."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Split, Splits, pipeline, sampling
from kerascnn.data.cache import Cache
from kerascnn.data.sampling import Sampling
from kerascnn.data.worker_slice import WHOLE, WorkerSlice


@dataclass(frozen=True)
class Batches:
    """Streams by the config of a run.

    Args:
        config: Augmentation, seed, batch size and label smoothing are its own.
        splits: The images.
        cache: Keeps them in memory.
        screen: Shows reading and decoding.
        part: The part of each batch that this worker trains on, and of val that it scores.
    """

    config: ResolvedConfig
    splits: Splits
    cache: Cache
    screen: Screen
    part: WorkerSlice = WHOLE

    @property
    def sampling(self) -> Sampling:
        """Which images an epoch shows."""
        return Sampling(self.config.fit.sampling, self.config.fit.repeats)

    def shown(self, first_step: int, steps: int) -> np.ndarray:
        """Returns how often each class is shown by `steps` batches from number `first_step` on."""
        batch, labels = self.config.fit.batch_size, self.splits.train.labels
        epoch = sampling.epoch_of(self.sampling, labels, self.config.draw_seed, batch)
        return sampling.shown(epoch, labels, len(self.splits.class_names), first_step * batch, steps * batch)

    def training(self, step: int, size: int | None = None) -> tf.data.Dataset:
        """Returns batches of train without end, from batch number `step` on; at `size` pixels where that is given."""
        weights = None
        if self.config.optim.class_weights == "balanced":
            weights = pipeline.balanced(self.splits.train, len(self.splits.class_names))
        batches = pipeline.training(
            self.splits,
            augment=self.config.augment,
            seed=self.config.draw_seed,
            batch_size=self.config.fit.batch_size,
            start_step=step,
            label_smoothing=self.config.optim.label_smoothing,
            class_weights=weights,
            sampled=self.sampling,
            part=self.part,
            cache=self.cache,
            phases=self.screen,
        )
        return batches if size is None else pipeline.shrunk(batches, size)

    def val(self, size: int | None = None) -> tf.data.Dataset | None:
        """Returns every val image once, or None where there is none; at `size` pixels where that is given."""
        if not len(self.splits.val):
            return None
        batches = self.scoring(self.splits.val, self.part)
        return batches if size is None else pipeline.shrunk(batches, size)

    def scoring(self, split: Split, part: WorkerSlice = WHOLE) -> tf.data.Dataset:
        """Returns every image of `split` once, in order."""
        return pipeline.scoring(split, self.splits, self.config.fit.batch_size, self.cache, self.screen, part)
