"""One candidate: its config, its name, what it costs, how it is trained."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kerascnn import cost, runs
from kerascnn.config import Config, UserError
from kerascnn.runs import Run
from kerascnn.screen import quiet


@dataclass(frozen=True)
class Budget:
    """What a candidate may cost at most; None where it does not matter."""

    macs: float | None
    params: float | None
    latency_ms: float | None


@dataclass(frozen=True)
class Price:
    """What a candidate costs: parameters, multiply-adds of an image."""

    params: int
    macs: int


def key(config: Config, fingerprint: str) -> str:
    """A candidate's name: ten hex digits of its identity."""
    text = json.dumps(runs.identity(config, fingerprint), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def price(config: Config, classes: int) -> Price:
    """Parameters and multiply-adds of a resolved config's network, which is built without weights."""
    from kerascnn.training.assembly import network

    size = config.data.image_size
    assert size is not None
    with cost.weightless():
        found = cost.count(network(config.model, size, classes))
    return Price(found.params, found.macs)


class Prices:
    """Prices of configs by name, each counted once.

    Args:
        classes: Of the data set.
        fingerprint: Of the data set.
    """

    def __init__(self, classes: int, fingerprint: str) -> None:
        self.classes, self.fingerprint = classes, fingerprint
        self._known: dict[str, Price | None] = {}

    def of(self, config: Config) -> Price | None:
        """The price; None where no such network can be built (too small an image, ...)."""
        name = key(config, self.fingerprint)
        if name not in self._known:
            try:
                self._known[name] = price(config, self.classes)
            except UserError:
                self._known[name] = None
        return self._known[name]


def latency_ms(run: Run, classes: int, cpus: Sequence[int] = ()) -> float:
    """The median of 50 warm calls with one image, in a process like the one that would train it; measured once, then kept.

    Raises:
        UserError: The process failed; names its last line.
    """
    if (known := run.latency_ms()) is not None:
        return known
    command = [sys.executable, "-m", "kerascnn.search.candidates", str(run.path), str(classes), *map(str, cpus)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise UserError(f"the latency of {run.name} could not be measured: {done.stderr.strip().splitlines()[-1:]}")
    found = run.latency_ms()
    assert found is not None
    return found


def _measure(run: Run, classes: int) -> None:
    with quiet():
        from kerascnn import timing
        from kerascnn.training.assembly import network
    config = run.config()
    size = config.data.image_size
    assert size is not None
    found = timing.latency(timing.inference(network(config.model, size, classes), 1, size), calls=50)
    run.write_latency(found._asdict())


def train(
    run: Run,
    until: int,
    column: str,
    direction: str,
    *,
    cpus: Sequence[int] = (),
    stop: threading.Event | None = None,
    say: Callable[[dict[str, float]], None] = lambda row: None,
) -> float:
    """Train a candidate to epoch `until`, from wherever it is, and give its best score so far.

    Raises:
        TrainingFailed: It crashed; names the reason and its log.
        Stopped: `stop` was set.
        UserError: The history has no such column.
    """
    if not run.finished and len(run.history()) < until:
        for row in runs.launch(run.path, until, candidate=True, cpus=cpus, stop=stop):
            say(row)
    return score(run, until, column, direction)


def score(run: Run, until: int, column: str, direction: str) -> float:
    """The best value of a history column in the first `until` epochs."""
    rows = run.history()[:until]
    if not rows or column not in rows[0]:
        raise UserError(f"--objective {column}: history.csv has {', '.join(rows[0]) if rows else 'no rows'}")
    return (max if direction == "max" else min)(row[column] for row in rows)


if __name__ == "__main__":
    import os

    if sys.argv[3:]:
        os.sched_setaffinity(0, map(int, sys.argv[3:]))
    _measure(Run(sys.argv[1]), int(sys.argv[2]))
