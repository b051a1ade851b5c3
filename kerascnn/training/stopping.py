"""Requests to stop training: a signal, or the end of its time."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kerascnn.errors import INTERRUPTED, STOPPED, Stopped


class StopRequest:
    """A request to stop, set by a signal or after a time; training checks it between two executions.

    Args:
        seconds: Seconds until it sets itself, or None.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.signal: int | None = None
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def pending(self) -> bool:
        """Whether training should stop."""
        return self.signal is not None or time.monotonic() >= self.deadline

    def stopped(self, kept: str) -> Stopped:
        """Returns the exception that ends training, with what was kept."""
        if self.signal == signal.SIGINT:
            why, code = "interrupted", INTERRUPTED
        elif self.signal is not None:
            why, code = f"stopped by {signal.Signals(self.signal).name}", STOPPED
        else:
            why, code = "time is up", STOPPED
        return Stopped(f"{why}: {kept}; the same command continues from there", code)

    @contextmanager
    def listening(self, say: Callable[[str], None]) -> Iterator["StopRequest"]:
        """Catches SIGINT and SIGTERM: the first one requests a stop, a second Ctrl-C ends at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.signal = number
            name = signal.Signals(number).name
            say(f"{name}: saving at the end of this step (Ctrl-C again: stop at once, at the last checkpoint)")

        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
