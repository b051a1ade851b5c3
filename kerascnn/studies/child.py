"""What a child process is told by its parent, in one hidden flag, and how it follows. No TensorFlow."""

import os
import threading
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from kerascnn.cli.progress import State, to_descriptor
from kerascnn.errors import UserError
from kerascnn.runs.starting import CHILD_FLAG


class Orders(BaseModel):
    """What a parent tells a child; without them a process is nobody's child.

    A child's standard input stays open as long as its parent lives.

    Attributes:
        read_test: Whether test is scored; a candidate's is not.
        cpus: The cores that the child keeps to; empty for all.
        progress: A descriptor that hears what the child does; None where nobody listens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    read_test: bool = True
    cpus: tuple[int, ...] = ()
    progress: int | None = None

    def flag(self) -> str:
        """The word that hands them over."""
        return f"{CHILD_FLAG}{self.model_dump_json()}"

    @classmethod
    def taken_from(cls, argv: Sequence[str]) -> tuple["Orders | None", list[str]]:
        """The orders in `argv`, None where there are none, and the words beside them."""
        given = [word for word in argv if word.startswith(CHILD_FLAG)]
        rest = [word for word in argv if word not in given]
        try:
            return cls.model_validate_json(given[-1].removeprefix(CHILD_FLAG)) if given else None, rest
        except ValidationError:
            raise UserError(
                f"{given[-1]}: only this program gives this flag, to the processes that it starts"
            ) from None

    def pin(self) -> None:
        """Keeps this process to its cores, before TensorFlow counts its threads."""
        if self.cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cpus)

    def tell(self) -> Callable[[list[State]], None] | None:
        """What tells the parent what this process does; None where nobody listens."""
        return None if self.progress is None else to_descriptor(self.progress)


def variables(cpus: Sequence[int], gpu: str) -> dict[str, str]:
    """The variables of this process, and those that must be there before a child begins: its GPU, its threads."""
    found = dict(os.environ)
    if gpu:
        found["CUDA_VISIBLE_DEVICES"] = gpu
    if cpus and not hasattr(os, "sched_setaffinity"):  # macOS: at least no more threads than that
        found |= {"TF_NUM_INTRAOP_THREADS": str(len(cpus)), "OMP_NUM_THREADS": str(len(cpus))}
    return found


def when_parent_ends(act: Callable[[], object]) -> None:
    """Calls `act`, in a thread, once standard input closes: a killed parent leaves no training and no lock behind."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        act()

    threading.Thread(target=watch, daemon=True).start()
