"""The flags about where the trainings of a study run, and the executor that they name. No TensorFlow."""

from pydantic import Field

from kerascnn.cli.progress import Phases
from kerascnn.cli.screen import quiet, starting
from kerascnn.config.section import Section
from kerascnn.errors import UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.studies.executor import Executor
from kerascnn.studies.executors.local import PRELOADED, LocalExecutor


class Placement(Section):
    """How many trainings run at the same time."""

    workers: int = Field(
        1, ge=1, le=1024, description="trainings at the same time, each on its own cores (and GPU, if there are some)"
    )


def of_one_run(placement: Placement) -> None:
    """Refuses the flags where one run is trained.

    Raises:
        UserError: One of them is set.
    """
    if placement.workers > 1:
        raise UserError(
            "--workers is for --folds without --fold, whose runs can be trained at the same time;"
            " input threads are chosen automatically"
        )


def fork_server(phases: Phases, verbose: bool = False) -> ForkServer | None:
    """Imports TensorFlow in this process, for all children and for the conclusions; returns what forks, if that is safe."""
    with starting(phases), quiet(verbose):
        return ForkServer.here(PRELOADED)


def executor_of(placement: Placement, phases: Phases, server: ForkServer | None) -> Executor:
    """Returns the executor that the flags name.

    Args:
        placement: The flags.
        phases: Shows the phases of children of this machine.
        server: Forks them, or None; it ends with the executor.

    Raises:
        UserError: More workers than cores or GPUs.
    """
    from kerascnn.studies import slots  # loads TensorFlow

    return LocalExecutor(slots.shared_out(placement.workers), phases, server)
