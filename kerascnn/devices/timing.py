"""Time measurement: after a warm-up, in rounds, with medians."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


class Latency(NamedTuple):
    """The latency of single calls, in milliseconds.

    Args:
        p50_ms: The median.
        p95_ms: The 95th percentile.
        calls: Number of calls.
    """

    p50_ms: float
    p95_ms: float
    calls: int


def latency(call: Callable[[], object], calls: int = 50, warm: int = 5) -> Latency:
    """Returns the latency of a call that fetches its result, after `warm` calls that are not counted."""
    for _ in range(warm):
        call()
    seconds = [_seconds(call) for _ in range(calls)]
    p50, p95 = np.quantile(seconds, (0.5, 0.95)) * 1000
    return Latency(float(p50), float(p95), calls)


def throughput(call: Callable[[], object], images: int, seconds: float = 2.0) -> float:
    """Returns the images per second of a call with `images` images: the median of the calls in about `seconds`."""
    call()
    once = _seconds(call)
    rounds = max(3, min(100, int(seconds / max(once, 1e-6))))
    return images / float(np.median([_seconds(call) for _ in range(rounds)]))


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int = 5, seconds: float = 0.5
) -> dict[str, list[float]]:
    """Returns the seconds per call of each name and round. Each round times every name, so that all see the same machine."""
    repeats = {}
    for name, call in calls.items():
        call()
        repeats[name] = max(1, int(seconds / max(_seconds(call), 1e-6)))
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(float(np.median([_seconds(call) for _ in range(repeats[name])])))
    return found


def inference(model: Any, batch: int, image_size: int, dtype: str | None = None) -> Callable[[], object]:
    """Returns a call that runs the compiled `model` on one fixed batch of images and fetches the logits.

    Args:
        model: A model from raw pixels to logits.
        batch: Number of images.
        image_size: Height and width of the images.
        dtype: Type of the pixels (default: the model's input type).
    """
    shape = (batch, image_size, image_size, 3)
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape), dtype or model.inputs[0].dtype)
    compiled = tf.function(lambda x: model(x, training=False))
    return lambda: compiled(images).numpy()


def matmul_peak(dtype: str = "float32", side: int = 2048, seconds: float = 1.0) -> float:
    """Returns the floating-point operations per second of a product of two square matrices.

    The result is that of the fastest call in `seconds`, because a peak does not depend on other work of the machine.
    """
    rng = np.random.default_rng(0)
    one, other = (tf.cast(rng.normal(size=(side, side)), dtype) for _ in range(2))
    # Only one number is fetched, so that the copy of the product is not timed.
    compiled = tf.function(lambda a, b: tf.matmul(a, b)[0, 0])
    return 2 * side**3 / _fastest(lambda: compiled(one, other).numpy(), seconds)


def _fastest(call: Callable[[], object], seconds: float) -> float:
    call()
    found = [_seconds(call)]
    while sum(found) < seconds or len(found) < 3:
        found.append(_seconds(call))
    return min(found)


def peak_memory() -> int:
    """Returns the peak memory of this process so far, in bytes."""
    # getrusage would include the parent's peak on Linux.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
