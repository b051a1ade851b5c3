"""Which form of an operation a layer traces: our fast one or stock Keras', and what of the machine decides it.

The choice is made when a layer is traced and leaves no mark in configs or weights.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from tensorflow.python.ops import control_flow_util
from tensorflow.python.util import _pywrap_util_port

# CPU flags (Linux's names) under which oneDNN runs bfloat16 at full speed.
BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})

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


def onednn() -> bool:
    """Whether TensorFlow's CPU kernels are oneDNN's."""
    return bool(_pywrap_util_port.IsMklEnabled())


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as Linux names them; none elsewhere. `ONEDNN_MAX_CPU_ISA` may hide bfloat16 units."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return frozenset()
    line = next((line for line in info.read_text().splitlines() if line.startswith("flags")), "")
    flags = frozenset(line.partition(":")[2].split())
    ceiling = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    if ceiling and ceiling not in ("ALL", "DEFAULT") and "AMX" not in ceiling:
        flags -= {"amx_bf16"}
        if "BF16" not in ceiling:
            flags -= BF16_FLAGS
    return flags
