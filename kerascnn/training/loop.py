"""Trains a run from its last state to its scores."""

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn import models
from kerascnn.architectures import own
from kerascnn.cli.screen import Screen
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits, pipeline
from kerascnn.data.cache import Cache
from kerascnn.data.worker_slice import WorkerSlice
from kerascnn.devices.plan import Plan, host_values
from kerascnn.devices.team import ALONE, Team
from kerascnn.models import cost
from kerascnn.report import pictures, tensorboard_callbacks
from kerascnn.runs import Run
from kerascnn.tracking.curves import Curves
from kerascnn.tracking.trackers import Trackers
from kerascnn.training import (
    assembly,
    averaging,
    callbacks,
    checkpoints,
    execution,
    finetune,
    introducing,
    schedules,
    symptoms,
    whitening,
)
from kerascnn.training.assembly import averaged, build_and_compile, compile_for, network_of
from kerascnn.training.batches import Batches
from kerascnn.training.ending import Ending
from kerascnn.training.finishing import Finish, show
from kerascnn.training.run_schedule import RunSchedule
from kerascnn.training.saving import save_model
from kerascnn.training.showing import ShowProgress
from kerascnn.training.stopping import StopRequest
from kerascnn.training.witness import Witness


class Training:
    """One start of a run: the state that its parts share during `train`."""

    def __init__(
        self,
        config: ResolvedConfig,
        run: Run,
        splits: Splits,
        plan: Plan,
        screen: Screen,
        draw: bool,
        read_test: bool,
        trackers: Trackers,
        export_start: float | None = None,
        team: Team = ALONE,
    ) -> None:
        self.trackers, self.team = trackers, team
        self.config, self.run, self.splits, self.plan, self.screen = config, run, splits, plan, screen
        self.draw, self.read_test = draw, read_test
        self.batches = Batches(config, splits, Cache(config.data.cache), screen)
        self.own = replace(self.batches, part=WorkerSlice(team.index, team.count))  # what this worker decodes
        self.store = checkpoints.Store(run.checkpoints, team)
        self.rows: list[dict[str, float]] = []
        self.last = averaging.LastEpochs.of(run, config.fit)
        self.profile = tensorboard_callbacks.Profile(run.tensorboard)
        self.head_alone = self.small = False
        self.first_batches: tf.data.Dataset | None = None
        self.trained_on = splits
        self.witness: tuple[Path, int | None] | None = None  # file and step of `kerascnn verify`
        self.noticed: set[str] = set()  # symptoms that were reported
        self.monitor = config.fit.monitor if len(splits.val) else "last epoch"
        scored = len(splits.val) + (len(splits.test) if read_test else 0)
        self.ending = Ending(config.fit.batch_size, scored, export_start=export_start)

    def go(self, until: int | None) -> dict[str, Any]:
        """Fits the rest, then scores the best model; of several workers the chief alone scores and writes."""
        schedule = RunSchedule.of(self.config.fit, len(self.splits.train), until)
        self.batches = self.batches.taught(self.plan)
        self.own = replace(self.batches, part=self.own.part)
        with self.screen.phase(f"building {own.shown(self.config.model.arch)}") as phase:
            self.model = build_and_compile(self.config, self.splits, self.plan, self.batches.teacher)
        self.ending.build = phase.seconds
        with self.screen.phase("loading weights"):
            loaded = self._load_weights()
        self._twin()
        if self.team.chief:
            self._introduce(schedule, loaded)
        self._fit(schedule)
        if len(self.rows) < schedule.epochs and not self._exhausted():
            without = "it and --overwrite" if self.config.logging.overwrite else "it"
            self.screen.say(
                f"stopped after epoch {len(self.rows)} of {schedule.epochs}; the same command without {without} continues"
            )
            return {"epochs": len(self.rows)}
        if not self.team.chief:
            return {}
        averaging.settle(self.last, self.twin, network_of(self.model), self.run, self.batches, self.screen)
        return Finish(
            self.config,
            self.run,
            self.splits,
            self.screen,
            self.batches,
            count=self.count,
            rows=self.rows,
            monitor=self.monitor,
            draw=self.draw,
            read_test=self.read_test,
            trackers=self.trackers,
            last=self.last,
        ).go()

    def _twin(self) -> None:
        """Builds the float32 network that is saved, and counts what it costs."""
        with self.screen.phase("building its float32 twin"):
            self.twin = models.float32_twin(network_of(self.model))
        finetune.choose(self.twin, self.twin, freeze=0)  # frozen layers matter only here
        with self.screen.phase("tracing the network") as phase:
            self.graph = cost.inference_graph(self.twin, (1, *self.twin.input_shape[1:]))
            self.count = cost.count(self.twin, graph=self.graph)
        self.ending.trace = phase.seconds

    def _load_weights(self) -> list[str]:
        """Loads the initial weights at a run's first start; returns lines about them."""
        if self.store.latest(self.screen.say) is not None:
            return []
        with self.plan.scope():
            if self.config.model.whiten:
                return [whitening.whiten(network_of(self.model), whitening.batches(self.splits, self.config.fit))]
            return finetune.load(network_of(self.model), self.config.model)

    def _introduce(self, schedule: RunSchedule, loaded: list[str]) -> None:
        """Reports and records what is about to happen."""
        config, splits, screen = self.config, self.splits, self.screen
        introducing.say_network(config, splits, self.count, screen)
        introducing.say_training(config, self.plan, schedule, self.monitor, screen)
        if not self.batches.sampling.plain:
            introducing.say_shown(self._shown(0), splits.class_names, screen)
        introducing.note_start(config, self.run, splits, self.plan, [*self.batches.told(), *loaded], screen)
        network = (self.twin, self.graph) if self.read_test else None
        introducing.tell(self.trackers, config, splits, self.count, network, screen)
        if self.draw and not (self.run.plots / f"{pictures.FIRST_BATCH}.png").exists():
            self.first_batches = self.batches.training(0)
            with self.screen.phase("drawing the first batch"):
                images, answers = self.batches.first_pair(self.first_batches)
                start = time.perf_counter()
                several = self.splits.task.several
                pngs = pictures.first_batch(images, answers, self.splits.class_names, several)
                self.ending.picture = time.perf_counter() - start
                show(self.run, self.trackers, "train", pngs)

    def _fit(self, schedule: RunSchedule) -> None:
        """Fits to `schedule.until`: the rest of an interrupted epoch, then whole epochs, first those of the head alone."""
        stop = StopRequest(self.config.fit.max_hours and self.config.fit.max_hours * 3600, self.team)
        with stop.listening(self.screen.say):
            for segment in itertools.count():
                if segment and (len(self.rows) >= schedule.until or self._exhausted()):
                    break  # nothing follows, so that the checkpoint just written is not read
                checkpoint = self.store.latest(self.screen.say)
                step = checkpoint.step if checkpoint else 0
                self.rows[:] = checkpoint.state["rows"] if checkpoint else []
                if step >= schedule.until * schedule.steps_per_epoch or self._exhausted():
                    break
                if step and not segment:
                    epoch, done = divmod(step, schedule.steps_per_epoch)
                    place = f"epoch {epoch + 1}, {done} of {schedule.steps_per_epoch} steps done"
                    self.screen.say(f"resuming after step {step} ({place})")
                self._segment(schedule, step, self._enter(schedule, step, checkpoint), stop)

    def _enter(
        self, schedule: RunSchedule, step: int, checkpoint: checkpoints.Checkpoint | None
    ) -> checkpoints.Checkpoint | None:
        """Compiles for the layers that are trained from `step` on; returns the checkpoint to restore.

        After the head alone, training of all layers begins like a run of its own: only weights are taken over.
        """
        if (step < schedule.small_steps) != self.small:
            self._resize(small=not self.small)
        if (step < schedule.head_steps) != self.head_alone:
            self._compile(head_alone=not self.head_alone)
        if checkpoint is None or step != schedule.head_steps:
            return checkpoint
        checkpoints.restore(checkpoint.first(len(self.model.variables)), self.model.variables)
        self.screen.say(f"{'body':>9}  joins the head, its lr times {self.config.optim.backbone_lr_scale:g}")
        return None

    def _exhausted(self) -> bool:
        fit = self.config.fit
        return callbacks.exhausted(self.rows, self.monitor, fit.patience, after=fit.head_epochs)

    def _resize(self, small: bool) -> None:
        """Continues with the same weights in a network for the other image size; a checkpoint restores the rest."""
        self.trained_on = assembly.small(self.splits) if small else self.splits
        weights = host_values(self.model.weights)
        with self.screen.phase(f"building {own.shown(self.config.model.arch)} for {self.trained_on.image_size} px"):
            self.model = build_and_compile(self.config, self.trained_on, self.plan, self.batches.teacher)
        with self.plan.scope():
            self.model.set_weights(weights)
        self.small = small
        self.screen.say(f"size    {self.trained_on.image_size} px")

    def _compile(self, head_alone: bool) -> None:
        compile_for(self.model, self.config, self.splits, self.plan, head_alone=head_alone)
        self.head_alone = head_alone

    def _segment(
        self, schedule: RunSchedule, step: int, checkpoint: checkpoints.Checkpoint | None, stop: StopRequest
    ) -> None:
        epoch, done = divmod(step, schedule.steps_per_epoch)
        first = schedule.head_epochs if self.head_alone else schedule.low_res_epochs if self.small else schedule.until
        until = min(schedule.until, first)
        logging, fit = self.config.logging, self.config.fit
        steps = execution.execution_plan(
            (schedule.steps_per_epoch, done or None, fit.checkpoint_every),
            most=logging.steps_per_log,
            operations=execution.operations(self.config, self.count.macs, self.batches.asked),
            kind=self.plan.kind,
            replicas=self.plan.replicas,
            profile=logging.profile,
        )
        execution.adopt(self.model, steps)
        # Tracing the pipeline takes seconds; the one that begins at the first step was traced for its picture.
        ready = self.first_batches if not step and not self.small and self.team.count == 1 else None
        stream, wait = pipeline.timed(self.own.training(step, self._size()) if ready is None else ready)
        self.first_batches = None
        val = self.own.val(self._size())
        val_steps = None if val is None or self.team.count == 1 else int(val.cardinality())
        kept = self._callbacks(schedule, step, checkpoint, stop, wait)
        save = kept[-1]
        assert isinstance(save, callbacks.SaveCheckpoints)
        try:
            self.model.fit(
                self.plan.distributed(stream),
                steps_per_epoch=schedule.steps_per_epoch - done,
                initial_epoch=epoch,
                epochs=epoch + 1 if done else until,
                validation_data=None if val is None else self.plan.distributed(val),
                validation_steps=val_steps,
                callbacks=callbacks.CallbackList(kept, add_history=True, model=self.model),
                shuffle=False,
                verbose=0,
            )
        except tf.errors.OpError:
            # Images cannot be read, so that their step was not done. Earlier steps of the same execution may be done.
            alone = self.team.count == 1  # the others wait for this one in their step, and cannot save
            if alone and self.splits.train.source.ended_by and steps == 1 and save.step % schedule.steps_per_epoch:
                save.keep()
            raise
        finally:
            for callback in kept:
                if isinstance(callback, ShowProgress):
                    callback.close()

    def _callbacks(
        self,
        schedule: RunSchedule,
        step: int,
        checkpoint: checkpoints.Checkpoint | None,
        stop: StopRequest,
        wait: pipeline.InputWait,
    ) -> list[keras.callbacks.Callback]:
        fit, optimizer, rows = self.config.fit, self.config.optim, self.rows
        on_plateau = optimizer.schedule == "plateau" and not self.head_alone
        stats = callbacks.EpochStats(fit.batch_size, wait.seconds, checkpoint.state["spent"] if checkpoint else None)
        # On a CPU the loss of a step is available when Python continues; a GPU would wait for Python after each step.
        finite = callbacks.StopAtNaN(
            step, lambda: save.kept(), 1 if self.plan.kind == "cpu" else self.config.logging.steps_per_log, self.team
        )
        save = callbacks.SaveCheckpoints(
            self.store,
            step,
            rows,
            stats.settle,
            stop,
            fit.checkpoint_every,
            check=finite.look,
            there=self.run.still_there if self.team.chief else lambda: None,
            phases=self.screen,
        )
        show = ShowProgress(
            self.screen,
            epochs=schedule.epochs,
            steps_per_epoch=schedule.steps_per_epoch,
            first_step=step,
            monitor=self.monitor,
            rows=rows,
            val_steps=math.ceil(len(self.splits.val) / fit.batch_size) or None,
            # Under a strategy TensorFlow fetches batches ahead of the step.
            batches=wait.batches if self.plan.replicas == 1 else None,
            after=self.ending.seconds,
            task=self.splits.task,
        )
        curves = Curves(
            self.trackers,
            every_steps=self.config.logging.steps_per_log,
            step=step,
            epochs_done=len(rows),
            input_wait=wait.seconds,
            images_per_step=fit.batch_size,
        )
        return [
            callbacks.Resume(checkpoint, self.team),
            *([self.profile] if self.config.logging.profile and self.team.chief else []),
            finite,
            stats,
            *([keras.callbacks.SwapEMAWeights()] if self.config.optim.ema else []),
            *([] if self.batches.sampling.plain else [callbacks.ShownClasses(self._shown)]),
            callbacks.History(rows, self.run.write_history, self.team),
            *([callbacks.Plateau(rows, self.monitor, optimizer, fit.head_epochs)] if on_plateau else []),
            *(
                [averaging.KeepLast(self.last, lambda: averaged(self.model))]
                if self.last.count and self.team.chief
                else []
            ),
            callbacks.KeepBest(rows, self.monitor, self._save_best, self._exhausted),
            *([curves, show] if self.team.chief else []),
            *([Witness(step, *self.witness)] if self.witness else []),
            symptoms.watch(rows, self.splits, schedules.peak(self.config.optim), self.noticed, self.screen.say),
            save,
        ]

    def _shown(self, epoch: int) -> np.ndarray:
        """Returns how often each class is shown in an epoch."""
        steps = pipeline.steps_per_epoch(len(self.splits.train), self.config.fit.batch_size)
        return self.batches.shown(epoch * steps, steps)

    def _size(self) -> int | None:
        return self.trained_on.image_size if self.small else None

    def _save_best(self) -> None:
        if not self.team.chief:
            return
        with self.screen.phase("saving the best model"):
            self.twin.set_weights(averaged(self.model))
            save_model(self.twin, self.run.best_model)
