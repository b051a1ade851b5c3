"""Decides whether a process is forked or started. The decisions are pure functions of facts. No TensorFlow."""

import contextlib
import os
import platform
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# Variables that Python and its libraries read when they are imported begin with one of these.
READ_AT_IMPORT = (
    *(
        "ABSL_",
        "BLIS_",
        "CUDA_",
        "DNNL_",
        "GLIBC_",
        "GOMP_",
        "HDF5_",
        "KERAS_",
        "KMP_",
        "LD_",
        "MALLOC_",
        "MKL_",
        "MPL",
    ),
    *(
        "NPY_",
        "NUMEXPR_",
        "NUMPY_",
        "NVIDIA_",
        "OMP_",
        "ONEDNN_",
        "OPENBLAS_",
        "PYTHON",
        "SCIPY_",
        "TF2_",
        "TF_",
        "XLA_",
    ),
)
GPU_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
HARMLESS_THREADS = ("phases",)  # `cli.progress` holds their lock during a fork


class Facts(NamedTuple):
    """What decides whether this process can be forked.

    Attributes:
        system: As `platform.system` names it.
        imported: Whether TensorFlow is imported: without it a fork saves nothing.
        started: Whether TensorFlow has started its threads, or a GPU is in use; neither survives a fork.
        threads: Names of Python's threads other than the main one.
        forkable_thread: Whether the main thread asks.
        watchable: Whether the system can wait for processes that are not children (Linux 5.3).
    """

    system: str = "Linux"
    imported: bool = True
    started: bool = False
    threads: tuple[str, ...] = ()
    forkable_thread: bool = True
    watchable: bool = True


def may_fork(facts: Facts) -> bool:
    """Returns whether a process with these facts can be forked: only on Linux, since macOS' libraries do not survive it."""
    threads = set(facts.threads) - set(HARMLESS_THREADS)
    ready = facts.imported and not facts.started and facts.forkable_thread and not threads
    return facts.system == "Linux" and facts.watchable and ready


def same_at_import(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Returns whether two environments agree in all variables that are read when libraries are imported."""
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    return not any(name.startswith(READ_AT_IMPORT) for name in differing)


def facts() -> Facts:
    """Returns the facts of this process."""
    main = threading.main_thread()
    return Facts(
        system=platform.system(),
        imported="tensorflow" in sys.modules,
        started=_tensorflow_started() or _uses_gpu(),
        threads=tuple(thread.name for thread in threading.enumerate() if thread is not main),
        forkable_thread=threading.current_thread() is main,
        watchable=_watchable(),
    )


def _tensorflow_started() -> bool:
    if "tensorflow" not in sys.modules:
        return False
    from kerascnn.compat.tensorflow import started

    return started()


def _uses_gpu() -> bool:
    with contextlib.suppress(OSError):
        for descriptor in list(Path("/proc/self/fd").iterdir()):
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                if str(descriptor.readlink()).startswith(GPU_DEVICES):
                    return True
    return False


def _watchable() -> bool:
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True
