"""`--lr find`: the learning-rate range test of Smith (2017, section 3.3). Nothing is trained: its network is thrown away."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerascnn.cli.screen import Screen
from kerascnn.config.defaults import LEARNING_RATE
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits, pipeline
from kerascnn.data.cache import Cache
from kerascnn.devices.plan import Plan
from kerascnn.report import drawing
from kerascnn.training import assembly, finetune, whitening
from kerascnn.training.batches import Batches

STEPS = 120
SMALLEST, LARGEST = 1e-4, 1e3  # of the rates, as factors of the optimizer's own
SMOOTHING = 0.9  # decay of the mean over steps
DIVERGED = 3.0  # times the smallest smoothed loss
BELOW = 10  # the suggestion is the rate of the smallest loss divided by this, as in fastai


class LearningRateCurve(NamedTuple):
    """The result of a range test.

    Attributes:
        rates: Learning rate of each step, ascending.
        losses: Loss of each step's batch.
        smooth: Their mean over steps, without the bias of its start.
        suggested: A peak learning rate, to two digits.
    """

    rates: list[float]
    losses: list[float]
    smooth: list[float]
    suggested: float

    @classmethod
    def of(cls, rates: Sequence[float], losses: Sequence[float]) -> "LearningRateCurve":
        """Returns the curve of finite losses with its suggestion."""
        smooth = smoothed(losses)
        best = rates[int(np.argmin(smooth))] / BELOW
        return cls(list(rates), list(losses), smooth, float(f"{best:.2g}"))


def smoothed(losses: Sequence[float]) -> list[float]:
    """Returns the moving mean of losses, each divided by the sum of its weights."""
    mean, found = 0.0, []
    for step, loss in enumerate(losses, 1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        found.append(mean / (1 - SMOOTHING**step))
    return found


class _Rising(keras.callbacks.Callback):
    """Raises the learning rate from step to step, and ends when the loss has diverged."""

    def __init__(self, factor: keras.Variable, rates: Sequence[float]) -> None:
        super().__init__()
        self.factor, self.rates, self.losses = factor, rates, []  # type: ignore[var-annotated]

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        self.factor.assign(self.rates[batch])
        self.model.reset_metrics()  # so that the loss is that of one batch

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            self.model.stop_training = True
            return
        self.losses.append(loss)
        smooth = smoothed(self.losses)
        if len(smooth) > 10 and smooth[-1] > DIVERGED * min(smooth):
            self.model.stop_training = True


def find(config: ResolvedConfig, splits: Splits, plan: Plan, screen: Screen) -> LearningRateCurve:
    """Returns the loss over rising learning rates, one batch each, on a network of its own.

    Args:
        config: A resolved config; its batch size, optimizer, augmentation and weights count, not its rate and schedule.
        splits: Its data.
        plan: The devices.
        screen: Shows the progress.
    """
    rates = (LEARNING_RATE[config.optim.optimizer] * np.geomspace(SMALLEST, LARGEST, STEPS)).tolist()
    flat = {"lr": 1.0, "schedule": "constant", "warmup": 0.0, "lr_min": 0.0, "cooldown": 0.0, "ema": 0.0}
    short = config.replace(optim=flat | {"ema_warmup": False}, fit={"accumulate": 1})
    with screen.phase("building a network for the range test"):
        model = assembly.build_and_compile(short, splits, plan)
        with plan.scope():
            if short.model.whiten:
                whitening.whiten(assembly.network_of(model), whitening.batches(splits, short.fit))
            finetune.load(assembly.network_of(model), short.model)
            factor = keras.Variable(1.0, trainable=False, aggregation="only_first_replica", name="range_test")
    inner: Any = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    inner.schedule.factor = factor
    rising = _Rising(factor, rates)
    batches = Batches(short, splits, Cache(short.data.cache), screen).training(0)
    with (
        screen.phase(f"trying {STEPS} learning rates from {rates[0]:.1g} to {rates[-1]:.1g}"),
        pipeline.telling(splits.train.source),
        contextlib.suppress(StopIteration),
    ):
        model.fit(batches, steps_per_epoch=STEPS, epochs=1, callbacks=[rising], shuffle=False, verbose=0)
    return LearningRateCurve.of(rates[: len(rising.losses)], rising.losses)


def picture(curve: LearningRateCurve) -> bytes:
    """Returns a curve as PNG."""

    def draw(figure: drawing.Panel) -> None:
        axis = figure.subplots()
        axis.plot(curve.rates, curve.losses, color=drawing.FAINT, linewidth=1, label="one batch")
        axis.plot(curve.rates, curve.smooth, color=drawing.SERIES[0], label="mean over steps")
        axis.axvline(curve.suggested, color=drawing.SERIES[1], linestyle=":", label=f"suggested: {curve.suggested:g}")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda rate, _: f"{rate:g}")  # the style writes no formulas
        axis.set_ylim(0, 1.2 * max(curve.smooth[: 1 + int(np.argmin(curve.smooth))]))
        axis.set_xlabel("learning rate")
        axis.set_ylabel("training loss")
        axis.legend(frameon=False)

    about = f"suggested {curve.suggested:g}: a tenth of the rate where the mean is smallest"
    return drawing.png(drawing.Picture("Learning-rate range test", about, (6.4, 4.0), draw))
