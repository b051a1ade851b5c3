"""The orders of a parent to a child process, passed by a hidden flag. No TensorFlow."""

import os
import threading
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from kerascnn.cli.progress import PhaseState, to_descriptor
from kerascnn.errors import UserError
from kerascnn.runs.starting import CHILD_FLAG


class Orders(BaseModel):
    """The orders of a parent; a process without them is not a child.

    The standard input of a child stays open as long as its parent lives.

    Attributes:
        read_test: Whether test is scored, which is not done for candidates.
        cpus: Cores of the child; empty for all.
        progress: File descriptor for the phases of the child, or None.
        witness: File for the sums of all variables by step, for `kerascnn verify`; None for none.
        kill_at: Step after which the child kills itself, for `kerascnn verify`; None for never.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read_test: bool = True
    cpus: tuple[int, ...] = ()
    progress: int | None = None
    witness: str | None = None
    kill_at: int | None = None

    def flag(self) -> str:
        """Returns the word of the command line that passes them."""
        return f"{CHILD_FLAG}{self.model_dump_json()}"

    @classmethod
    def taken_from(cls, argv: Sequence[str]) -> tuple["Orders | None", list[str]]:
        """Returns the orders in `argv`, or None, and the other words."""
        given = [word for word in argv if word.startswith(CHILD_FLAG)]
        rest = [word for word in argv if word not in given]
        try:
            return cls.model_validate_json(given[-1].removeprefix(CHILD_FLAG)) if given else None, rest
        except ValidationError:
            raise UserError(f"{given[-1]}: this flag is reserved for subprocesses of this program") from None

    def pin(self) -> None:
        """Binds this process to its cores, before TensorFlow counts its threads."""
        if self.cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cpus)

    def tell(self) -> Callable[[list[PhaseState]], None] | None:
        """Returns the function that sends phases to the parent, or None."""
        return None if self.progress is None else to_descriptor(self.progress)


def variables(cpus: Sequence[int], gpu: str) -> dict[str, str]:
    """Returns the environment variables of a child: those of this process, its GPU and its threads."""
    found = dict(os.environ)
    if gpu:
        found["CUDA_VISIBLE_DEVICES"] = gpu
    if cpus and not hasattr(os, "sched_setaffinity"):  # macOS has no affinity, but the threads can be limited
        found |= {"TF_NUM_INTRAOP_THREADS": str(len(cpus)), "OMP_NUM_THREADS": str(len(cpus))}
    return found


def when_parent_ends(act: Callable[[], object]) -> None:
    """Calls `act` in a thread once standard input closes, so that a killed parent leaves no training and no lock."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        act()

    threading.Thread(target=watch, daemon=True).start()
