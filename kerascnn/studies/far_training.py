"""A training on a machine that a cluster has chosen, which shares its folders with the machine that asks. No TensorFlow."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from pydantic import BaseModel, ConfigDict

from kerascnn.cli import ambient
from kerascnn.devices import hardware
from kerascnn.errors import Stopped, TrainingFailed, UserError
from kerascnn.runs import Run
from kerascnn.runs.lease_files import live_holder
from kerascnn.studies.executor import CHILD_LOG, ChildLost, Row, Slot
from kerascnn.studies.executors.local import LOOK, LocalExecutor

_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_GPUS = "CUDA_VISIBLE_DEVICES"
_LOOK = (
    1.0  # seconds between two looks at the files of a far training: a hundred of them must not wear a file server out
)


class Order(BaseModel):
    """What a machine of a cluster has to know to train a run.

    Attributes:
        run_dir: The run's directory, absolute.
        folder: The working directory, in which relative paths of the run's config begin.
        until: Last epoch, or None.
        candidate: As for `Executor.train`.
        environment: Variables that decide bits or speed; None where one must not be set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_dir: str
    folder: str
    until: int | None
    candidate: bool
    environment: dict[str, str | None]


def order_of(run: Run, until: int | None, candidate: bool, cpus: int | None, gpus: int) -> Order:
    """Returns the order to train a run with as many threads as it gets cores.

    Bits depend on the number of threads, and a cluster's own processes set some of these variables.

    Args:
        run: The run.
        until: Last epoch, or None.
        candidate: As for `Executor.train`.
        cpus: Cores of the training; None for as many as this machine has.
        gpus: GPUs of the training.
    """
    return Order(
        run_dir=str(run.path.absolute()),
        folder=os.getcwd(),  # noqa: PTH109 - a text
        until=until,
        candidate=candidate,
        environment=environment_of(cpus, gpus),
    )


def environment_of(cpus: int | None, gpus: int) -> dict[str, str | None]:
    """Returns the variables of a process that is to compute the same bits with as many threads as it gets cores.

    Args:
        cpus: Its cores; None for as many as this machine has.
        gpus: Its GPUs.
    """
    found = {name: os.environ.get(name) for name in ambient.RESPECTED if name != _GPUS}
    threads = str(cpus or hardware.available_cpus())
    found |= {name: found[name] or threads for name in _THREADS}
    return found if gpus else {**found, _GPUS: "-1"}


def enter(folder: str, environment: Mapping[str, str | None]) -> None:
    """Makes this process work in a folder, with these variables.

    Raises:
        UserError: The folder is not on this machine.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(f"{folder}, where this command was started, is not on {os.uname().nodename}: {error}") from None
    for name, value in environment.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def train(order: Order) -> BaseException | None:
    """Trains a run in a child of this process; returns why that failed, or None. A stop of this process is not caught."""
    run = Run(order.run_dir)
    try:
        enter(order.folder, order.environment)
    except UserError as error:
        return error
    if not run.config_file.exists():
        return UserError(
            f"{run.path} is not on {os.uname().nodename}: the machines of a cluster must share the folders of runs and data"
        )
    try:
        for _ in LocalExecutor().train(
            run.path, order.until, Slot(), candidate=order.candidate, stop=threading.Event()
        ):
            pass
    except (Stopped, TrainingFailed, UserError) as error:
        return error
    return None


def rows(run: Run, ended: Callable[[], bool], stop: threading.Event) -> Iterator[Row]:
    """Yields the new rows of the history of a run that another machine trains.

    Args:
        run: The run.
        ended: Returns whether its training has ended.
        stop: Ends the rows once it is set.

    Raises:
        Stopped: `stop` was set.
    """
    seen = len(run.history())
    while True:
        over = ended()
        found = run.history()
        yield from found[seen:]
        seen = max(seen, len(found))
        if stop.is_set():
            raise Stopped(f"run {run.name} was stopped")
        if over:
            return
        stop.wait(_LOOK)


def lost(run: Run, how: str) -> ChildLost:
    """Returns the error about a training that ended without saying why."""
    return ChildLost(f"run {run.name} {how} ({run.path / CHILD_LOG})", killed=True)


def wait_for_end(run: Run, seconds: float) -> None:
    """Waits until nobody holds a run whose training was asked to end, so that it has saved its state."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and live_holder(run.path) is not None:
        time.sleep(LOOK)
