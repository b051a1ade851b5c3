"""A candidate: its name, cost and training. Its children load TensorFlow, quietly."""

import hashlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerascnn import runs
from kerascnn.architectures.counting import Counted
from kerascnn.cli.screen import quiet
from kerascnn.config import Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import TrainingFailed, UserError
from kerascnn.runs import Run
from kerascnn.studies.executor import Executor, Row, Slot

CALLS = 50


@dataclass(frozen=True)
class Budget:
    """The largest costs of a candidate; None for no limit."""

    macs: float | None = None
    params: float | None = None
    latency_ms: float | None = None

    def excess(self, cost: Counted) -> float:
        """Returns the largest of cost / limit: the cost fits up to 1. Latency is not included, as it must be measured."""
        shares = [
            value / limit for value, limit in ((cost.macs, self.macs), (cost.params, self.params)) if limit is not None
        ]
        return max(shares, default=0.0)


def key(config: ResolvedConfig, fingerprint: str) -> str:
    """Returns a candidate's name: ten hex digits of its identity."""
    text = json.dumps(runs.identity(config, fingerprint), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def latency_ms(run: Run, classes: int, executor: Executor) -> float:
    """Returns the median of 50 warm calls with one image, in a child like that of its training; measured once.

    Raises:
        UserError: It could not be measured.
    """
    known = run.latency_ms()
    if known is None:
        try:
            known = executor.call(measured_latency, run.resolved_config(), classes, slot=executor.slots[0])
        except (UserError, TrainingFailed) as error:
            raise UserError(f"the latency of {run.name} could not be measured: {error}") from None
        run.write_latency({"p50_ms": known, "calls": CALLS})
    return known


def measured_latency(config: ResolvedConfig, classes: int) -> float:
    """Returns the median milliseconds of some warm calls with one image."""
    with quiet():
        from kerascnn import training
        from kerascnn.devices import timing

        size = config.data.image_size
        call = timing.inference(training.network(config.model, size, classes), 1, size)
        return timing.latency(call, calls=CALLS).p50_ms


def measured_speed(config: Config) -> tuple[float, float]:
    """Returns the seconds of a training epoch, from a few warm steps of `fit`, and the seconds of those steps."""
    with quiet():
        from kerascnn import data, training
        from kerascnn.data import pipeline
        from kerascnn.devices.plan import setup

        plan = setup(config.devices, config.fit.batch_size)
        splits = data.load(config.data, data.Room(config.logging.runs_dir))
        resolved = training.resolve(config, splits)
        model = training.build_and_compile(resolved, splits, plan)
        step, warm = training.seconds_per_step(model, resolved, splits)
    return pipeline.steps_per_epoch(len(splits.train), config.fit.batch_size) * step, warm


def train(
    run: Run,
    until: int,
    column: str,
    direction: str,
    *,
    executor: Executor,
    slot: Slot,
    stop: threading.Event,
    candidate: bool = True,
    say: Callable[[Row], Any] = lambda row: None,
) -> float:
    """Trains a candidate to epoch `until`, from its last state; returns its best score so far.

    Raises:
        TrainingFailed: It cannot be trained, or its score is NaN; names the reason and its log.
        ChildLost: Its process was killed, or ended for an external reason.
        Stopped: `stop` was set.
        UserError: The history has no such column.
    """
    if not run.finished and (len(run.history()) < until or until == run.config().fit.epochs):
        for row in executor.train(run.path, until, slot, candidate=candidate, stop=stop, label=run.name):
            say(row)
    return score(run, until, column, direction)


def score(run: Run, until: int, column: str, direction: str) -> float:
    """Returns the best value of a history column in the first `until` epochs.

    Raises:
        UserError: There is no such column.
        TrainingFailed: The column has no number.
    """
    rows = run.history()[:until]
    if not rows or column not in rows[0]:
        known = f"{run.history_file.name} has {', '.join(rows[0])}" if rows else f"{run.path} has no epoch"
        raise UserError(f"--objective {column}: {known}")
    values = [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
    if not values:
        raise TrainingFailed(f"--objective {column}: no epoch of {run.path} has a number there")
    return max(values) if direction == "max" else min(values)
