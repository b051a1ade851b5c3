"""Asking training to stop: by a signal, or because time is up."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kerascnn.errors import INTERRUPTED, STOPPED, Stopped


class StopRequest:
    """Set by a signal or by time; training looks at it between two executions.

    Args:
        seconds: Time until it sets itself, or None.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.signal: int | None = None
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def pending(self) -> bool:
        """Whether training is to stop."""
        return self.signal is not None or time.monotonic() >= self.deadline

    def stopped(self, kept: str) -> Stopped:
        """The exception that ends training, with what was kept."""
        if self.signal == signal.SIGINT:
            why, code = "interrupted", INTERRUPTED
        elif self.signal is not None:
            why, code = f"stopped by {signal.Signals(self.signal).name}", STOPPED
        else:
            why, code = "time is up", STOPPED
        return Stopped(f"{why}: {kept}; the same command goes on from there", code)

    @contextmanager
    def listening(self, say: Callable[[str], None]) -> Iterator["StopRequest"]:
        """Catch SIGINT and SIGTERM: the first asks training to stop, a second Ctrl-C ends at once."""

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.signal = number
            name = signal.Signals(number).name
            say(f"{name}: saving at the end of the running step (Ctrl-C again: at once, back to the last checkpoint)")

        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
