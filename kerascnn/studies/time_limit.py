"""A time limit that ends the children of a study. No TensorFlow."""

import contextlib
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def time_limit(hours: float | None) -> Iterator[threading.Event]:
    """Yields an event that is set after some hours (None: never), for `Executor.train`."""
    stop = threading.Event()
    timer = threading.Timer(hours * 3600, stop.set) if hours else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield stop
    finally:
        if timer:
            timer.cancel()
