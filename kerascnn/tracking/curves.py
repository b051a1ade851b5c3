"""The callback that gives trackers the curves by epoch and step while a network trains.

Tags are those of Keras' own TensorBoard callback. TensorBoard orders tags by name, pictures included, and opens the first
ones: `epoch_accuracy` comes first because curves by step have the prefix `step_*`. Epochs count from 1, as on the screen and
in history.csv (in Keras' own callback from 0).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from kerascnn.models.auxiliary import PARTS
from kerascnn.report.event_files import TRAIN, VALIDATION
from kerascnn.scoring import task as tasks
from kerascnn.tracking.tracker import Point, Tracker

# Scores that are written by step.
STEPS = {row.name for task in tasks.TASKS.values() for row in task.rows if row.trained} | set(PARTS)
# Names in our logs -> names in Keras' own runs.
TAGS = {"lr": "learning_rate"}


class Curves(keras.callbacks.Callback):
    """Gives `epoch_*` by epoch, counted from 1, and `step_*` by optimizer step.

    Between two points of the step curves nothing is read from the device. It precedes the callback that saves, so that a
    checkpoint never knows more than TensorBoard's event files.

    Args:
        trackers: Take the points.
        every_steps: Steps between two points of the `step_*` curves.
        step: Number of optimizer steps when this fit begins.
        epochs_done: Number of epochs when this fit begins.
        input_wait: Function that returns the seconds that training has waited for input, or None.
        images_per_step: Global batch size.
    """

    def __init__(
        self,
        trackers: Sequence[Tracker],
        *,
        every_steps: int,
        step: int,
        epochs_done: int,
        input_wait: Callable[[], float] | None,
        images_per_step: int,
    ) -> None:
        super().__init__()
        self.trackers = trackers
        self.every_steps, self.step, self.epochs_done = every_steps, step, epochs_done
        self.input_wait, self.images_per_step = input_wait, images_per_step
        self._first = step  # of the epoch, or of its rest
        self._clock: tuple[int, float, float] | None = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        for tracker in self.trackers:
            tracker.begin(self.step, self.epochs_done)

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
        for tracker in self.trackers:
            tracker.pause()

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
        points = [Point(split, tag, float(value), step) for tag, value in values.items()]
        if points:
            for tracker in self.trackers:
                tracker.points(points)
