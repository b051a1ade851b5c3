"""Where runs are trained and functions are called: what an executor is, and how a run's process ends. No TensorFlow."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from kerascnn.errors import TRAINING_FAILED as FAILED
from kerascnn.errors import USER_ERROR, Stopped, TrainingFailed
from kerascnn.runs import Run

# A row of history.csv.
Row = dict[str, float]
Found = TypeVar("Found")
CHILD_LOG = "child.log"  # in the run's directory: what its process said
# How a child ends by its own doing, and would again: a config that cannot be, a loss that is not finite, a batch too large.
OWN_DOING = (USER_ERROR, FAILED)


class Slot(NamedTuple):
    """The cores and the GPU of one child; empty for all that there are.

    Args:
        cpus: Numbers of cores.
        gpu: As CUDA_VISIBLE_DEVICES names it.
    """

    cpus: tuple[int, ...] = ()
    gpu: str = ""


class Executor(Protocol):
    """Trains runs and calls functions, each in a process of its own, somewhere."""

    @property
    def slots(self) -> Sequence[Slot]:
        """The slots that may be used at once; no two of them share anything."""

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
        """Trains the run in `run_dir` (its config.toml is there); yields the rows of its history as they come.

        Where another process trains the run, be it that of a parent that was killed or another comparison's, the child
        waits for it, and continues from what it kept. The child ends when this process does.

        Args:
            run_dir: The run's directory, with config.toml.
            until: Stop after this epoch, the schedule stays; None for the whole training.
            slot: One of `slots`.
            candidate: Whether others are chosen from: no test score, graph or report.
            stop: Once set, the child ends as a signal would end it.
            label: Stands before the names of the child's phases.

        Raises:
            TrainingFailed: The config or its training is at fault, and would be again: names the log.
            ChildLost: The child ended in any other way: another start may continue.
            Stopped: `stop` was set; everything is kept.
        """

    def call(self, function: Callable[..., Found], *args: Any, slot: Slot) -> Found:
        """What `function` returns in a fresh process; what it loads and keeps, memory or a GPU, is gone with that.

        Arguments and result travel as JSON, by the annotations of `function`, a function of a module. One with a
        parameter `phases` is given some that are shown here.

        Raises:
            UserError, CheckFailed, TrainingFailed, Stopped: As `function` raised it. Or UserError where its process was killed.
            RuntimeError: `function` has a fault: holds the traceback.
        """

    def close(self) -> None:
        """Ends the children that are left."""


class ChildLost(Stopped):
    """A child ended by what may be gone at the next start: a signal, a full disk. What it kept is good.

    Args:
        said: How it ended.
        killed: Whether by a signal that it did not survive.
    """

    def __init__(self, said: str, killed: bool) -> None:
        super().__init__(f"{said}: everything is kept; once the cause is gone, the same command goes on")
        self.said, self.killed = said, killed

    def __reduce__(self) -> tuple[type["ChildLost"], tuple[str, bool]]:
        return ChildLost, (self.said, self.killed)


def fit_command(run: Run, until: int | None) -> list[str]:
    """The command that trains a run on its own config.toml."""
    command = [sys.executable, "-m", "kerascnn.fit", "--config", str(run.config_file), "--run", run.name]
    command += ["--runs-dir", str(run.path.parent), "--no-export", "--no-overwrite"]
    return command + (["--stop-epoch", str(until)] if until else [])


def check_ending(run: Run, code: int) -> None:
    """Raises what a run's process, which ended with `code` (negative: by that signal), stands for; nothing for 0."""
    if not code:
        return
    log = run.path / CHILD_LOG
    said = f"run {run.name} {_ending(code, run)} ({log})"
    if code in OWN_DOING:
        raise TrainingFailed(said)
    raise ChildLost(said, killed=code < 0)


def killed_by(code: int) -> str:
    """How a process ended whose exit code is negative, in words."""
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
