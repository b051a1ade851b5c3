"""A run's training in a process of its own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from kerascnn.cli.progress import SILENT, Mirror, Phases, State, to_descriptor
from kerascnn.errors import TRAINING_FAILED, USER_ERROR, Stopped, TrainingFailed
from kerascnn.runs.directory import Run

# A child of `launch` ends when its standard input closes, so that a killed parent leaves no training behind.
PARENT_PIPE = "KERASCNN_PARENT_PIPE"
PROGRESS_PIPE = "KERASCNN_PROGRESS_PIPE"  # the descriptor that a child says by what it does
CANDIDATE = "candidate"  # its value where test is not to be read
CPUS = "KERASCNN_CPUS"  # the cores that a child may use
# How a child ends by its own doing, and would again: a config that cannot be, a loss that is not finite, a batch too large.
OWN_DOING = (USER_ERROR, TRAINING_FAILED)


class ChildLost(Stopped):
    """A child ended by what may be gone at the next start: a signal, a full disk. What it kept is good.

    Args:
        said: How it ended.
        killed: Whether by a signal that it did not survive.
    """

    def __init__(self, said: str, killed: bool) -> None:
        super().__init__(f"{said}: everything is kept; once the cause is gone, the same command goes on")
        self.said, self.killed = said, killed


def launch(
    run_dir: str | os.PathLike[str],
    until: int | None = None,
    *,
    candidate: bool = False,
    cpus: Sequence[int] = (),
    gpu: str = "",
    stop: threading.Event | None = None,
    phases: Phases = SILENT,
    whose: str = "",
) -> Iterator[dict[str, float]]:
    """Train the run in `run_dir` (its config.toml is there) in a process of its own; yields history rows as they come.

    The child ends when this process does: it watches its standard input. Where another process trains the run, be it that of
    a parent that was killed or another comparison's, the child waits for it, and continues from what it kept.

    Args:
        run_dir: The run's directory, with config.toml.
        until: Stop after this epoch; the schedule stays.
        candidate: A search's: no test score, graph or report.
        cpus: The cores that the child may use; all where none is given.
        gpu: The GPU that it may see, as CUDA_VISIBLE_DEVICES names it; all where none is given.
        stop: Ends the child as a signal would once it is set.
        phases: Where it is shown what the child does.
        whose: What stands before the names of its phases.

    Raises:
        TrainingFailed: The config or its training is at fault, and would be again: names the log.
        ChildLost: The child ended with any other code than 0: another start may go on.
        Stopped: `stop` was set; everything is kept.
    """
    run = Run(run_dir)
    command = [sys.executable, "-m", "kerascnn.fit", "--config", str(run.config_file), "--run", run.name]
    command += ["--runs-dir", str(run.path.parent), "--no-export", "--no-overwrite"]
    command += ["--stop-epoch", str(until)] if until else []
    seen = len(run.history())
    run.path.mkdir(parents=True, exist_ok=True)
    environment = {**child_environment(cpus, gpu), PARENT_PIPE: CANDIDATE if candidate else "1"}
    heard, told = os.pipe()
    os.set_blocking(heard, False)
    environment[PROGRESS_PIPE] = str(told)
    mirror = Mirror(phases, whose)
    with (run.path / "child.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(told,),
            start_new_session=stop is not None,  # one Ctrl-C is the parent's: it asks its children to stop
        )
    os.close(told)
    try:
        while True:
            ended = child.poll() is not None
            mirror.read(heard)
            rows = run.history()
            yield from rows[seen:]
            seen = max(seen, len(rows))
            if ended or (stop is not None and stop.is_set()):
                break
            time.sleep(0.2)
    finally:
        if child.stdin:
            child.stdin.close()
        child.wait()
        mirror.end()
        os.close(heard)
    if stop is not None and stop.is_set():
        raise Stopped(f"run {run.name} was stopped")
    code = child.returncode
    if not code:
        return
    said = f"run {run.name} {_ending(code, run)} ({run.path / 'child.log'})"
    if code in OWN_DOING:
        raise TrainingFailed(said)
    raise ChildLost(said, killed=code < 0)


def parents_ear() -> Callable[[list[State]], None] | None:
    """What tells this process' parent what it does; None where none listens."""
    descriptor = os.environ.pop(PROGRESS_PIPE, None)
    return None if descriptor is None else to_descriptor(int(descriptor))


def child_environment(cpus: Sequence[int], gpu: str) -> dict[str, str]:
    """This process' variables, and those that keep a child to some cores and a GPU."""
    environment = {**os.environ, CPUS: " ".join(map(str, cpus))}
    if gpu:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    if cpus and not hasattr(os, "sched_setaffinity"):  # macOS: at least no more threads than that
        environment |= {"TF_NUM_INTRAOP_THREADS": str(len(cpus)), "OMP_NUM_THREADS": str(len(cpus))}
    return environment


def pin() -> None:
    """Keep this process to the cores that its parent chose, before TensorFlow counts its threads."""
    cores = os.environ.get(CPUS)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, map(int, cores.split()))


def _ending(code: int, run: Run) -> str:
    """Why a child ended, in words."""
    if code < 0:
        killed = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"was killed by {signal.Signals(-code).name}{killed}"
    try:
        tail = (run.path / "child.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    except FileNotFoundError:
        tail = ["its folder is gone"]
    return f"ended with code {code}: {' '.join(tail)}"
