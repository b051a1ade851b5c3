"""What a command does right now: phases, which those who work open and advance, and those who show look at. No TensorFlow.

Whoever may work for more than two seconds takes a `Phases` (default: `SILENT`) and opens a phase for each thing that it does.
A `Screen` shows them; in a child process a `Relay` sends them to the parent, where a `Mirror` opens the same phases again.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

TICK = 0.25  # seconds between two looks at what is under way
Item = TypeVar("Item")


class State(NamedTuple):
    """A phase as it travels between processes."""

    number: int
    name: str
    done: float
    total: float | None
    told: bool
    note: str


class Phase:
    """One piece of work from its start to `end`; also a context manager.

    Args:
        name: What is done, as in "listing photos".
        total: Number of its parts; None where that is not known.
        told: Whether a line says how long it took; without it only the wait is explained.
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
        """Since its start."""
        return time.monotonic() - self.began

    @property
    def done(self) -> float:
        """Parts that are done."""
        watched = self._watched
        done = max(self._done, watched() if watched else 0.0)
        return done if self.total is None else min(done, self.total)

    @property
    def left(self) -> float | None:
        """Seconds until its end, at the mean speed since `mark`; None where nothing can be said."""
        (since, before), done = self._mark, self.done
        if not self.total or done <= before:
            return None
        return (time.monotonic() - since) * (self.total - done) / (done - before)

    def expect(self, total: float) -> None:
        """Say how many parts there are, once that is known."""
        self.total = total

    def advance(self, parts: float = 1) -> None:
        """Say that more parts are done."""
        self._done += parts

    def reach(self, done: float) -> None:
        """Say how many parts are done."""
        self._done = done

    def mark(self) -> None:
        """Let the time left follow from the speed from now on: what came before was something else, as compiling."""
        self._mark = time.monotonic(), self.done

    def watch(self, done: Callable[[], float]) -> None:
        """Let `done` be asked a few times a second, from another thread, for the number of parts that are done."""
        self._watched = done

    def over(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items; one part is done whenever the next one is asked for."""
        for item in items:
            yield item
            self.advance()

    def end(self) -> None:
        """End it; a second end does nothing."""
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
    """The phases under way. This one shows nothing: `SILENT`."""

    def phase(self, name: str, total: float | None = None, *, told: bool = True) -> Phase:
        """Open a phase; see `Phase`."""
        return Phase(name, total, told, _nothing)


SILENT = Phases()


class Watched(Phases):
    """Phases at which a thread looks while there are any: `began`, `ended` and `look` say what that comes to."""

    def __init__(self) -> None:
        self._active: dict[int, Phase] = {}
        self._turn = threading.RLock()
        self._count = 0
        self._thread: threading.Thread | None = None

    def phase(self, name: str, total: float | None = None, *, told: bool = True) -> Phase:
        """Open a phase; see `Phase`."""
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
                with contextlib.suppress(OSError):  # a full disk, a closed terminal: whoever works meets it too
                    self.look()

    def active(self) -> dict[int, Phase]:
        """The phases under way by number, the oldest first."""
        with self._turn:
            return dict(self._active)

    def innermost(self) -> dict[int, Phase]:
        """Of each thread the phase that was opened last: those around it say nothing while it runs."""
        last = {phase.thread: (number, phase) for number, phase in self.active().items()}
        return dict(last.values())

    def began(self, number: int, phase: Phase) -> None:
        """A phase has begun."""

    def ended(self, number: int, phase: Phase) -> None:
        """A phase has ended."""

    def look(self) -> None:
        """A tick has passed while there are phases under way."""


class Relay(Watched):
    """The phases of a child process: its parent hears of them.

    Args:
        send: Given the state of all phases whenever one begins or ends, and at each tick. It may lose some.
    """

    def __init__(self, send: Callable[[list[State]], None]) -> None:
        super().__init__()
        self._send = send

    def began(self, number: int, phase: Phase) -> None:
        self.look()

    def ended(self, number: int, phase: Phase) -> None:
        self.look()

    def look(self) -> None:
        with contextlib.suppress(OSError):  # the parent has gone
            self._send(states(self.innermost()))


def states(phases: dict[int, Phase]) -> list[State]:
    """Phases as they travel."""
    return [State(n, p.name, p.done, p.total, p.told, p.note) for n, p in phases.items()]


def to_descriptor(descriptor: int) -> Callable[[list[State]], None]:
    """What `Relay` sends by, into a pipe: one line of JSON each. A full pipe or a parent that has gone loses it."""
    os.set_blocking(descriptor, False)

    def send(found: list[State]) -> None:
        line = (json.dumps(found) + "\n").encode()
        try:
            os.write(descriptor, line)
        except OSError:
            return

    return send


class Mirror:
    """The phases of a child, opened again here.

    Args:
        phases: Where they are shown.
        whose: What stands before their names.
    """

    def __init__(self, phases: Phases, whose: str) -> None:
        self.phases, self.whose = phases, whose
        self._open: dict[int, Phase] = {}
        self._rest = b""

    def show(self, found: Iterable[State]) -> None:
        """Open, advance and end phases until they are those of the child."""
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
        """Show what `to_descriptor` has written since the last call; returns at once."""
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
                self.show(State(*each) for each in found)
            except (ValueError, TypeError):  # cut off where the pipe was full
                return

    def end(self) -> None:
        """End what is still open: the child has gone."""
        self.show(())
