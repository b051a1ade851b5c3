"""Callbacks for TensorBoard: curves by epoch and step while a network trains, and a profile of some steps.

Tags are those of Keras' own callback. TensorBoard orders tags by name, pictures included, and opens the first ones:
`epoch_accuracy` comes first because curves by step have the prefix `step_*`. Epochs count from 1, as on the screen and in
history.csv (in Keras' own callback from 0).
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from kerascnn.report.event_files import TRAIN, VALIDATION, prepare
from kerascnn.scoring import task as tasks

# Scores that are written by step.
STEPS = {row.name for task in tasks.TASKS.values() for row in task.rows if row.trained} | {"aux_loss"}
# Names in our logs -> names in Keras' own runs.
TAGS = {"lr": "learning_rate"}


class TensorBoard(keras.callbacks.Callback):
    """Writes `epoch_*` by epoch, counted from 1, and `step_*` by optimizer step.

    Between two points of the step curves nothing is read from the device. Records are flushed when they are written, so that
    a later checkpoint never knows more than the event files: it precedes the callback that saves.

    Args:
        log_dir: The run's `tensorboard` directory; train/ and validation/ are made in it.
        every_steps: Steps between two points of the `step_*` curves.
        step: Number of optimizer steps when this fit begins.
        epochs_done: Number of epochs when this fit begins.
        input_wait: Function that returns the seconds that training has waited for input, or None.
        images_per_step: Global batch size.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        *,
        every_steps: int,
        step: int,
        epochs_done: int,
        input_wait: Callable[[], float] | None,
        images_per_step: int,
    ) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.every_steps, self.step, self.epochs_done = every_steps, step, epochs_done
        self.input_wait, self.images_per_step = input_wait, images_per_step
        self._first = step  # of the epoch, or of its rest
        self._clock: tuple[int, float, float] | None = None
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def on_train_begin(self, logs: dict | None = None) -> None:
        prepare(self.log_dir, self.step, self.epochs_done)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._first = self.step
        self._clock = None

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self.step = self.step, self._first + batch + 1
        if self.step // self.every_steps > before // self.every_steps:
            self._write_batch(logs or {})
        elif self._clock is None:
            # Speed counts from the end of an epoch's first step: that one may trace and compile.
            self._clock = self._now()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        values = {TAGS.get(name, name): value for name, value in (logs or {}).items()}
        val = {name: value for name, value in values.items() if name.startswith("val_")}
        train = {name: value for name, value in values.items() if name not in val}
        if "learning_rate" not in train:
            train["learning_rate"] = self._learning_rate()
        self._write(TRAIN, {f"epoch_{name}": value for name, value in train.items()}, epoch + 1)
        self._write(VALIDATION, {f"epoch_{name[4:]}": value for name, value in val.items()}, epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write_batch(self, logs: Mapping[str, Any]) -> None:
        # float() waits for the device: before the clock is read.
        values = {name: float(value) for name, value in logs.items() if name in STEPS}
        values["learning_rate"] = self._learning_rate()
        now = self._now()
        if self._clock is not None:
            steps, seconds, waited = (new - old for new, old in zip(now, self._clock, strict=True))
            values["images_per_second"] = steps * self.images_per_step / max(seconds, 1e-9)
            if self.input_wait is not None:
                values["input_wait"] = min(waited / max(seconds, 1e-9), 1.0)
        self._clock = now
        self._write(TRAIN, {f"step_{name}": value for name, value in values.items()}, self.step)

    def _now(self) -> tuple[int, float, float]:
        return self.step, time.perf_counter(), self.input_wait() if self.input_wait else 0.0

    def _learning_rate(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _write(self, split: str, values: Mapping[str, float], step: int) -> None:
        if not values:
            return
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(os.fsencode(self.log_dir / split))
        with self._writers[split].as_default():  # flushes when it is left
            for tag, value in values.items():
                tf.summary.scalar(tag, float(value), step=step)


class Profile(keras.callbacks.Callback):
    """Traces some steps of the first fit that it sees into `train/plugins/profile`, for xprof.

    Args:
        log_dir: The run's `tensorboard` directory.
        first: First traced step of this process, counted from 1; those before warm up.
        last: Last traced step.
    """

    def __init__(self, log_dir: str | os.PathLike[str], first: int = 5, last: int = 10) -> None:
        super().__init__()
        self.log_dir = Path(log_dir)
        self.first, self.last = first, last
        self._step = 0
        self._state: Literal["waiting", "tracing", "done"] = "waiting"
        self._mark: tf.profiler.experimental.Trace | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self._state == "waiting":
            # The profiler's own first start is slow and would stand in the trace as idle time.
            tf.profiler.experimental.start("")
            tf.profiler.experimental.stop(save=False)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        if self._state == "waiting" and self._step >= self.first:
            tf.profiler.experimental.start(str(self.log_dir / TRAIN))
            self._state = "tracing"
        if self._state == "tracing":
            self._mark = tf.profiler.experimental.Trace("train", step_num=self._step, _r=1)
            self._mark.__enter__()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
            self._mark = None
            if self._step >= self.last:
                self._stop()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._state == "tracing":
            tf.profiler.experimental.stop()
            self._state = "done"
