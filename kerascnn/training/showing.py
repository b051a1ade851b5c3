"""The display of training: a row per epoch, and the current phase between two rows."""

import time
from collections.abc import Callable

import keras

from kerascnn.cli.progress import Phase
from kerascnn.cli.screen import Screen, duration
from kerascnn.scoring.task import SINGLE, Task
from kerascnn.training.callbacks import Row, best_epoch

# Seconds between two readings of the loss for the live bar: each one waits for the device.
NOTE_SECONDS = 0.5


class ShowProgress(keras.callbacks.Callback):
    """Shows a row per epoch, and between two rows a phase with the current step.

    Args:
        screen: The screen.
        epochs: Epochs of the whole schedule.
        steps_per_epoch: Steps of an epoch.
        first_step: Number of finished steps when this fit began.
        monitor: Column that is marked if it is the best so far.
        rows: One row per epoch.
        val_steps: Steps of scoring val.
        batches: Function that returns the number of batches that training has requested, for the steps within an execution;
            None if the device fetches them ahead.
        after: Function from seconds per scored val batch to the seconds from the last epoch to the end of everything.
        task: Its scores are shown.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        epochs: int,
        steps_per_epoch: int,
        first_step: int,
        monitor: str,
        rows: list[Row],
        val_steps: int | None = None,
        batches: Callable[[], int] | None = None,
        after: Callable[[float], float] = lambda batch_seconds: 0.0,
        task: Task = SINGLE,
    ) -> None:
        super().__init__()
        self.screen, self.epochs, self.steps_per_epoch = screen, epochs, steps_per_epoch
        self.first_step, self.monitor, self.rows = first_step, monitor, rows
        self.val_steps, self.batches, self.after = val_steps, batches, after
        self.first = task.headline
        self.further = [score for score in task.shown_in("brief") if score is not task.headline]
        self._phases: dict[str, Phase] = {}
        self._noted, self._compiling = 0.0, 0.0
        self._seconds: list[float] = []  # seconds per step, val included, of each epoch of this fit
        self._val_ends: list[float] = []

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.first_step < 1:
            self.screen.say(self._header())
            self.screen.say(self._legend(), style="dim")

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._start, self._last = time.perf_counter(), 0.0
        self._offset = max(self.first_step - epoch * self.steps_per_epoch, 0)
        steps = self._open("epoch", f"epoch {epoch + 1}", self.steps_per_epoch, told=False)
        steps.reach(self._offset)
        steps.mark()
        if self.batches:
            given, before = self.batches, self.batches()
            # The batch that was requested last is being computed.
            steps.watch(lambda: self._offset + max(0, given() - before - 1))
        if not self._seconds:
            self._open("compile", "compiling the training step")

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        steps = self._phases["epoch"]
        steps.reach(self._offset + batch + 1)
        if "compile" in self._phases:
            self._close("compile")
            self._compiling = time.perf_counter() - self._start
            self._first = batch + 1
            steps.mark()
        if logs and self.screen.live and time.perf_counter() > self._noted + NOTE_SECONDS:
            steps.note = f"loss {float(logs['loss']):.4f}  {self.first.title} {float(logs[self.first.name]):.4f}"
            self._noted = time.perf_counter()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self._close("epoch")
        self._val_ends = [time.perf_counter()]
        name = "scoring val" if self._seconds else "compiling the scores, scoring val"
        self._open("val", name, self.val_steps, told=not self._seconds)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        phase = self._phases.get("val")
        if phase is None:  # called by other code
            return
        phase.reach(batch + 1)
        if len(self._val_ends) == 1:
            phase.mark()
        self._val_ends.append(time.perf_counter())

    def on_test_end(self, logs: dict | None = None) -> None:
        self._close("val")

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._close("epoch")
        row = self.rows[-1]
        self._seconds.append(self._epoch_seconds() / max(self.steps_per_epoch - self._offset, 1))
        best = "*" if "val_loss" in row and best_epoch(self.rows, self.monitor) == epoch + 1 else " "
        left = (self.epochs - epoch - 1) * self.steps_per_epoch * self._seconds[-1] + self.after(self._val_seconds())
        self.screen.say(self._line(row, best) + f"  {duration(left) if left else 'done':>12}")

    def on_train_end(self, logs: dict | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Ends all open phases."""
        for name in list(self._phases):
            self._close(name)

    def _open(self, key: str, name: str, total: float | None = None, told: bool = True) -> Phase:
        self._close(key)
        self._phases[key] = self.screen.phase(name, total, told=told)
        return self._phases[key]

    def _close(self, key: str) -> None:
        if key in self._phases:
            self._phases.pop(key).end()

    def _epoch_seconds(self) -> float:
        """Returns the seconds of the epoch that has just ended, without compilation."""
        seconds = time.perf_counter() - self._start
        if self._seconds:
            return seconds
        trained = self.steps_per_epoch - self._offset - self._first
        scored = self._val_seconds()
        val = self._val_ends[-1] - self._val_ends[0] if self._val_ends else 0.0
        steps = seconds - val - self._compiling
        once = steps / trained * self._first if trained > 0 else 0.0
        return steps + min(once, self._compiling) + scored * max(len(self._val_ends) - 1, 0)

    def _val_seconds(self) -> float:
        """Returns the seconds per scored val batch, without compilation."""
        ends = self._val_ends
        return (ends[-1] - ends[1]) / (len(ends) - 2) if len(ends) > 2 else 0.0

    def _header(self) -> str:
        further = "".join(f" {score.title:>8}" for score in self.further)
        short = f"val {self.first.title}"[: len("val acc")]
        return (
            f"{'epoch':>9}  {'loss':>7} {self.first.title:>8}  {'val loss':>8} {short:>8}{further}  {'images/s':>8}"
            f" {'wait':>5}  {'left':>12}"
        )

    def _legend(self) -> str:
        best = f"* = best epoch so far by {self.monitor}; " if self.val_steps else ""
        return f"{'':>9}  {best}wait = time spent waiting for images; left = until scores and exports are done"

    def _line(self, row: Row, best: str) -> str:
        def number(name: str, width: int) -> str:
            return f"{row[name]:{width}.4f}" if name in row else " " * (width - 1) + "-"

        further = "".join(f" {number(score.column, max(8, len(score.title)))}" for score in self.further)
        return (
            f"{int(row['epoch']):>4}/{self.epochs:<4}  {number('loss', 7)} {number(self.first.name, 8)}"
            f"  {number('val_loss', 8)} {number(self.first.column, 8)}{further}{best}"
            f" {row['images_per_second']:>8.0f} {row['input_wait']:>5.1%}"
        )
