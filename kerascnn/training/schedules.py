"""Learning-rate schedules by name: pure functions of the step, but for `plateau`, whose factor follows from the history."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerascnn.config import Optim
from kerascnn.config.defaults import LEARNING_RATE
from kerascnn.scoring import task as tasks

# one_cycle: the first and the last rate as a share of the peak (Smith and Topin, 2018, as in PyTorch's OneCycleLR).
FIRST_SHARE, LAST_SHARE = 1 / 25, 1 / 25e4


def peak(section: Optim) -> float:
    """Returns the learning rate after warm-up."""
    return section.lr or LEARNING_RATE[section.optimizer]


class Moment(NamedTuple):
    """Where a step stands: its midpoint, so that no step has a rate of 0, and none is lost at the peak.

    Attributes:
        after: Share of the steps between warm-up and cool-down, in [0, 1].
        whole: Share of all steps, in [0, 1].
        epochs_after: Epochs since the end of the warm-up, at least 0.
        epochs: Epochs since the start.
        length: Epochs between warm-up and cool-down, a number.
    """

    after: Any
    whole: Any
    epochs_after: Any
    epochs: Any
    length: float


def _cosine(at: Moment, section: Optim):
    """Falls from 1 to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + ops.cos(math.pi * at.after))


def _linear(at: Moment, section: Optim):
    """Falls linearly from 1 to 0, which is one cycle with the warm-up (Smith and Topin, 2018)."""
    return 1 - at.after


def _step(at: Moment, section: Optim):
    """Falls to `step_factor` after each of `step_epochs` (He et al., 2016, section 4.2)."""
    drops = sum(ops.cast(at.whole >= share, "float32") for share in section.step_epochs)
    return section.step_factor**drops


def _constant(at: Moment, section: Optim):
    return ops.ones_like(at.after)


def _restarts(at: Moment, section: Optim):
    """Falls along one half cosine after another (SGDR: Loshchilov and Hutter, 2017)."""
    starts, lengths = cosines(section, at.length)
    number = ops.sum(ops.cast(ops.expand_dims(at.epochs_after, -1) >= starts, "int32"), axis=-1) - 1
    within = (at.epochs_after - ops.take(starts, number)) / ops.take(lengths, number)
    return section.restart_decay ** ops.cast(number, "float32") * 0.5 * (1 + ops.cos(math.pi * within))


def cosines(section: Optim, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first epochs of the cosines of `restarts` in `length` epochs, and their lengths, float32 [cosines] each."""
    starts, lengths = [0.0], [section.restart_epochs]
    while starts[-1] + lengths[-1] < length:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * section.restart_factor)
    return np.array(starts, "float32"), np.array(lengths, "float32")


def _polynomial(at: Moment, section: Optim):
    """Falls from 1 to 0 as a power of the remaining share (You et al., 2017: power 2)."""
    return (1 - at.after) ** section.poly_power


def _exponential(at: Moment, section: Optim):
    """Falls by `decay_rate` in `decay_epochs` (Szegedy et al., 2016, section 8: 0.94 every two epochs)."""
    times = at.epochs / section.decay_epochs
    return section.decay_rate ** (ops.floor(times) if section.decay_staircase else times)


def _one_cycle(at: Moment, section: Optim):
    """Rises to 1 and falls to almost 0, both along half a cosine (Smith and Topin, 2018)."""
    up = at.whole < section.cycle_peak
    return ops.where(up, FIRST_SHARE + (1 - FIRST_SHARE) * cycle(at, section), _annealed(cycle(at, section)))


def _annealed(share):
    return LAST_SHARE + (1 - LAST_SHARE) * share


def cycle(at: Moment, section: Optim):
    """Returns how near `one_cycle` is to its peak: from 0 to 1 and back to 0."""
    rising, falling = at.whole / section.cycle_peak, (at.whole - section.cycle_peak) / (1 - section.cycle_peak)
    return 0.5 * (1 - ops.cos(math.pi * ops.where(at.whole < section.cycle_peak, rising, 1 + falling)))


class ScheduleRow(NamedTuple):
    """A schedule: its function from a moment to a share of the peak rate.

    Attributes:
        function: The function.
        to_zero: Whether it ends at 0, so that `--lr-min` takes that place; otherwise it is a lower bound.
        warms: Whether a linear warm-up precedes it.
    """

    function: Callable[[Moment, Optim], Any]
    to_zero: bool = False
    warms: bool = True


SCHEDULES: dict[str, ScheduleRow] = {
    "cosine": ScheduleRow(_cosine, to_zero=True),
    "linear": ScheduleRow(_linear, to_zero=True),
    "step": ScheduleRow(_step),
    "constant": ScheduleRow(_constant),
    "restarts": ScheduleRow(_restarts, to_zero=True),
    "polynomial": ScheduleRow(_polynomial, to_zero=True),
    "exponential": ScheduleRow(_exponential),
    "one_cycle": ScheduleRow(_one_cycle, warms=False),
    "plateau": ScheduleRow(_constant),
}


@keras.saving.register_keras_serializable(package="kerascnn")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to the peak, then a decay, then a cool-down: a function of the step, so that resuming needs no state.

    Args:
        section: The config's optim section.
        total_steps: Steps of the whole schedule.
        steps_per_epoch: Steps of an epoch; warm-up takes at most half of all steps, and cool-down half of the rest.

    Attributes:
        factor: A variable by which the rate after warm-up is multiplied (`plateau`), or None.
    """

    def __init__(self, section: Optim, total_steps: int, steps_per_epoch: int) -> None:
        self.section = section
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.peak = peak(section)
        self.row = SCHEDULES[section.schedule]
        self.warmup_steps = min(round(section.warmup * steps_per_epoch), total_steps // 2) if self.row.warms else 0
        self.cooldown_steps = min(round(section.cooldown * steps_per_epoch), (total_steps - self.warmup_steps) // 2)
        self.factor: keras.Variable | None = None

    def moment(self, step) -> Moment:
        """Returns where float `step`, counted from 0, stands."""
        rest = max(self.total_steps - self.warmup_steps - self.cooldown_steps, 1)
        after = step - self.warmup_steps + 0.5
        return Moment(
            after=ops.clip(after / rest, 0.0, 1.0),
            whole=ops.clip((step + 0.5) / self.total_steps, 0.0, 1.0),
            epochs_after=ops.maximum(after, 0.0) / self.steps_per_epoch,
            epochs=(step + 0.5) / self.steps_per_epoch,
            length=rest / self.steps_per_epoch,
        )

    def __call__(self, step):
        step = ops.cast(step, "float32")
        warm = ops.minimum((step + 1) / max(self.warmup_steps, 1), 1.0)
        share = self.row.function(self.moment(step), self.section)
        if self.factor is not None:
            share = share * ops.convert_to_tensor(self.factor)
        if self.section.lr_min:
            lowest = self.section.lr_min / self.peak
            share = lowest + (1 - lowest) * share if self.row.to_zero else ops.maximum(share, lowest)
            share = ops.where(step < self.total_steps - self.cooldown_steps, share, lowest)
        return self.peak * warm * share

    def momentum(self, step):
        """Returns the momentum of `one_cycle` at a step: the rate's cycle, the other way round."""
        at_peak, at_ends = self.section.cycle_momentum
        return at_ends - (at_ends - at_peak) * cycle(self.moment(ops.cast(step, "float32")), self.section)

    def get_config(self) -> dict:
        return {
            "section": self.section.model_dump(),
            "total_steps": self.total_steps,
            "steps_per_epoch": self.steps_per_epoch,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Schedule":
        return cls(**{**config, "section": Optim(**config["section"])})


def plateau_factor(rows: Sequence[dict[str, float]], monitor: str, section: Optim) -> float:
    """Returns the factor of the learning rate after the epochs of a history: a pure function, which a resumed run replays.

    Args:
        rows: One row per epoch.
        monitor: A column of theirs in `scoring.task.MONITORS`.
        section: The config's optim section.
    """
    sign = 1 if tasks.MONITORS[monitor] == "max" else -1
    best, waited, factor = -math.inf, 0, 1.0
    for row in rows:
        score = sign * row[monitor]
        best, waited = (score, 0) if score > best else (best, waited + 1)
        if waited >= section.plateau_patience:
            factor, waited = factor * section.plateau_factor, 0
    return factor
