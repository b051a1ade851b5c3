"""What TensorFlow calls "resource exhausted" is memory or the disk: the advice differs."""

import errno
from pathlib import Path

import pytest
import tensorflow as tf

from kerascnn.errors import TrainingFailed
from kerascnn.training import failing


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_not_taken_for_memory() -> None:
    with pytest.raises(tf.errors.ResourceExhaustedError) as raised:
        tf.io.write_file("/dev/full", "x" * 100_000)
    found = failing.exhausted(raised.value, batch_size=64, replicas=1)
    assert isinstance(found, OSError)
    assert found.errno == errno.ENOSPC


def test_memory_advises_half_the_batch_and_no_less_than_one_image_each() -> None:
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
    for batch, smaller in ((512, 256), (3, 2)):
        found = failing.exhausted(error, batch_size=batch, replicas=2)
        assert isinstance(found, TrainingFailed)
        assert f"--batch-size {batch}: try {smaller} (OOM" in str(found)
