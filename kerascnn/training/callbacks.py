"""Keras callbacks of a run: each does one thing. They take paths and values, never a Run."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras

from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config import Optim
from kerascnn.devices.team import ALONE, Team
from kerascnn.errors import TrainingFailed
from kerascnn.models.auxiliary import PARTS
from kerascnn.scoring import task as tasks
from kerascnn.training.checkpoints import Checkpoint, Store, loss_scale_of, restore, variables_of
from kerascnn.training.schedules import plateau_factor
from kerascnn.training.stopping import StopRequest

Row = dict[str, float]
LOOK_SECONDS = 10.0  # seconds between two checks that the folder of checkpoints exists


class CallbackList(keras.callbacks.CallbackList):
    """A list of callbacks that leaves the metrics of a step on the device.

    Keras' own list turns them into numbers after every execution, for which Python waits for the device, and the device for
    Python.
    """

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: dict | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs=logs)


class Resume(keras.callbacks.Callback):
    """Restores a checkpoint once Keras has built everything and reset its metrics, which belong to the epoch.

    Args:
        checkpoint: The checkpoint, or None.
        team: The workers, each of which restores its own part.
    """

    def __init__(self, checkpoint: Checkpoint | None, team: Team = ALONE) -> None:
        super().__init__()
        self.checkpoint, self.team = checkpoint, team

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self.checkpoint is not None:
            restore(self.checkpoint, variables_of(self.model), self.team)
            # Empty unless both the former and this start use mixed_float16.
            for variable, value in zip(loss_scale_of(self.model), self.checkpoint.loss_scale, strict=False):
                variable.value.assign(value)
            if not self.checkpoint.state["spent"]:  # saved after an epoch, whose metrics are not needed
                self.model.reset_metrics()
            self.checkpoint = None


class EpochStats(keras.callbacks.Callback):
    """Adds `seconds`, `images_per_second`, `input_wait` (a share of the training, without validation) and `lr` to the logs.

    Args:
        batch_size: Images per step.
        input_wait: Seconds spent waiting for input so far.
        before: Steps, seconds and wait of a resumed epoch so far.
    """

    def __init__(self, batch_size: int, input_wait: Callable[[], float], before: Row | None = None) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.input_wait = input_wait
        self.before = before or {}
        self.spent: Row = {}

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.spent = {"steps": 0, "seconds": 0, "wait": 0, **self.before}
        self.before = {}
        self._earlier = dict(self.spent)
        self._waited = self.input_wait()
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.spent["steps"] = self._earlier["steps"] + batch + 1
        self.spent["seconds"] = self._earlier["seconds"] + time.perf_counter() - self._start

    def settle(self) -> Row:
        """Returns the steps, seconds and wait of the epoch so far, for a checkpoint."""
        self.spent["wait"] = self._earlier["wait"] + self.input_wait() - self._waited
        return dict(self.spent)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert logs is not None
        spent = self.settle()
        seconds = max(spent["seconds"], 1e-9)
        logs["seconds"] = seconds
        logs["images_per_second"] = spent["steps"] * self.batch_size / seconds
        logs["input_wait"] = min(spent["wait"] / seconds, 1.0)
        logs["lr"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))


class ShownClasses(keras.callbacks.Callback):
    """Adds `shown_least` and `shown_most` to the logs: images of the least and of the most frequent class of an epoch.

    Args:
        counts: Function from the number of an epoch, from 0 on, to how often each class is shown.
    """

    def __init__(self, counts: Callable[[int], Any]) -> None:
        super().__init__()
        self.counts = counts

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert logs is not None
        counts = self.counts(epoch)
        logs["shown_least"], logs["shown_most"] = int(counts.min()), int(counts.max())


class History(keras.callbacks.Callback):
    """Collects one row per epoch in `rows`, and passes all of them to `write`.

    Args:
        rows: Rows of former epochs; extended in place.
        write: Function that stores all rows.
        team: The workers, whose rows are those of the chief.
    """

    # All val columns are kept except those parts of the loss that only training has.
    COLUMNS = (
        *("seconds", "images_per_second", "input_wait", "lr", "shown_least", "shown_most", "loss", *PARTS),
        *(score.name for task in tasks.TASKS.values() for score in task.counted() if score.trained),
    )

    def __init__(self, rows: list[Row], write: Callable[[list[Row]], None], team: Team = ALONE) -> None:
        super().__init__()
        self.rows, self.write, self.team = rows, write, team

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        assert logs is not None
        names = [
            *(name for name in self.COLUMNS if name in logs),
            *(name for name in logs if name.startswith("val_") and name.removeprefix("val_") not in PARTS),
        ]
        row: Row = {"epoch": epoch + 1, **{name: float(logs[name]) for name in names}}
        self.rows.append(row if self.team.count == 1 else self.team.told(row))
        if self.team.chief:
            self.write(self.rows)


def best_epoch(rows: list[Row], monitor: str) -> int:
    """Returns the epoch that val chooses: the best score, ties by lower val loss, then the earlier epoch.

    Without val it is the last epoch.
    """
    if not rows:
        return 0
    if monitor not in rows[-1]:
        return int(rows[-1]["epoch"])
    sign = 1 if tasks.MONITORS[monitor] == "max" else -1

    def rank(row: Row) -> list[float]:
        scores = (sign * row[monitor], -row["val_loss"], -row["epoch"])
        return [-math.inf if math.isnan(score) else score for score in scores]

    return int(max(rows, key=rank)["epoch"])


class KeepBest(keras.callbacks.Callback):
    """Calls `save` if the epoch that has just ended is the best, and ends training when early stopping applies.

    It has no state: the best epoch follows from the rows.

    Args:
        rows: One row per epoch, from History, which precedes this callback.
        monitor: Column of the history; if it does not exist (no val), the last epoch is the best.
        save: Function that writes the best model.
        ended: Whether early stopping has ended the rows (`exhausted`).
    """

    def __init__(self, rows: list[Row], monitor: str, save: Callable[[], None], ended: Callable[[], bool]) -> None:
        super().__init__()
        self.rows, self.monitor, self.save, self.ended = rows, monitor, save, ended

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if best_epoch(self.rows, self.monitor) == epoch + 1:
            self.save()
        if self.ended():
            self.model.stop_training = True


def exhausted(rows: list[Row], monitor: str, patience: int | None, *, after: int = 0) -> bool:
    """Returns whether the history has `patience` epochs without a better one, counted from epoch `after`."""
    return bool(rows and patience) and rows[-1]["epoch"] - max(best_epoch(rows, monitor), after) >= (patience or 0)


class Plateau(keras.callbacks.Callback):
    """Lowers the learning rate of `--schedule plateau`; it follows History, and the checkpoint holds what it has set.

    Args:
        rows: One row per epoch.
        monitor: Column of the history that should get better.
        section: The config's optim section.
        after: First epochs that do not count: those of the head alone, which trains at the peak rate.
    """

    def __init__(self, rows: list[Row], monitor: str, section: Optim, after: int) -> None:
        super().__init__()
        self.rows, self.monitor, self.section, self.after = rows, monitor, section, after

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        optimizer.schedule.factor.assign(plateau_factor(self.rows[self.after :], self.monitor, self.section))


class StopAtNaN(keras.callbacks.Callback):
    """Ends training when the loss is not finite, before anything is saved.

    The loss is the mean of the epoch so far: once it is NaN it stays NaN until the end of the epoch, where it is found at the
    latest.

    Args:
        first_step: Number of finished steps when this fit began.
        kept: Function that returns what is safe on disk, as text.
        every: Steps between two checks; each one waits for the device.
        team: The workers, all of which end if the loss of one is not finite.
    """

    def __init__(self, first_step: int, kept: Callable[[], str], every: int, team: Team = ALONE) -> None:
        super().__init__()
        self.kept, self.every, self.team = kept, every, team
        self.step = self._done = first_step
        self._epoch = 0
        self._loss: Any = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._done, self._epoch = self.step, epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        before, self.step = self.step, self._done + batch + 1
        self._loss = (logs or {}).get("loss", 0.0)
        if self.step // self.every > before // self.every:
            self.look()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.look()

    def look(self) -> None:
        """Raises TrainingFailed if the loss of the last step is not finite."""
        loss = float(self._loss)
        broken = not math.isfinite(loss)
        if broken if self.team.count == 1 else self.team.largest(broken):
            raise TrainingFailed(
                f"the loss is {loss} at step {self.step} (epoch {self._epoch}): lower --lr or lengthen --warmup;"
                f" {self.kept()}"
            )


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves at the end of each epoch, every N steps, and when asked to stop; it is the last callback.

    Between two executions it acts in `on_train_batch_begin`, when all steps before are done.

    Args:
        store: The checkpoints.
        first_step: Number of finished steps when this fit began.
        rows: One row per epoch.
        spent: Function that returns steps, seconds and input wait of the current epoch.
        stop: The request to stop.
        every: Steps between two checkpoints, or None for one per epoch.
        check: Function that raises if the state is not worth saving.
        there: Function that raises if the folder is gone; called every few seconds.
        phases: Shows the saving.
    """

    def __init__(
        self,
        store: Store,
        first_step: int,
        rows: list[Row],
        spent: Callable[[], Row],
        stop: StopRequest,
        every: int | None,
        check: Callable[[], None],
        there: Callable[[], None] = lambda: None,
        phases: Phases = SILENT,
    ) -> None:
        super().__init__()
        self.phases = phases
        self.there, self._looked = there, time.monotonic()
        self.store, self.rows, self.spent, self.stop, self.every = store, rows, spent, stop, every
        self.check = check
        self.step = self._done = self.saved = first_step

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self._done = self.step

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        step = self._done + batch
        self.stop.agree()
        if time.monotonic() > self._looked + LOOK_SECONDS:
            self._looked = time.monotonic()
            self.there()
        due = self.every is not None and step // self.every > self.saved // self.every
        if (self.stop.pending or due) and step > self.saved:
            self._save(step, self.spent())
        if self.stop.pending:
            raise self.stop.stopped(self.kept())

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.step = self._done + batch + 1

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._save(self.step, None)
        self.stop.agree()
        if self.stop.pending:
            raise self.stop.stopped(self.kept())

    def keep(self) -> None:
        """Saves the state in the middle of an epoch."""
        if self.step > self.saved:
            self._save(self.step, self.spent())

    def kept(self) -> str:
        """Returns what is safe on disk, as text."""
        return f"step {self.saved} is kept" if self.saved else "no step was finished"

    def _save(self, step: int, spent: Row | None) -> None:
        self.check()
        self.there()
        scale = [variable.value.numpy().item() for variable in loss_scale_of(self.model)]
        with self.phases.phase("saving the checkpoint"):
            self.store.save(step, {"rows": self.rows, "spent": spent, "loss_scale": scale}, variables_of(self.model))
        self.saved = step
