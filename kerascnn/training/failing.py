"""Why training cannot go on, in words."""

import os

import tensorflow as tf

from kerascnn.cli import FULL, TrainingFailed


def exhausted(error: tf.errors.ResourceExhaustedError, batch_size: int, replicas: int) -> Exception:
    """What ran out: memory, or room on the disk, which TensorFlow calls by the same name."""
    for code in FULL:
        if os.strerror(code) in str(error):
            return OSError(code, os.strerror(code))
    smaller, said = max(batch_size // 2, replicas), str(error).splitlines()[0][:200]
    return TrainingFailed(f"out of memory with --batch-size {batch_size}: try {smaller} ({said})")
