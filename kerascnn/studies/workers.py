"""A pool of workers that do jobs; each is a thread that waits for a child process in its own slot. No TensorFlow."""

import math
import threading
import time
from collections.abc import Callable, Sequence

from kerascnn.errors import Stopped
from kerascnn.studies.executor import Slot

# A job takes a slot and returns whether there may be more jobs.
Job = Callable[[Slot], bool]
PAUSE = 0.2


class WorkerPool:
    """One thread per slot, until there are no more jobs; a signal, the time limit or an error ends all of them.

    Args:
        slots: Slots of the workers' children.
        stop: Set when all workers should stop; those that wait for a child check it.
        seconds: Time limit, or None.

    Attributes:
        time_is_up: Whether it stopped because of the time limit.
    """

    def __init__(self, slots: Sequence[Slot], stop: threading.Event, seconds: float | None) -> None:
        self.slots, self.stop = slots, stop
        self.end = math.inf if seconds is None else time.monotonic() + seconds
        self.time_is_up = False
        self._trouble: BaseException | None = None

    def work(self, job: Job, tick: Callable[[], None] = lambda: None) -> None:
        """Runs `job` in all workers until it returns that there are no more; `tick` is called a few times a second.

        Raises:
            Stopped: The time is up; everything is kept.
            BaseException: The exception of a signal or of the first failing job, after all workers have stopped.
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
            raise Stopped("time is up: everything is kept, the same command continues")

    def _look(self) -> None:
        if time.monotonic() > self.end and not self.stop.is_set():
            self.time_is_up = True
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
