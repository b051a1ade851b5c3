"""Runs and calls on this machine, in child processes that end with their parent. No TensorFlow."""

import contextlib
import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO, Any

from kerascnn.cli.progress import SILENT, Mirror, Phases
from kerascnn.errors import Stopped, UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.processes.starting import Child, lost, start
from kerascnn.runs import Run
from kerascnn.studies import calls, child
from kerascnn.studies.executor import CHILD_LOG, ChildLost, Found, Row, Slot, check_ending, fit_command, killed_by

LOOK = 0.2  # seconds between two checks of a child
# What trainings and measurements import besides TensorFlow: imported by a fork server before its first fork.
PRELOADED = ("kerascnn.fit", "kerascnn.training", "kerascnn.artefacts.exporting", "kerascnn.devices.timing")


class LocalExecutor:
    """An `Executor` of child processes.

    A child ends once its standard input closes, so that a killed parent leaves no children. Each child has its own session:
    Ctrl-C reaches only the parent, which ends its children.

    Args:
        slots: Slots that can be used at the same time.
        phases: Shows the phases of the children.
        server: Forks the children where it can, and ends with the executor; None starts them.
    """

    def __init__(
        self, slots: Sequence[Slot] = (Slot(),), phases: Phases = SILENT, server: ForkServer | None = None
    ) -> None:
        self.slots = tuple(slots)
        self.phases = phases
        self.server = server
        self._children: set[Child] = set()

    @property
    def forks(self) -> bool:
        """See `Executor.forks`."""
        return self.server is not None

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all children, also of trainings whose rows were not consumed to the end."""
        for left in list(self._children):
            _end(left)
        if self.server is not None:
            self.server.close()
            self.server = None

    def train(
        self,
        run_dir: str | os.PathLike[str],
        until: int | None,
        slot: Slot,
        *,
        candidate: bool,
        stop: threading.Event,
        label: str = "",
    ) -> Iterator[Row]:
        """Trains a run; see `Executor.train`."""
        run = Run(run_dir)
        seen = len(run.history())
        run.path.mkdir(parents=True, exist_ok=True)
        orders = child.Orders(read_test=not candidate, cpus=slot.cpus)
        again = True
        while again:
            with (
                (run.path / CHILD_LOG).open("ab") as log,
                self._started(fit_command(run, until), orders, slot, label, log, log) as (process, show),
            ):
                while True:
                    ended = process.poll() is not None
                    show()
                    rows = run.history()
                    yield from rows[seen:]
                    seen = max(seen, len(rows))
                    if ended or stop.is_set():
                        break
                    time.sleep(LOOK)
            again = lost(process) and not stop.is_set()  # the next one is started, and continues or is finished
        if stop.is_set():
            raise Stopped(f"run {run.name} was stopped")
        assert process.returncode is not None
        check_ending(run, process.returncode)

    def call(self, function: Callable[..., Found], *args: Any, slot: Slot, alone: bool = False) -> Found:
        """Returns the result of `function` in a new process; see `Executor.call`."""
        try:
            return self._called(function, args, slot, alone)
        except ChildLost as error:
            memory = ": a smaller --batch-size needs less" if error.killed else ""
            raise UserError(f"{error.said}{memory}") from None

    def spread(self, function: Callable[..., Found], *args: Any, slot: Slot, stop: threading.Event) -> Found:
        """Returns the result of `function` in a new process; see `Executor.spread`."""
        return self._called(function, args, slot, False, stop)

    def _called(
        self,
        function: Callable[..., Found],
        args: Sequence[Any],
        slot: Slot,
        alone: bool,
        stop: threading.Event | None = None,
    ) -> Found:
        """Returns the result of `function`; raises ChildLost if its process ends without one, Stopped if `stop` is set."""
        line = calls.request(function, args)
        orders = child.Orders(cpus=slot.cpus)
        again = True
        while again:
            with self._started(calls.COMMAND, orders, slot, "", subprocess.PIPE, None, alone=alone) as (process, show):

                def look(show: Callable[[], None] = show) -> None:
                    show()
                    if stop is not None and stop.is_set():
                        raise Stopped("stopped")

                try:
                    answer = _asked(process, line, look)
                except BaseException:  # a stop does not wait for a measurement
                    process.terminate()
                    raise
            again = lost(process) and not answer.endswith(b"\n")
        if not answer.endswith(b"\n"):
            code = process.returncode
            assert code is not None
            how = killed_by(code) if code < 0 else f"ended with code {code}"
            raise ChildLost(f"the process that ran {function.__name__} {how}", killed=code < 0)
        found: Found = calls.result(function, answer.decode())
        return found

    @contextlib.contextmanager
    def _started(
        self,
        command: Sequence[str],
        orders: child.Orders,
        slot: Slot,
        label: str,
        stdout: IO[bytes] | int,
        stderr: IO[bytes] | None,
        alone: bool = False,
    ) -> Iterator[tuple[Child, Callable[[], None]]]:
        """Yields a running child, and a function that shows its present phases."""
        heard, told = os.pipe()
        os.set_blocking(heard, False)
        mirror = Mirror(self.phases, label)
        try:
            try:
                process = start(
                    [*command, orders.model_copy(update={"progress": told}).flag()],
                    server=None if alone else self.server,
                    stdout=stdout,
                    stderr=stderr,
                    environment=child.variables(slot.cpus, slot.gpu),
                    numbers=(told,),
                )
            finally:
                os.close(told)
            self._children.add(process)
            try:
                yield process, lambda: mirror.read(heard)
            finally:
                _end(process)
                self._children.discard(process)
        finally:
            mirror.end()
            os.close(heard)


def _end(process: Child) -> None:
    """Asks a child to end, and waits until it has saved its state."""
    if process.stdin:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    process.wait()


def _asked(process: Child, line: str, show: Callable[[], None]) -> bytes:
    """Returns the output of a child after a request; `show` is called a few times a second."""
    assert process.stdin
    assert process.stdout
    answer = b""
    with contextlib.suppress(BrokenPipeError):  # it has ended: see its exit code
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
    with process.stdout, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            ready = selector.select(LOOK)
            show()
            if ready:
                some = os.read(process.stdout.fileno(), 65536)
                if not some:
                    return answer
                answer += some
