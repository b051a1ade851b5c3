"""Tells whether TensorFlow runs oneDNN's kernels or its own on this CPU."""

import functools
import logging

import tensorflow as tf

from kerascnn.compat.tensorflow import onednn_on
from kerascnn.devices import hardware


def onednn(dtype=tf.float32) -> bool:
    """Returns whether TensorFlow's CPU kernels of `dtype` are those of oneDNN; logs once if they could be and are not."""
    on = onednn_on()
    if not on:
        _say_off()
    return on and (dtype == tf.float32 or (dtype == tf.bfloat16 and hardware.onednn_has_bfloat16(_flags())))


@functools.cache
def _flags() -> frozenset[str]:
    return hardware.cpu_flags()


@functools.cache
def _say_off() -> None:
    """Writes a log line. A warning would end programs that turn warnings into errors."""
    if hardware.onednn_pays_here() and not tf.config.list_physical_devices("GPU"):
        logging.getLogger("kerascnn").warning(
            "TensorFlow was imported before kerascnn and runs without oneDNN, which is faster on this CPU:"
            " import kerascnn first, or set %s=1 (0 keeps it off without this line)",
            hardware.ONEDNN,
        )
