"""The flags about where the trainings of a study run, and the executor that they name. No TensorFlow."""

from pydantic import Field, field_validator, model_validator

from kerascnn.cli.progress import Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.config.section import Section
from kerascnn.errors import UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.studies.executor import Executor
from kerascnn.studies.executors.local import PRELOADED, LocalExecutor


class Placement(Section):
    """Where trainings run, and how many of them at the same time; results do not depend on it."""

    executor: str = Field(
        "local",
        description="where trainings run: local, ray (Ray's workers on this machine), ray:ADDRESS (a cluster of Ray), slurm",
        json_schema_extra={"metavar": "local|ray[:ADDRESS]|slurm"},
    )
    workers: int = Field(
        1, ge=1, le=1024, description="trainings at the same time, each on its own cores (and GPU, if there are some)"
    )
    worker_cpus: int | None = Field(
        None, ge=1, le=1024, description="ray, slurm: cores of each training (default: as many as this machine has)"
    )
    worker_gpus: int = Field(0, ge=0, le=64, description="ray, slurm: GPUs of each training")

    @field_validator("executor")
    @classmethod
    def _known(cls, executor: str) -> str:
        kind, colon, address = executor.partition(":")
        if kind not in ("local", "ray", "slurm") or (colon and (kind != "ray" or not address)):
            raise ValueError(f"expected local, ray, ray:ADDRESS or slurm, got {executor!r}")
        return executor

    @model_validator(mode="after")
    def _fits(self) -> "Placement":
        for name in ("worker_cpus", "worker_gpus"):
            if self.executor == "local" and getattr(self, name):
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} is for --executor ray and slurm: here --workers divides the cores and GPUs")
        return self


def of_one_run(placement: Placement) -> None:
    """Refuses the flags where one run is trained.

    Raises:
        UserError: One of them is set.
    """
    if placement.executor != "local":
        raise UserError(
            f"--executor {placement.executor}: one run is trained by this process; with --folds it can be elsewhere"
        )
    if placement.workers > 1:
        raise UserError(
            "--workers is for --folds without --fold, whose runs can be trained at the same time;"
            " input threads are chosen automatically"
        )


def fork_server(phases: Phases, verbose: bool = False) -> ForkServer | None:
    """Imports TensorFlow in this process, for all children and for the conclusions; returns what forks, if that is safe."""
    with starting(phases), quiet(verbose):
        return ForkServer.here(PRELOADED)


def executor_of(
    placement: Placement, phases: Phases, server: ForkServer | None, hours: float | None = None
) -> Executor:
    """Returns the executor that the flags name.

    Args:
        placement: The flags.
        phases: Shows the phases of children of this machine.
        server: Forks them, or None; it ends with the executor.
        hours: Time limit of a job of Slurm, or None.

    Raises:
        UserError: More workers than cores or GPUs, or a cluster that is not there.
    """
    kind, _, address = placement.executor.partition(":")
    if kind == "local":
        from kerascnn.studies import slots  # loads TensorFlow

        return LocalExecutor(slots.shared_out(placement.workers), phases, server)
    local = LocalExecutor(phases=phases, server=server)
    if kind == "slurm":
        from kerascnn.studies.executors.slurm import SlurmExecutor

        return SlurmExecutor(placement.workers, placement.worker_cpus, placement.worker_gpus, hours, local)
    from kerascnn.studies.executors.ray import RayExecutor

    return RayExecutor(address, placement.workers, placement.worker_cpus, placement.worker_gpus, local)
