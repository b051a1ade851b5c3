"""Requests to stop training: a signal, or the end of its time."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from kerascnn.devices.team import ALONE, Team
from kerascnn.errors import INTERRUPTED, STOPPED, Stopped

_TIME_IS_UP = 1  # among the numbers of signals; SIGHUP's, which is not caught


class StopRequest:
    """A request to stop, set by a signal or after a time; training checks it between two executions.

    Args:
        seconds: Seconds until it sets itself, or None.
        team: The workers that stop together, at the same step.
    """

    def __init__(self, seconds: float | None = None, team: Team = ALONE) -> None:
        self.signal: int | None = None
        self.team, self._agreed = team, 0
        self.deadline = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def pending(self) -> bool:
        """Whether training should stop; of several workers, whether one of them had to when they last agreed."""
        return bool(self._own() if self.team.count == 1 else self._agreed)

    def agree(self) -> None:
        """Tells all workers whether this one has to stop; each calls it at the same steps."""
        if self.team.count > 1:
            self._agreed = self.team.largest(self._own())

    def _own(self) -> int:
        if self.signal is not None:
            return self.signal
        return _TIME_IS_UP if time.monotonic() >= self.deadline else 0

    def stopped(self, kept: str) -> Stopped:
        """Returns the exception that ends training, with what was kept."""
        number = self._agreed or self._own()
        if number == signal.SIGINT:
            why, code = "interrupted", INTERRUPTED
        elif number > _TIME_IS_UP:
            why, code = f"stopped by {signal.Signals(number).name}", STOPPED
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
