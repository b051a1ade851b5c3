"""One candidate: its name, what it costs, where and how it is trained."""

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kerascnn import runs
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.devices import hardware
from kerascnn.devices.plan import inspect_hardware
from kerascnn.errors import TrainingFailed, UserError
from kerascnn.runs import Run
from kerascnn.search import measure
from kerascnn.training import Price


class Place(NamedTuple):
    """Where a worker's children run: their cores and their GPU; whatever there is where neither is named."""

    cpus: tuple[int, ...] = ()
    gpu: str = ""


def places(workers: int) -> list[Place]:
    """A place for each worker, none shared: its own cores, and its own GPU where there are some. One worker has everything.

    Raises:
        UserError: More workers than cores, or than GPUs.
    """
    if workers == 1:
        return [Place()]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(hardware.available_cpus())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    found = len(inspect_hardware().gpus)
    gpus = visible if len(visible) == found and any(visible) else [str(i) for i in range(found)]
    for have, what in ((len(cores), "cores"), (found or workers, "GPUs")):
        if workers > have:
            raise UserError(f"--workers {workers}: there are {have} {what}, and workers share none: --workers {have}")
    share = len(cores) / workers
    return [
        Place(tuple(cores[round(i * share) : round((i + 1) * share)]), gpus[i] if found else "") for i in range(workers)
    ]


@dataclass(frozen=True)
class Budget:
    """What a candidate may cost at most; None where it does not matter."""

    macs: float | None = None
    params: float | None = None
    latency_ms: float | None = None

    def excess(self, price: Price) -> float:
        """The largest of cost / limit: up to 1 the price fits. Latency is another matter: it must be measured."""
        shares = [
            cost / limit for cost, limit in ((price.macs, self.macs), (price.params, self.params)) if limit is not None
        ]
        return max(shares, default=0.0)


def key(config: ResolvedConfig, fingerprint: str) -> str:
    """A candidate's name: ten hex digits of its identity."""
    text = json.dumps(runs.identity(config, fingerprint), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def latency_ms(run: Run, classes: int, place: Place) -> float:
    """The median of 50 warm calls with one image, in a child like the one that would train it; measured once, then kept.

    Raises:
        UserError: The child failed; names its last line.
    """
    known = run.latency_ms()
    if known is None:
        (known,) = measure.in_child("latency", run, classes, place.cpus, place.gpu)
        run.write_latency({"p50_ms": known, "calls": measure.CALLS})
    return known


def train(
    run: Run,
    until: int,
    column: str,
    direction: str,
    *,
    place: Place,
    stop: threading.Event,
    candidate: bool = True,
    say: Callable[[dict[str, float]], None] = lambda row: None,
    phases: Phases = SILENT,
) -> float:
    """Train a candidate to epoch `until`, from wherever it is, and give its best score so far.

    Raises:
        TrainingFailed: It cannot be trained, or its score is no number; names the reason and its log.
        ChildLost: Its process was killed, or ended by what is not its own doing.
        Stopped: `stop` was set.
        UserError: The history has no such column.
    """
    if not run.finished and (len(run.history()) < until or until == run.config().fit.epochs):
        rows = runs.launch(
            run.path,
            until,
            candidate=candidate,
            cpus=place.cpus,
            gpu=place.gpu,
            stop=stop,
            phases=phases,
            whose=run.name,
        )
        for row in rows:
            say(row)
    return score(run, until, column, direction)


def score(run: Run, until: int, column: str, direction: str) -> float:
    """The best value of a history column in the first `until` epochs.

    Raises:
        UserError: There is no such column.
        TrainingFailed: There is no number in it.
    """
    rows = run.history()[:until]
    if not rows or column not in rows[0]:
        known = f"{run.history_file.name} has {', '.join(rows[0])}" if rows else f"{run.path} has no epoch"
        raise UserError(f"--objective {column}: {known}")
    values = [row[column] for row in rows if math.isfinite(row.get(column, math.nan))]
    if not values:
        raise TrainingFailed(f"--objective {column}: no epoch of {run.path} has a number there")
    return max(values) if direction == "max" else min(values)
