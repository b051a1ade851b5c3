"""Trainings as jobs of Slurm, by submitit, on machines that share their folders. No TensorFlow."""

import math
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerascnn.errors import Stopped, UserError
from kerascnn.runs import Run
from kerascnn.studies import calls, far_calls, far_training
from kerascnn.studies.executor import ChildLost, Found, Row, Slot
from kerascnn.studies.executors.local import LocalExecutor
from kerascnn.studies.far_calls import CallOrder
from kerascnn.studies.far_training import Order

FOLDER = ".slurm"  # beside the runs: scripts, requests and logs of jobs
_GATHERED = 1.0  # seconds in which jobs are gathered to one array
_LOOK = 3.0  # seconds between two looks at the queue
_GONE = 30.0  # seconds after which a job that has left the queue without a result is lost
_SAVES = 90.0  # seconds in which a training that was asked to end saves its state
_HOURS = 24.0  # time limit of a job without --max-hours
_TIMEOUTS = 1000  # a job that reaches its time limit is saved and queued again


class TrainingJob:
    """A training as a job: what submitit pickles and calls, and calls again after a preemption or at the time limit.

    Args:
        order: What to train.
    """

    def __init__(self, order: Order) -> None:
        self.order = order

    def __call__(self) -> BaseException | None:
        """Trains; returns why that failed, or None."""
        ending = threading.Event()
        # Slurm sends SIGTERM to all of a job's processes when it is preempted, queued again or cancelled.
        signal.signal(signal.SIGTERM, lambda number, frame: ending.set())
        error = far_training.train(self.order)
        if ending.is_set() and isinstance(error, ChildLost):
            time.sleep(_SAVES)  # Slurm kills it now: an answer would end a job that is queued again
        return error

    def checkpoint(self) -> Any:
        """Returns what is queued again; submitit calls it on SIGUSR2."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class CallJob:
    """A call as a job: what submitit pickles and calls, and calls again after a preemption or at the time limit.

    Args:
        order: What to call.
    """

    def __init__(self, order: CallOrder) -> None:
        self.order = order

    def __call__(self) -> str:
        """Returns the reply."""
        return far_calls.answered(self.order)

    def checkpoint(self) -> Any:
        """Returns what is queued again; submitit calls it on SIGUSR2."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmExecutor:
    """An `Executor` whose trainings are jobs of Slurm, and whose calls run on this machine.

    Trainings that begin at the same time are one job array. Jobs outlive this process: after a kill, the next start waits for
    those that still train.

    Args:
        workers: Jobs at the same time.
        cpus: Cores of each; None for as many as this machine has.
        gpus: GPUs of each.
        hours: Time limit of a job, or None.
        local: Executes calls, and is closed with this executor.

    Raises:
        UserError: submitit is not installed, or there is no Slurm.
    """

    forks = False

    def __init__(self, workers: int, cpus: int | None, gpus: int, hours: float | None, local: LocalExecutor) -> None:
        self.slots = (Slot(),) * workers
        self._local, self._cpus, self._gpus = local, cpus or len(os.sched_getaffinity(0)), gpus
        self._minutes = math.ceil(60 * (hours or _HOURS))
        self._turn, self._asked = threading.Lock(), list[_Request]()
        self._queue = _Queue()
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise UserError("--executor slurm needs submitit: pip install 'kerascnn[slurm]'") from None
        self._queue.check()

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
        """Trains a run; see `Executor.train`."""
        run = Run(run_dir)
        run.path.mkdir(parents=True, exist_ok=True)
        order = far_training.order_of(run, until, candidate, self._cpus, self._gpus)
        job = self._submitted(run.path.parent.absolute() / FOLDER, TrainingJob(order))
        try:
            yield from far_training.rows(run, lambda: self._queue.ended(job), stop)
            error = self._queue.result(job, run)
        finally:
            if self._cancelled(job):
                far_training.wait_for_end(run, _SAVES)
        if error is not None:
            raise error

    def call(self, function: Callable[..., Found], *args: Any, slot: Slot, alone: bool = False) -> Found:
        """Returns the result of `function` in a new process of this machine; see `Executor.call`."""
        return self._local.call(function, *args, slot=slot, alone=alone)

    def spread(self, function: Callable[..., Found], *args: Any, slot: Slot, stop: threading.Event) -> Found:
        """Returns the result of `function` as a job; see `Executor.spread`."""
        order = far_calls.order_of(function, args, self._cpus, self._gpus)
        job = self._submitted(Path(order.folder) / FOLDER, CallJob(order))
        try:
            while not self._queue.ended(job):
                if stop.wait(_LOOK / 3):
                    raise Stopped("stopped")
            if not job.paths.result_pickle.exists():
                raise ChildLost(f"{function.__name__} was ended by Slurm (job {job.job_id})", killed=True)
            failed = job.exception()
            if failed is not None:
                raise ChildLost(f"{function.__name__} failed in job {job.job_id}: {_reason(failed)}", killed=False)
            found: Found = calls.result(function, job.result())
        finally:
            self._cancelled(job)
        return found

    def close(self) -> None:
        """Ends the children of this machine."""
        self._local.close()

    def _submitted(self, folder: Path, task: TrainingJob | CallJob) -> Any:
        """Returns the job of a task; those that are asked for within a second and lie together are one array."""
        request = _Request(folder, task)
        with self._turn:
            self._asked.append(request)
            gathers = len(self._asked) == 1
        if gathers:
            time.sleep(_GATHERED)
            with self._turn:
                asked, self._asked = self._asked, []
            for folder in dict.fromkeys(each.folder for each in asked):
                self._submit(folder, [each for each in asked if each.folder == folder])
        request.ready.wait()
        if request.error is not None:
            raise request.error
        return request.job

    def _submit(self, folder: Path, requests: list["_Request"]) -> None:
        import submitit

        try:
            executor = submitit.SlurmExecutor(folder, max_num_timeout=_TIMEOUTS)
            executor.update_parameters(
                job_name="kerascnn",
                time=self._minutes,
                cpus_per_task=self._cpus,
                ntasks_per_node=1,
                array_parallelism=len(self.slots),
                additional_parameters={"requeue": True},
                **({"gpus_per_node": self._gpus} if self._gpus else {}),
            )
            with executor.batch():
                jobs = [executor.submit(each.task) for each in requests]
            for each, job in zip(requests, jobs, strict=True):
                each.job = job
        except (submitit.core.utils.FailedJobError, OSError) as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1:]
            for each in requests:
                each.error = UserError(f"--executor slurm: sbatch refuses the job: {''.join(reason)}")
        finally:
            for each in requests:
                each.ready.set()

    def _cancelled(self, job: Any) -> bool:
        """Cancels a job that is still there, and waits until it is gone; returns whether there was one."""
        if self._queue.ended(job):
            return False
        subprocess.run(["scancel", job.job_id], check=False, capture_output=True)
        end = time.monotonic() + _SAVES
        while time.monotonic() < end and not self._queue.ended(job, patience=0.0):
            time.sleep(_LOOK / 3)
        return True


class _Request:
    """A task that waits for its job.

    Args:
        folder: Where the job's files lie.
        task: What to do.
    """

    def __init__(self, folder: Path, task: TrainingJob | CallJob) -> None:
        self.folder, self.task = folder, task
        self.ready = threading.Event()
        self.job: Any = None
        self.error: Exception | None = None


class _Queue:
    """Slurm's queue, which all trainings look at together: many questions at once are a burden for its controller."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._seen: dict[str, float] = {}  # job -> when it was last in the queue
        self._looked = -math.inf

    def check(self) -> None:
        """Raises UserError if there is no Slurm that answers."""
        if shutil.which("sbatch") is None or shutil.which("squeue") is None:
            raise UserError(
                "--executor slurm: sbatch and squeue are not here: start this on a machine that submits jobs"
            )
        asked = subprocess.run(["squeue", "--me", "--noheader"], check=False, capture_output=True, text=True)
        if asked.returncode:
            raise UserError(
                f"--executor slurm: squeue fails: {(asked.stderr.strip().splitlines() or ['no reason'])[-1]}"
            )

    def ended(self, job: Any, patience: float = _GONE) -> bool:
        """Returns whether a job has a result, or has left the queue for some seconds (files of other machines come late)."""
        if job.paths.result_pickle.exists():
            return True
        with self._turn:
            now = time.monotonic()
            self._seen.setdefault(job.job_id, now)
            if now > self._looked + _LOOK:
                self._look(now)
            return self._looked > self._seen[job.job_id] + patience

    def _look(self, now: float) -> None:
        command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
        asked = subprocess.run(command, check=False, capture_output=True, text=True)
        if asked.returncode == 0:  # a controller that does not answer now may answer the next time
            self._looked = now
            self._seen |= dict.fromkeys(asked.stdout.split(), now)

    def result(self, job: Any, run: Run) -> BaseException | None:
        """Returns what a job that has ended returned."""
        if not job.paths.result_pickle.exists():
            return far_training.lost(run, f"was ended by Slurm (job {job.job_id})")
        failed = job.exception()
        if failed is not None:
            return far_training.lost(run, f"failed in job {job.job_id}: {_reason(failed)}")
        return job.result()


def _reason(failed: BaseException) -> str:
    """Returns the last line of a job's trace, which stands between two lines, and names of the log follow it."""
    said = [line for line in str(failed).partition("trace:")[2].splitlines() if line.strip("- ")]
    traced = [line for line in said if not line.startswith(("You can check", "or at paths", "  - "))]
    return (traced or [str(failed)])[-1].strip()
