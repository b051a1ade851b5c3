"""Phases: what a command is doing at the moment, and how far it is. No TensorFlow.

A function that may take more than two seconds has an argument of type `Phases` (default: `SILENT`) and opens a phase for each
of its tasks. A `Screen` shows the phases. In a child process a `Relay` sends them to the parent, where a `Mirror` reopens them.
"""

import contextlib
import json
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

TICK = 0.25  # seconds between two updates of the display
Item = TypeVar("Item")


class PhaseState(NamedTuple):
    """A phase in the form that is sent between processes."""

    number: int
    name: str
    done: float
    total: float | None
    told: bool
    note: str


class Phase:
    """A task from its start to `end`; also a context manager.

    Args:
        name: The task, as in "listing photos".
        total: Number of its parts, or None if that is not known.
        told: Whether a line reports its duration; otherwise only the wait is explained.
        ended: Called at its end.
    """

    def __init__(self, name: str, total: float | None, told: bool, ended: Callable[["Phase"], None]) -> None:
        self.name, self.total, self.told, self.note = name, total, told, ""
        self.began, self.thread = time.monotonic(), threading.get_ident()
        self._done = 0.0
        self._watched: Callable[[], float] | None = None
        self._ended = ended
        self._mark = self.began, 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    @property
    def done(self) -> float:
        """Number of parts that are done."""
        watched = self._watched
        done = max(self._done, watched() if watched else 0.0)
        return done if self.total is None else min(done, self.total)

    @property
    def left(self) -> float | None:
        """Estimated seconds until the end, from the mean speed since `mark`, or None if there is no estimate."""
        (since, before), done = self._mark, self.done
        if not self.total or done <= before:
            return None
        return (time.monotonic() - since) * (self.total - done) / (done - before)

    def expect(self, total: float) -> None:
        """Sets the number of parts."""
        self.total = total

    def advance(self, parts: float = 1) -> None:
        """Adds to the number of parts that are done."""
        self._done += parts

    def reach(self, done: float) -> None:
        """Sets the number of parts that are done."""
        self._done = done

    def mark(self) -> None:
        """Starts the measurement of the speed anew: the time before was spent on something else, such as compiling."""
        self._mark = time.monotonic(), self.done

    def watch(self, done: Callable[[], float]) -> None:
        """Sets a function that returns the number of parts that are done; another thread calls it a few times a second."""
        self._watched = done

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yields the items, and counts each one as done when the next one is requested."""
        for item in items:
            yield item
            self.advance()

    def end(self) -> None:
        """Ends the phase; a second call does nothing."""
        self._watched = None
        ended, self._ended = self._ended, _nothing
        ended(self)

    def __enter__(self) -> "Phase":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def _nothing(phase: Phase) -> None:
    pass


class Phases:
    """The current phases. This class shows nothing; its instance is `SILENT`."""

    def phase(self, name: str, total: float | None = None, *, told: bool = True) -> Phase:
        """Opens a phase; see `Phase`."""
        return Phase(name, total, told, _nothing)


SILENT = Phases()


_watched: "weakref.WeakSet[Watched]" = weakref.WeakSet()


def _hold() -> None:
    """Called before a fork: no thread that watches phases is about to write, and holds no lock that the fork would lack."""
    for each in list(_watched):
        each._turn.acquire()


def _release() -> None:
    for each in list(_watched):
        each._turn.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_release)


class Watched(Phases):
    """Phases that a thread watches as long as there are any; subclasses define `began`, `ended` and `look`."""

    def __init__(self) -> None:
        _watched.add(self)
        self._active: dict[int, Phase] = {}
        self._turn = threading.RLock()
        self._count = 0
        self._thread: threading.Thread | None = None

    def phase(self, name: str, total: float | None = None, *, told: bool = True) -> Phase:
        """Opens a phase; see `Phase`."""
        with self._turn:
            self._count += 1
            number = self._count
            phase = Phase(name, total, told, lambda phase: self._end(number, phase))
            self._active[number] = phase
            self.began(number, phase)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="phases", daemon=True)
                self._thread.start()
        return phase

    def _end(self, number: int, phase: Phase) -> None:
        with self._turn:
            if self._active.pop(number, None) is not None:
                self.ended(number, phase)

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            with self._turn:
                if not self._active:
                    self._thread = None
                    return
                with contextlib.suppress(OSError):  # a full disk or a closed terminal: the task itself meets it too
                    self.look()

    def active(self) -> dict[int, Phase]:
        """Returns the current phases by number, the oldest first."""
        with self._turn:
            return dict(self._active)

    def innermost(self) -> dict[int, Phase]:
        """Returns the most recent phase of each thread: the phases around it report nothing while it runs."""
        last = {phase.thread: (number, phase) for number, phase in self.active().items()}
        return dict(last.values())

    def began(self, number: int, phase: Phase) -> None:
        """Called when a phase has begun."""

    def ended(self, number: int, phase: Phase) -> None:
        """Called when a phase has ended."""

    def look(self) -> None:
        """Called at each tick as long as there are phases."""


class Relay(Watched):
    """The phases of a child process, sent to its parent.

    Args:
        send: Called with the states of all phases when one begins or ends, and at each tick. It may lose some.
    """

    def __init__(self, send: Callable[[list[PhaseState]], None]) -> None:
        super().__init__()
        self._send = send

    def began(self, number: int, phase: Phase) -> None:
        self.look()

    def ended(self, number: int, phase: Phase) -> None:
        self.look()

    def look(self) -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            self._send(states(self.innermost()))


def states(phases: dict[int, Phase]) -> list[PhaseState]:
    """Returns the phases in the form that is sent between processes."""
    return [PhaseState(n, p.name, p.done, p.total, p.told, p.note) for n, p in phases.items()]


def to_descriptor(descriptor: int) -> Callable[[list[PhaseState]], None]:
    """Returns a `send` for `Relay` that writes JSON lines into a pipe. Lines are lost if it is full or the parent is gone."""
    os.set_blocking(descriptor, False)

    def send(found: list[PhaseState]) -> None:
        line = (json.dumps(found) + "\n").encode()
        try:
            os.write(descriptor, line)
        except OSError:
            return

    return send


class Mirror:
    """The phases of a child process, reopened in this process.

    Args:
        phases: Where they are shown.
        whose: Prefix of their names.
    """

    def __init__(self, phases: Phases, whose: str) -> None:
        self.phases, self.whose = phases, whose
        self._open: dict[int, Phase] = {}
        self._rest = b""

    def show(self, found: Iterable[PhaseState]) -> None:
        """Opens, advances and ends phases to match those of the child."""
        there = {state.number: state for state in found}
        for number in self._open.keys() - there.keys():
            self._open.pop(number).end()
        for number, state in there.items():
            if number not in self._open:
                name = f"{self.whose}: {state.name}" if self.whose else state.name
                self._open[number] = self.phases.phase(name, state.total, told=state.told)
            phase = self._open[number]
            phase.total, phase.note = state.total, state.note
            phase.reach(state.done)

    def read(self, descriptor: int) -> None:
        """Shows what `to_descriptor` has written since the last call, without waiting."""
        while True:
            try:
                some = os.read(descriptor, 65536)
            except BlockingIOError:
                break
            if not some:
                break
            self._rest += some
        *lines, self._rest = self._rest.split(b"\n")
        if lines:
            try:
                found: list[Any] = json.loads(lines[-1])
                self.show(PhaseState(*each) for each in found)
            except (ValueError, TypeError):  # cut off where the pipe was full
                return

    def end(self) -> None:
        """Ends all open phases: the child is gone."""
        self.show(())
