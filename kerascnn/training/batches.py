"""The streams that a run trains on and is scored on."""

from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Split, Splits, augment, pipeline, sampling
from kerascnn.data.cache import Cache
from kerascnn.data.sampling import Sampling
from kerascnn.data.worker_slice import WHOLE, WorkerSlice
from kerascnn.devices.plan import Plan
from kerascnn.errors import UserError
from kerascnn.training import answers, teachers
from kerascnn.training.teachers import Teacher


@dataclass(frozen=True)
class Batches:
    """Streams by the config of a run.

    Args:
        config: Augmentation, seed, batch size and label smoothing are its own.
        splits: The images.
        cache: Keeps them in memory.
        screen: Shows reading and decoding.
        part: The part of each batch that this worker trains on, and of val that it scores.
        teacher: The teacher of the run, or None.
        answers: Its answers for the images of train, float32 [n, width], or None: it is asked in every step.
    """

    config: ResolvedConfig
    splits: Splits
    cache: Cache
    screen: Screen
    part: WorkerSlice = WHOLE
    teacher: Teacher | None = None
    answers: np.ndarray | None = None

    @property
    def asked(self) -> float:
        """Multiply-adds of the teacher for one image of a training step."""
        return 0.0 if self.teacher is None or self.answers is not None else self.teacher.macs

    def told(self) -> list[str]:
        """Returns lines about the teacher, if there is one."""
        return [] if self.teacher is None else self.teacher.lines(self.config.optim)

    def taught(self, plan: Plan) -> "Batches":
        """Returns the same with the config's teacher, if it has one, and with the teacher's answers, if no augmentation changes
        them and they are not too many.
        """
        if self.config.optim.teacher is None:
            return self
        if plan.workers > 1:
            raise UserError("--teacher: a training on several machines has none; train on one machine, or without it")
        with self.screen.phase("loading the teacher"):
            teacher = teachers.find(self.config, self.splits, plan)
        train = self.splits.train
        varied = augment.chosen(self.config.augment, self.splits.image_size)
        if varied or 4 * len(train) * teacher.width > answers.MOST:
            return replace(self, teacher=teacher)
        file = answers.file_of(self.config, self.splits)
        known = answers.read(file, (len(train), teacher.width))
        if known is None:
            known = answers.ask(teacher, self.scoring(train), len(train), file, self.screen)
        return replace(self, teacher=teacher, answers=known)

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
            answers=self.answers,
        )
        if size is None:
            return batches
        return pipeline.shrunk(batches, size, keep=self.asked > 0)

    def first_pair(self, batches: tf.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
        """Returns images and labels of the first of the training batches, for a picture: of views the first with AugMix."""
        images, labels, _ = next(iter(batches.take(1)))
        images = images[:, 1] if len(images.shape) == 5 else images
        return images.numpy(), (labels if self.answers is None else labels[0]).numpy()

    def val(self, size: int | None = None) -> tf.data.Dataset | None:
        """Returns every val image once, or None where there is none; at `size` pixels where that is given."""
        if not len(self.splits.val):
            return None
        batches = self.scoring(self.splits.val, self.part)
        return batches if size is None else pipeline.shrunk(batches, size)

    def scoring(self, split: Split, part: WorkerSlice = WHOLE) -> tf.data.Dataset:
        """Returns every image of `split` once, in order."""
        return pipeline.scoring(split, self.splits, self.config.fit.batch_size, self.cache, self.screen, part)
