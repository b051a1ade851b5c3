"""The callback that profiles some steps for TensorBoard and xprof."""

import os
from pathlib import Path
from typing import Literal

import keras
import tensorflow as tf

from kerascnn.report.event_files import TRAIN


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
