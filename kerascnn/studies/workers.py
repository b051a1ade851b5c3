"""Workers that do one job after another, each a thread that waits for a child process in its own slot. No TensorFlow."""

import math
import threading
import time
from collections.abc import Callable, Sequence

from kerascnn.errors import Stopped
from kerascnn.studies.executor import Slot

# One job: takes the slot, does something, returns whether there may be more.
Job = Callable[[Slot], bool]
PAUSE = 0.2


class WorkerPool:
    """Threads, one for each slot, until there is no job left; a signal, time or an error ends all of them.

    Args:
        slots: Where each worker's children run.
        stop: Set once everybody is to stop; whoever waits for a child looks at it.
        seconds: Until time is up; None for never.
    """

    def __init__(self, slots: Sequence[Slot], stop: threading.Event, seconds: float | None) -> None:
        self.slots, self.stop = slots, stop
        self.end = math.inf if seconds is None else time.monotonic() + seconds
        self._trouble: BaseException | None = None

    def work(self, job: Job, tick: Callable[[], None] = lambda: None) -> None:
        """Lets everybody do `job` until it says that there is none left; `tick` is called a few times a second.

        Raises:
            Stopped: Time is up; everything is kept.
            BaseException: What a signal or the first failing job raised, once everybody has stopped.
        """
        threads = [threading.Thread(target=self._one, args=(job, slot), daemon=True) for slot in self.slots]
        self._look()
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self._look()
                tick()
                time.sleep(PAUSE)
        except BaseException:
            self.stop.set()
            raise
        finally:
            for thread in threads:
                thread.join()
            tick()
        if self._trouble is not None:
            raise self._trouble
        if self.stop.is_set():
            raise Stopped("time is up: everything is kept, the same command goes on")

    def _look(self) -> None:
        if time.monotonic() > self.end:
            self.stop.set()

    def _one(self, job: Job, slot: Slot) -> None:
        try:
            while not self.stop.is_set() and job(slot):
                pass
        except BaseException as error:
            if isinstance(error, Stopped) and self.stop.is_set():
                return
            self._trouble = self._trouble or error
            self.stop.set()
