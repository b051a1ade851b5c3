"""What a start says and records before its first step: the network, the devices, the schedule, the environment."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerascnn.architectures import own
from kerascnn.cli.recipes import dumps
from kerascnn.cli.screen import Screen
from kerascnn.config import defaults
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.devices.plan import Plan
from kerascnn.models.cost import Counts
from kerascnn.runs import Run
from kerascnn.tracking.trackers import Trackers
from kerascnn.training import environment, finetune, schedules
from kerascnn.training.run_schedule import RunSchedule

NAMED = 20  # classes whose counts are reported: of many, the most and the least frequent ones


def say_network(config: ResolvedConfig, splits: Splits, count: Counts, screen: Screen) -> None:
    """Says which network is trained, and how large it is."""
    size = f"{count.params:,} parameters, {count.macs / 1e6:,.1f} M MACs at {splits.image_size} px"
    screen.say(f"model   {own.shown(config.model.arch)}: {size}")
    if count.unknown:
        screen.say(f"        MACs are without {', '.join(count.unknown)}")


def say_training(config: ResolvedConfig, plan: Plan, schedule: RunSchedule, monitor: str, screen: Screen) -> None:
    """Says where and for how long it is trained."""
    optimizer = config.optim
    screen.say(f"device  {plan.reason}")
    screen.say(
        f"train   {schedule.epochs} epochs of {schedule.steps_per_epoch} steps of {config.fit.batch_size} images,"
        f" {optimizer.optimizer} at {schedules.peak(optimizer):g}, {optimizer.schedule}; best by {monitor}"
    )


def say_shown(counts: np.ndarray, class_names: Sequence[str], screen: Screen) -> None:
    """Says how often each class is shown in the first epoch; of many classes, the most and the least frequent ones."""
    most = sorted(zip(class_names, counts, strict=True), key=lambda pair: -pair[1])
    named = most if len(most) <= NAMED else [*most[: NAMED // 2], *most[-NAMED // 2 :]]
    screen.say(f"shown   in epoch 1: {', '.join(f'{name} {count:,}' for name, count in named)}")


def note_start(config: ResolvedConfig, run: Run, splits: Splits, plan: Plan, loaded: list[str], screen: Screen) -> None:
    """Says what was loaded and where the run is, and records the environment."""
    for line in loaded:
        screen.say(line)
    if advice := finetune.advice(splits, config):
        screen.say(advice)
    screen.say(f"run     {run.path}")
    environment.note_environment(run, plan, screen.say)


def tell(
    trackers: Trackers,
    config: ResolvedConfig,
    splits: Splits,
    count: Counts,
    network: tuple[keras.Model, Any] | None,
    screen: Screen,
) -> None:
    """Gives the trackers the config, and the graph of a network and its inference, unless it is a candidate of a search."""
    shown = dumps(config, defaults.used(config, splits.image_size)).encode("utf-8", "backslashreplace").decode()
    trackers.config(shown)
    if network is not None:  # a search has its own table of candidates, by the names that it varies
        with screen.phase("drawing the graph for TensorBoard"):
            trackers.graph(*network)
            trackers.values(environment.hparams(config, splits, count))
