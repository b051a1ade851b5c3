"""Reasons why training cannot continue, as text."""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from kerascnn.errors import FULL, TrainingFailed
from kerascnn.runs import Run
from kerascnn.runs.files import write_file


@contextlib.contextmanager
def noted(run: Run) -> Iterator[None]:
    """Records in the run's directory why its training cannot continue, for `kerascnn list`; a better start clears it."""
    run.failure_file.unlink(missing_ok=True)
    try:
        yield
    except TrainingFailed as error:
        with contextlib.suppress(OSError):
            write_file(run.failure_file, f"{error}\n".encode())
        raise


def exhausted(error: tf.errors.ResourceExhaustedError, batch_size: int, replicas: int) -> Exception:
    """Returns which resource is exhausted: memory, or space on the disk, which TensorFlow reports by the same name."""
    for code in FULL:
        if os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    smaller, said = max(batch_size // 2, replicas), str(error).splitlines()[0][:200]
    return TrainingFailed(f"out of memory with --batch-size {batch_size}: try {smaller} ({said})")
