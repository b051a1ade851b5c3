"""Several processes that answer at one address. This one starts them, replaces one that dies, and ends them. No TensorFlow."""

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from socket import socket
from typing import NamedTuple

from kerascnn.cli.command import ending
from kerascnn.cli.escaping import one_line
from kerascnn.errors import DONE, INTERRUPTED, CheckFailed

METRICS = "PROMETHEUS_MULTIPROC_DIR"  # as `request_counts.SHARED`, which imports prometheus-client
_STARTS = 3  # of one worker in a row that did not get ready
_GRACE = 10.0  # seconds beyond the time limit until a worker that should end is killed

Work = Callable[[socket, Callable[[], None]], int]  # listens, tells that it is ready, and answers until SIGTERM


class _Worker(NamedTuple):
    process: BaseProcess
    ready: Connection
    place: int


class _Signals:
    """SIGTERM and SIGINT, as numbers that came."""

    def __init__(self) -> None:
        self.came: list[int] = []

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Collects them instead of ending."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, lambda came, frame: self.came.append(came)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(work: Work, count: int, listening: socket, seconds: float, announce: Callable[[], None]) -> int:
    """Runs `count` workers until a signal, then ends them after what they took; returns the exit code.

    Args:
        work: The work of one process. It is pickled.
        count: Number of workers.
        listening: A bound socket, which all of them accept from.
        seconds: Time limit of a request.
        announce: Called once all workers are ready.
    """
    signals = _Signals()
    with tempfile.TemporaryDirectory(prefix="kerascnn-metrics-") as folder, signals.kept():
        os.environ[METRICS] = folder
        crew = _Crew(work, count, listening)
        try:
            code = crew.keep(signals.came, announce)
        finally:
            crew.end(seconds + _GRACE, signals.came)
            del os.environ[METRICS]
    return code if code != DONE else INTERRUPTED if signal.SIGINT in signals.came else DONE


class _Crew:
    """The workers of a server."""

    def __init__(self, work: Work, count: int, listening: socket) -> None:
        self._context = multiprocessing.get_context("spawn")  # a fork would not survive TensorFlow's threads
        self._arguments = (work, count, listening)
        self._failures = [0] * count
        self._workers = [self._start(place) for place in range(count)]

    def keep(self, signals: list[int], announce: Callable[[], None]) -> int:
        """Replaces workers that die, until a signal; returns another code than 0 where one cannot start."""
        waiting = set(range(len(self._workers)))
        announced = False
        while not signals:
            wait([worker.process.sentinel for worker in self._workers], timeout=0.2)  # a signal is seen that late
            for worker in self._workers:
                if worker.place in waiting and worker.ready.poll() and _told(worker.ready):
                    waiting.discard(worker.place)
                    self._failures[worker.place] = 0
            if not waiting and not announced:
                announced = True
                announce()
            for worker in [one for one in self._workers if not one.process.is_alive() and not signals]:
                self._failures[worker.place] += worker.place in waiting
                if not announced or self._failures[worker.place] == _STARTS:
                    return _given_up(worker.process.exitcode or 0)
                _tell(worker)
                waiting.add(worker.place)
                time.sleep(min(self._failures[worker.place], 1))
                self._workers[worker.place] = self._start(worker.place)
        return DONE

    def end(self, seconds: float, signals: list[int]) -> None:
        """Ends all workers after what they took; a second Ctrl-C, or the end of the time, ends them at once."""
        for worker in self._workers:
            worker.process.terminate()
        end = time.monotonic() + seconds
        while any(worker.process.is_alive() for worker in self._workers):
            if time.monotonic() > end or signals.count(signal.SIGINT) > 1:
                for worker in self._workers:
                    worker.process.kill()
            wait([worker.process.sentinel for worker in self._workers if worker.process.is_alive()], timeout=0.2)

    def _start(self, place: int) -> _Worker:
        ready, told = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(*self._arguments, place, told), name=f"worker {place}")
        process.start()
        told.close()
        return _Worker(process, ready, place)


def _told(ready: Connection) -> bool:
    try:
        return bool(ready.recv())
    except EOFError:  # it ended before
        return False


def _given_up(code: int) -> int:
    """Returns the exit code of a server whose worker cannot start: its own, which it has explained, where it chose one."""
    if code > 0:
        return code
    raise CheckFailed(f"a worker was ended by signal {-code} before it was ready: is there memory for all --workers?")


def _tell(worker: _Worker) -> None:
    event = f"ended with {worker.process.exitcode}, another one starts"
    line = {"time": round(time.time(), 3), "worker": worker.process.pid, "event": event}
    print(json.dumps(line), file=sys.stderr)


def _work(work: Work, count: int, listening: socket, place: int, told: Connection) -> None:
    """The main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent ends its workers
    threading.Thread(target=_follow_parent, daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share(sorted(os.sched_getaffinity(0)), place, count))

    def ready() -> None:
        told.send(True)

    try:
        code = work(listening, ready)
    except Exception as error:
        known = ending(error)
        if known is None:
            raise
        message, code = known
        print(f"kerascnn: {one_line(message)}", file=sys.stderr)
    sys.exit(code)


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


def share(cpus: list[int], place: int, count: int) -> list[int]:
    """Returns the CPUs of one worker of `count`: each CPU has one, and each worker at least one."""
    return cpus[place::count] or [cpus[place % len(cpus)]]
