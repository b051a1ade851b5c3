"""Writes to a tracker in a thread, so that one that is slow or down neither stops nor slows a training."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerascnn.tracking.tracker import Point, Tracker

ROOM = 2_000  # records that may wait; further ones are dropped
PATIENCE, LITTLE_PATIENCE = 60.0, 3.0  # seconds to wait at the end, and those for a tracker whose last record failed
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0  # seconds between two attempts
BATCH = 500  # points that are written together

Record = tuple[str, tuple[Any, ...]]


class Background(Tracker):
    """Passes records to a tracker in their order, from a bounded queue.

    A record that fails is tried again until it is written or the training ends, unless trying cannot help. A note is printed
    at the first failure, and another one at the end if records are missing.

    Args:
        tracker: The tracker.
        say: Takes a note.
        room: Number of records that may wait.
        patience: Seconds to wait at the end.
    """

    def __init__(
        self, tracker: Tracker, say: Callable[[str], None], room: int = ROOM, patience: float = PATIENCE
    ) -> None:
        self.tracker, self.say, self.name, self.patience = tracker, say, tracker.name, patience
        self._waiting: queue.Queue[Record] = queue.Queue(room)
        self._started, self._hurry, self._failing = threading.Event(), threading.Event(), threading.Event()
        self._noted, self._dropped = False, 0
        self._thread = threading.Thread(target=self._work, name=f"track-{self.name}", daemon=True)

    def start(self) -> None:
        """Starts the thread, whose first act is to start the tracker."""
        self._put("start")
        self._thread.start()

    def wait_for_start(self, seconds: float) -> bool:
        """Waits until the tracker has started, has failed once or the time is over; returns whether it has started."""
        until = time.monotonic() + seconds
        while not (self._started.is_set() or self._noted) and self._thread.is_alive() and time.monotonic() < until:
            self._started.wait(0.05)
        return self._started.is_set()

    def points(self, points: Sequence[Point]) -> None:
        """See `Tracker`, here and below."""
        self._put("points", tuple(points))

    def config(self, text: str) -> None:
        self._put("config", text)

    def images(self, split: str, pngs: Mapping[str, bytes]) -> None:
        self._put("images", split, dict(pngs))

    def values(self, values: Mapping[str, Any], scores: Mapping[str, float] | None = None) -> None:
        self._put("values", dict(values), None if scores is None else dict(scores))

    def files(self, paths: Sequence[Path]) -> None:
        self._put("files", tuple(paths))

    def model(self, version: Path) -> None:
        self._put("model", version)

    def end(self, status: str) -> None:
        """Waits for the records, for a bounded time; what is left then is given up."""
        until = time.monotonic() + self.patience
        asked = self._put("end", status)
        while self._thread.is_alive() and asked and time.monotonic() < until:
            if self._failing.is_set():
                until = min(until, time.monotonic() + LITTLE_PATIENCE)
                self._hurry.set()
            self._thread.join(0.1)
        self._hurry.set()
        left = self._dropped + self._waiting.qsize()
        if self._thread.is_alive() or self._dropped:
            self.say(f"note: {self.name}: {max(left, 1)} records were not written")

    def _put(self, name: str, *given: Any) -> bool:
        try:
            self._waiting.put_nowait((name, given))
        except queue.Full:
            self._dropped += 1
            return False
        return True

    def _work(self) -> None:
        following: Record | None = None
        while True:
            name, given = following or self._waiting.get()
            following = None
            if name == "points":
                given, following = self._joined(given)
            written = self._done(name, given)
            if name == "end" or (name == "start" and not written):
                return
            if name == "start":
                self._started.set()

    def _joined(self, given: tuple[Any, ...]) -> tuple[tuple[Any, ...], Record | None]:
        """Returns waiting points as one record, and the record after them."""
        points = list(given[0])
        while len(points) < BATCH:
            try:
                name, more = self._waiting.get_nowait()
            except queue.Empty:
                break
            if name != "points":
                return (tuple(points),), (name, more)
            points += more[0]
        return (tuple(points),), None

    def _done(self, name: str, given: tuple[Any, ...]) -> bool:
        """Writes a record, again and again if it fails; returns whether it was written."""
        wait = FIRST_WAIT
        while True:
            try:
                getattr(self.tracker, name)(*given)
                self._failing.clear()
                return True
            except Exception as error:  # each library raises its own, and none may end the thread
                final = self.tracker.hopeless(error)
                self._note(error, final, name)
            if final:
                self._dropped += 1
                self._failing.clear()
                return False
            self._failing.set()
            # Sleeps until the next attempt; a training that ends cuts it short.
            time.sleep(min(wait, FIRST_WAIT) if self._hurry.is_set() else wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _note(self, error: Exception, final: bool, name: str) -> None:
        if not self._noted:
            self._noted = True
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            lost = "nothing is written to it" if name == "start" else "a record is left out"
            then = lost if final else "it is tried again"
            self.say(f"note: {self.name} took no record, {then}; the training continues: {reason}")
