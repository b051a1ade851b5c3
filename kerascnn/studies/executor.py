"""The interface of executors, which train runs and call functions, and the meaning of exit codes. No TensorFlow."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from kerascnn.errors import TRAINING_FAILED as FAILED
from kerascnn.errors import USER_ERROR, Stopped, TrainingFailed
from kerascnn.runs import Run

# A row of history.csv.
Row = dict[str, float]
Found = TypeVar("Found")
CHILD_LOG = "child.log"  # in the run's directory: output of its process
# Exit codes of a child that would fail again: a config that is not valid, a loss that is not finite, a batch that is too large.
OWN_DOING = (USER_ERROR, FAILED)


class Slot(NamedTuple):
    """The cores and the GPU of one child; empty for all of them.

    Args:
        cpus: Numbers of the cores.
        gpu: Name of the GPU in CUDA_VISIBLE_DEVICES.
    """

    cpus: tuple[int, ...] = ()
    gpu: str = ""


class Executor(Protocol):
    """Trains runs and calls functions, each in a process of its own."""

    @property
    def slots(self) -> Sequence[Slot]:
        """The slots that can be used at the same time; they share nothing."""

    @property
    def forks(self) -> bool:
        """Whether trainings are forked from a process that has imported TensorFlow."""

    def train(
        self,
        run_dir: str | os.PathLike[str],
        until: int | None,
        slot: Slot,
        *,
        candidate: bool,
        stop: threading.Event,
        label: str = "",
    ) -> Iterator[Row]:
        """Trains the run in `run_dir`, which has a config.toml; yields the rows of its history as they come.

        If another process trains the run, such as that of a killed parent or of another comparison, the child waits for it
        and continues. The child ends when this process does.

        Args:
            run_dir: The run's directory, with config.toml.
            until: Stop after this epoch, with the same schedule; None for the whole training.
            slot: One of `slots`.
            candidate: Whether the run is one to choose from: no test score, graph or report.
            stop: Ends the child, as a signal would, once it is set.
            label: Prefix of the names of the child's phases.

        Raises:
            TrainingFailed: The config or its training is wrong, and would fail again; names the log.
            ChildLost: The child ended in another way: another start may continue.
            Stopped: `stop` was set; everything is kept.
        """

    def call(self, function: Callable[..., Found], *args: Any, slot: Slot, alone: bool = False) -> Found:
        """Returns the result of `function` in a new process, whose memory and GPU are released at its end.

        The process may be forked from one that has imported TensorFlow. With `alone` it shares nothing with others, also
        no memory and no layout of it.

        Arguments and result travel as JSON, by the annotations of `function`, which is a function of a module. If it has a
        parameter `phases`, it gets phases that are shown here.

        Raises:
            UserError, CheckFailed, TrainingFailed, Stopped: As raised by `function`; also UserError if its process was
                killed.
            RuntimeError: `function` has a bug; the message contains the traceback.
        """

    def spread(self, function: Callable[..., Found], *args: Any, slot: Slot, stop: threading.Event) -> Found:
        """Returns the result of `function` in a new process, on this machine or on one of the cluster.

        Arguments and result travel as for `call`. Another start of the same function continues what it has done.

        Args:
            function: A function of a module.
            args: Its arguments.
            slot: One of `slots`.
            stop: Ends the process once it is set.

        Raises:
            UserError, CheckFailed, TrainingFailed, Stopped: As raised by `function`; also Stopped if its process was lost,
                or `stop` was set.
            RuntimeError: `function` has a bug; the message contains the traceback.
        """

    def close(self) -> None:
        """Ends all children."""


class ChildLost(Stopped):
    """A child ended because of something that may be gone at the next start: a signal, a full disk. Its results are kept.

    Args:
        said: How it ended.
        killed: Whether a signal killed it.
    """

    def __init__(self, said: str, killed: bool) -> None:
        super().__init__(f"{said}: everything is kept; once the cause is gone, the same command continues")
        self.said, self.killed = said, killed

    def __reduce__(self) -> tuple[type["ChildLost"], tuple[str, bool]]:
        return ChildLost, (self.said, self.killed)


def fit_command(run: Run, until: int | None) -> list[str]:
    """Returns the words after `python` of the command that trains a run with its own config.toml."""
    command = ["-m", "kerascnn.fit", "--config", str(run.config_file), "--run", run.name]
    command += ["--runs-dir", str(run.path.parent), "--no-export", "--no-overwrite"]
    return command + (["--stop-epoch", str(until)] if until else [])


def check_ending(run: Run, code: int) -> None:
    """Raises the error of a run's process with exit code `code` (negative: killed by that signal); nothing for 0."""
    if not code:
        return
    log = run.path / CHILD_LOG
    said = f"run {run.name} {_ending(code, run)} ({log})"
    if code in OWN_DOING:
        raise TrainingFailed(said)
    raise ChildLost(said, killed=code < 0)


def killed_by(code: int) -> str:
    """Returns a text about a process with a negative exit code."""
    memory = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"was killed by {signal.Signals(-code).name}{memory}"


def _ending(code: int, run: Run) -> str:
    if code < 0:
        return killed_by(code)
    try:
        tail = (run.path / CHILD_LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    except FileNotFoundError:
        tail = ["its folder is gone"]
    return f"ended with code {code}: {' '.join(tail)}"
