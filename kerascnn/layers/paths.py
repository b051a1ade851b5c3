"""Which form of an operation a layer traces: our fast one or stock Keras', and what of the machine decides it.

The choice is made when a layer is traced and leaves no mark in configs or weights.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.ops import control_flow_util
from tensorflow.python.util import _pywrap_util_port

from kerascnn.devices import hardware

# Of the whole process, since MirroredStrategy traces its replicas in threads of their own.
_stock = False


@contextlib.contextmanager
def stock_paths() -> Iterator[None]:
    """Within it every layer is traced as stock Keras computes it; what was traced before keeps its form.

    For comparisons (`kerascnn benchmark --vs stock`) and tests: build or compile the model inside.
    """
    global _stock
    before, _stock = _stock, True
    try:
        yield
    finally:
        _stock = before


def fast() -> bool:
    """Whether a fast form may be traced here: outside `stock_paths`, and not under XLA, which fuses plain forms itself."""
    return not _stock and not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def onednn(dtype=tf.float32) -> bool:
    """Whether TensorFlow's CPU kernels of `dtype` are oneDNN's. Says once where they could be and are not."""
    on = bool(_pywrap_util_port.IsMklEnabled())
    if not on:
        _say_off()
    return on and (dtype == tf.float32 or (dtype == tf.bfloat16 and hardware.onednn_has_bfloat16(_flags())))


@functools.cache
def _flags() -> frozenset[str]:
    return hardware.cpu_flags()


@functools.cache
def _say_off() -> None:
    """A log line and not a warning, which would end programs that make errors of warnings."""
    if hardware.onednn_pays_here() and not tf.config.list_physical_devices("GPU"):
        logging.getLogger("kerascnn").warning(
            "TensorFlow was imported before kerascnn and runs without oneDNN, with which this CPU is faster:"
            " import kerascnn first, or set %s=1 (0 keeps it off without this line)",
            hardware.ONEDNN,
        )
