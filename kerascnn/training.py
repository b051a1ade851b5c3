"""The one way to train: `train(config, run)`. Everything after `fit` runs in float32 on one device."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn import callbacks, checkpoints, cost, data, distribute, metrics, models, optim, scoring, tensorboard
from kerascnn.cli import TrainingFailed
from kerascnn.config import Config, Fit
from kerascnn.data import Splits, pipeline
from kerascnn.distribute import Plan
from kerascnn.files import sync
from kerascnn.models import tables
from kerascnn.runs import Run
from kerascnn.screen import Screen

# Beyond this ratio of the largest to the smallest class accuracy hides the rare ones: val then chooses by macro F1.
IMBALANCE = 3


def resolve(config: Config, splits: Splits) -> Config:
    """The config with every `auto` that the data decides replaced: image size, arch, resize, augmentation, monitor.

    Raises:
        UserError: An unknown arch, or an option that does not fit it.
    """
    size = splits.image_size
    augment = config.augment.augment
    if augment == ("auto",):
        augment = ("shift", "flip") if size <= tables.SMALL_IMAGE else ("resized_crop", "flip")
    monitor = config.fit.monitor
    if monitor == "auto":
        counts = np.bincount(splits.train.labels, minlength=len(splits.class_names))
        monitor = "val_macro_f1" if counts.max() > IMBALANCE * counts.min() else "val_accuracy"
    return config.replace(
        data={"image_size": size, "resize": splits.resize},
        augment={"augment": augment},
        model={"arch": tables.resolve(config.model.arch, size)},
        fit={"monitor": monitor},
    )


@dataclass(frozen=True)
class Schedule:
    """Steps of an epoch and of the whole run, and the epoch at which this start ends."""

    steps_per_epoch: int
    epochs: int
    until: int

    @classmethod
    def of(cls, fit: Fit, images: int, until: int | None) -> "Schedule":
        """The schedule of `images` training images; `until` or `--stop-epoch` only end it early."""
        ends = [epoch for epoch in (until, fit.stop_epoch, fit.epochs) if epoch is not None]
        return cls(pipeline.steps_per_epoch(images, fit.batch_size), fit.epochs, min(ends))

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return self.steps_per_epoch * self.epochs


def build_and_compile(config: Config, splits: Splits, plan: Plan) -> keras.Model:
    """The network of a resolved config, compiled and built, inside the plan's scope; seeds every generator of Keras."""
    section = config.model
    steps = Schedule.of(config.fit, len(splits.train), None)
    keras.utils.set_random_seed(config.fit.seed)
    with plan.scope(), dtype_policy(plan.policy):
        model = models.build(
            section.arch,
            (splits.image_size, splits.image_size, 3),
            len(splits.class_names),
            width=section.width,
            filters=section.filters,
            stem=section.stem,
            shortcut=section.shortcut,
            zero_gamma=section.zero_gamma,
            drop_path=section.drop_path,
            dropout=section.dropout,
        )
        optimizer = optim.build(
            config.optim,
            total_steps=steps.steps,
            steps_per_epoch=steps.steps_per_epoch,
            trainable=model.trainable_variables,
        )
        model.compile(
            optimizer,
            # Labels come one-hot, smoothed and mixed by the pipeline: the loss stays plain, and val_loss unsmoothed.
            keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=metrics.build(len(splits.class_names)),
            jit_compile=plan.jit,
        )
        model.optimizer.build(model.trainable_variables)
    return model


@contextlib.contextmanager
def dtype_policy(name: str):
    """Build layers under this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def averaged(model: keras.Model) -> list[np.ndarray]:
    """The weights that val judged, on the host, in the order of `get_weights`: averaged ones where EMA is on."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    values = distribute.host_values(model.weights)
    if optimizer.use_ema:
        place = {id(variable): i for i, variable in enumerate(model.weights)}
        means = distribute.host_values(optimizer._model_variables_moving_average)  # Keras has no public name for them
        for variable, mean in zip(optimizer._trainable_variables, means, strict=True):
            values[place[id(variable)]] = mean
    return values


def save_model(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file aside, sync, rename."""
    aside = path.with_name(f".aside-{path.name}")
    model.save(aside)
    sync(aside)
    aside.replace(path)
    sync(path.parent)


def train(
    config: Config, run: Run, *, splits: Splits | None = None, until: int | None = None, screen: Screen | None = None
) -> dict[str, Any]:
    """Train `run` to its end, or to epoch `until`, from wherever it was left; returns its metrics.

    Args:
        config: The config; what is left to `auto` is resolved here.
        run: From `Run.prepare`.
        splits: The config's data where the caller has loaded them already.
        until: Stop after this epoch (a rung); the schedule stays.
        screen: Where lines go.

    Returns:
        What metrics.json holds; without final scores where the run has not reached its last epoch.

    Raises:
        UserError: Another process trains the run, or something in the config cannot be.
        TrainingFailed: The loss is not finite, or memory does not suffice.
        Stopped: By a signal or by time; everything is kept.
    """
    screen = screen or Screen()
    plan = distribute.setup(config.devices, config.fit.batch_size)
    splits = splits or data.load(config.data)
    config = resolve(config, splits)
    with run.lock():
        if run.finished:
            return run.metrics()
        run.write_config(config)
        run.write_data(splits.summary(), splits.rows(), splits.skipped)
        screen.log_to(run.log_file)
        try:
            return Training(config, run, splits, plan, screen).go(until)
        except tf.errors.ResourceExhaustedError as error:
            smaller = max(config.fit.batch_size // 2, plan.replicas)
            raise TrainingFailed(
                f"out of memory with --batch-size {config.fit.batch_size}: try {smaller} ({str(error).splitlines()[0][:200]})"
            ) from None
        finally:
            screen.close()


class Training:
    """One start of a run: what its parts share while `train` is under way."""

    def __init__(self, config: Config, run: Run, splits: Splits, plan: Plan, screen: Screen) -> None:
        self.config, self.run, self.splits, self.plan, self.screen = config, run, splits, plan, screen
        self.store = checkpoints.Store(run.checkpoints)
        self.rows: list[dict[str, float]] = []
        self.monitor = config.fit.monitor if len(splits.val) else "last epoch"

    def go(self, until: int | None) -> dict[str, Any]:
        """Fit what is left, then score the best model."""
        schedule = Schedule.of(self.config.fit, len(self.splits.train), until)
        self.model = build_and_compile(self.config, self.splits, self.plan)
        self.twin = models.float32_twin(self.model)
        self._introduce(schedule)
        self._fit(schedule)
        ended = callbacks.exhausted(self.rows, self.monitor, self.config.fit.early_stop)
        if len(self.rows) < schedule.epochs and not ended:
            self.screen.say(
                f"stopped after epoch {len(self.rows)} of {schedule.epochs}, as asked; the same command without it goes on"
            )
            return {"epochs": len(self.rows)}
        return self._finish()

    def _introduce(self, schedule: Schedule) -> None:
        threads = tf.config.threading.get_intra_op_parallelism_threads() or distribute.available_cpus()
        facts = {**distribute.versions(), **self.plan.facts(), "threads": threads}
        starts = self.run.add_environment(facts)
        for key in ("threads", "policy", "replicas"):
            if len(starts) > 1 and starts[-2].get(key) != facts[key]:
                self.screen.say(
                    f"note: {key} was {starts[-2].get(key)} before, now {facts[key]}: not the same model to the last bit"
                )
        optimizer, fit = self.config.optim, self.config.fit
        peak = self.model.optimizer._learning_rate.peak
        self.count = cost.count(self.twin)
        size = f"{self.count.params:,} parameters, {self.count.macs / 1e6:,.1f} M MACs at {self.splits.image_size} px"
        self.screen.say(f"model   {self.config.model.arch}: {size}")
        self.screen.say(f"device  {self.plan.reason}")
        self.screen.say(
            f"train   {schedule.epochs} epochs of {schedule.steps_per_epoch} steps of {fit.batch_size} images,"
            f" {optimizer.optimizer} at {peak:g}, {optimizer.schedule}; best by {self.monitor}"
        )
        self.screen.say(f"run     {self.run.path}")

    def _fit(self, schedule: Schedule) -> None:
        """Fit to `schedule.until`: the rest of an epoch that was cut short first, then whole epochs."""
        stop = callbacks.StopRequest(self.config.fit.max_hours and self.config.fit.max_hours * 3600)
        with stop.listening(self.screen.say):
            while True:
                checkpoint = self.store.latest(self.screen.say)
                step = checkpoint.step if checkpoint else 0
                self.rows[:] = checkpoint.state["rows"] if checkpoint else []
                early = callbacks.exhausted(self.rows, self.monitor, self.config.fit.early_stop)
                if step >= schedule.until * schedule.steps_per_epoch or early:
                    break
                self._segment(schedule, step, checkpoint, stop)

    def _segment(
        self, schedule: Schedule, step: int, checkpoint: checkpoints.Checkpoint | None, stop: callbacks.StopRequest
    ) -> None:
        epoch, done = divmod(step, schedule.steps_per_epoch)
        if step:
            self.screen.say(
                f"resuming after step {step} (epoch {epoch + 1}, {done} of {schedule.steps_per_epoch} steps done)"
            )
        stream, wait = pipeline.timed(self._training_data(step))
        kept = self._callbacks(schedule, step, checkpoint, stop, wait.seconds)
        try:
            self.model.fit(
                stream,
                steps_per_epoch=schedule.steps_per_epoch - done,
                initial_epoch=epoch,
                epochs=epoch + 1 if done else schedule.until,
                validation_data=self._val_data(),
                callbacks=kept,
                shuffle=False,
                verbose=0,
            )
        finally:
            for callback in kept:
                if isinstance(callback, callbacks.ShowProgress):
                    callback.close()

    def _callbacks(
        self,
        schedule: Schedule,
        step: int,
        checkpoint: checkpoints.Checkpoint | None,
        stop: callbacks.StopRequest,
        waited: Callable[[], float],
    ) -> list[keras.callbacks.Callback]:
        fit, rows = self.config.fit, self.rows
        stats = callbacks.EpochStats(fit.batch_size, waited, checkpoint.state["spent"] if checkpoint else None)
        save = callbacks.SaveCheckpoints(self.store, step, rows, stats.settle, stop, fit.checkpoint_every)
        show = callbacks.ShowProgress(
            self.screen,
            epochs=schedule.epochs,
            steps_per_epoch=schedule.steps_per_epoch,
            first_step=step,
            monitor=self.monitor,
            rows=rows,
        )
        board = tensorboard.TensorBoard(
            self.run.tensorboard,
            every_steps=self.config.logging.log_steps,
            step=step,
            epochs_done=len(rows),
            input_wait=waited,
            images_per_step=fit.batch_size,
        )
        return [
            callbacks.Resume(checkpoint),
            callbacks.StopAtNaN(step, save.kept),
            stats,
            *([keras.callbacks.SwapEMAWeights()] if self.config.optim.ema else []),
            callbacks.History(rows, self.run.write_history),
            callbacks.KeepBest(rows, self.monitor, self._save_best, fit.early_stop),
            board,
            show,
            save,
        ]

    def _training_data(self, step: int) -> tf.data.Dataset:
        weights = None
        if self.config.optim.class_weights == "balanced":
            counts = np.bincount(self.splits.train.labels, minlength=len(self.splits.class_names))
            weights = (counts.sum() / (len(counts) * counts)).astype("float32")
        return pipeline.training(
            self.splits,
            augment=self.config.augment,
            seed=self.config.fit.seed,
            batch_size=self.config.fit.batch_size,
            start_step=step,
            label_smoothing=self.config.optim.label_smoothing,
            class_weights=weights,
        )

    def _val_data(self) -> tf.data.Dataset | None:
        return (
            pipeline.scoring(self.splits.val, self.splits, self.config.fit.batch_size) if len(self.splits.val) else None
        )

    def _save_best(self) -> None:
        self.twin.set_weights(averaged(self.model))
        save_model(self.twin, self.run.best_model)

    def _finish(self) -> dict[str, Any]:
        """Score the best model on val and test, once, and keep everything; the run is finished with metrics.json."""
        best = keras.models.load_model(self.run.best_model, safe_mode=True)
        found: dict[str, Any] = {}
        for split in (self.splits.val, self.splits.test):
            if not len(split):
                continue
            batches = pipeline.scoring(split, self.splits, self.config.fit.batch_size)
            scored = scoring.predict(best, batches, split.labels, split.ids())
            found[split.name] = scoring.score(scored.probabilities, scored.labels, self.splits.class_names)
            self.run.write_predictions(split.name, **scored.arrays())
        epoch = callbacks.best_epoch(self.rows, self.monitor)
        row = self.rows[epoch - 1]
        found |= {
            "params": self.count.params,
            "macs": self.count.macs,
            "epochs": len(self.rows),
            "best_epoch": epoch,
            "monitor": self.monitor,
            "val_in_training": {name: value for name, value in row.items() if name.startswith("val_")},
            "train_seconds": math.fsum(row["seconds"] for row in self.rows),
            "images_per_second": float(np.median([row["images_per_second"] for row in self.rows])),
            "marked": self.splits.marked,
        }
        self.run.write_metrics(found)
        return found
