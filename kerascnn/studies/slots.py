"""Divides the cores and GPUs of this machine among workers."""

import os

from kerascnn.devices import hardware
from kerascnn.devices.plan import inspect_hardware
from kerascnn.errors import UserError
from kerascnn.studies.executor import Slot


def shared_out(workers: int) -> list[Slot]:
    """Returns a slot for each worker: its own cores, and its own GPU if there are some. One worker gets everything.

    Raises:
        UserError: More workers than cores, or than GPUs.
    """
    if workers == 1:
        return [Slot()]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(hardware.available_cpus())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    found = len(inspect_hardware().gpus)
    gpus = visible if len(visible) == found and any(visible) else [str(i) for i in range(found)]
    for have, what in ((len(cores), "cores"), (found or workers, "GPUs")):
        if workers > have:
            raise UserError(f"--workers {workers}: there are {have} {what}, and workers share none: --workers {have}")
    share = len(cores) / workers
    return [
        Slot(tuple(cores[round(i * share) : round((i + 1) * share)]), gpus[i] if found else "") for i in range(workers)
    ]
