"""Why training cannot go on, in words."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from kerascnn.errors import FULL, TrainingFailed
from kerascnn.runs import Run
from kerascnn.runs.files import write_file


@contextlib.contextmanager
def noted(run: Run) -> Iterator[None]:
    """Keep in the run's directory why its training cannot continue, for `kerascnn list`; a start that does better clears it."""
    run.failure_file.unlink(missing_ok=True)
    try:
        yield
    except TrainingFailed as error:
        with contextlib.suppress(OSError):
            write_file(run.failure_file, f"{error}\n".encode())
        raise


def exhausted(error: tf.errors.ResourceExhaustedError, batch_size: int, replicas: int) -> Exception:
    """What ran out: memory, or room on the disk, which TensorFlow calls by the same name."""
    for code in FULL:
        if os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    smaller, said = max(batch_size // 2, replicas), str(error).splitlines()[0][:200]
    return TrainingFailed(f"out of memory with --batch-size {batch_size}: try {smaller} ({said})")
