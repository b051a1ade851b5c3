"""The output of a command: lines on the screen, the same lines with times in its log, and the current phases.

No TensorFlow. Standard output takes everything for people except errors; TensorFlow's own messages are held back.
"""

import contextlib
import datetime
import errno
import gc
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from kerascnn.cli import ambient, streams
from kerascnn.cli.escaping import printable
from kerascnn.cli.progress import Phase, Phases, PhaseState, Watched, states
from kerascnn.errors import Stopped, UserError

# Seconds after which a phase gets a line, and seconds between two lines of a long phase.
WORTH, AGAIN = 1.0, 15.0


class Lines(Console):
    """A console whose reader may go away (`fit | head`): the command continues, and its lines go only to the log."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.let_go(cast("TextIO", self.file))  # standard output or standard error


class Screen(Watched):
    """Shows lines and phases, and copies lines with their times into a log. Phases are bars, or lines without a terminal.

    Args:
        errors: Whether all output goes to standard error, because another program reads standard output.
        worth: Seconds after which a phase gets a line.
        again: Seconds between two lines of a long phase.
        tell: Called with the states of all phases, as by a `Relay`, for a parent that shows them too.
    """

    def __init__(
        self,
        *,
        errors: bool = False,
        worth: float = WORTH,
        again: float = AGAIN,
        tell: Callable[[list[PhaseState]], None] | None = None,
    ) -> None:
        super().__init__()
        file = _standard_error() if errors else None
        self.console = Lines(highlight=False, soft_wrap=True, emoji=False, file=file)
        self.worth, self.again, self._errors = worth, again, errors
        self._tell = tell or (lambda found: None)
        self._log: IO[str] | None = None
        self._live: Live | None = None
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[parts]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.console,
            auto_refresh=False,
        )
        self._tasks: dict[int, TaskID] = {}
        self._spoke: dict[int, float] = {}
        self._head: RenderableType | None = None

    @property
    def live(self) -> bool:
        """Whether a bar may be drawn over the last line."""
        return (
            self.console.is_terminal and self.console.file.isatty()
        )  # with FORCE_COLOR rich takes every pipe for a terminal

    def log_to(self, path: Path) -> None:
        """Appends every further line to `path`."""
        self.close()
        self._log = path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Closes the log."""
        with self._turn:
            if self._log is not None:
                self._log.close()
                self._log = None

    @contextlib.contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Opens a phase and returns a function that adds to its number of finished parts."""
        with self.phase(what, total) as phase:
            yield phase.advance

    def say(self, line: str = "", *, style: str | None = None) -> None:
        """Shows one line; characters that are not printable are escaped."""
        line = printable(line)
        with self._turn:
            try:
                self.console.print(line, style=style, markup=False)
            except OSError as error:
                self._hung_up(error)
            self.note(line)

    def note(self, line: str) -> None:
        """Writes one line only to the log."""
        with self._turn:
            if self._log is not None:
                self._log.write(f"{datetime.datetime.now().isoformat(' ', 'seconds')}  {line}\n")
                self._log.flush()

    def head(self, picture: RenderableType | None) -> None:
        """Shows `picture` above the bars of a terminal; None removes it."""
        with self._turn:
            self._head = picture if self.live else None
            self._draw()

    # Phases

    def began(self, number: int, phase: Phase) -> None:
        self._tell(states(self.innermost()))
        if self.live:
            self._tasks[number] = self._bars.add_task(phase.name, total=phase.total, parts="", left="", note="")
            self._draw()
        if self.worth <= 0:
            self._announce(number, phase)

    def ended(self, number: int, phase: Phase) -> None:
        self._tell(states(self.innermost()))
        if number in self._tasks:
            self._show(self._tasks[number], phase)
            self._draw()  # a short phase ends before the next tick
            self._bars.remove_task(self._tasks.pop(number))
            self._draw()
        if self._spoke.pop(number, None) is not None and phase.told:
            line = f"        {phase.name}: {_seconds(phase.seconds)}"
            if self.live and phase.seconds < 2:
                self.note(line)
            else:
                self.say(line, style="dim")

    def look(self) -> None:
        now, innermost = time.monotonic(), self.innermost()
        self._tell(states(innermost))
        for number, phase in self.active().items():
            if number in self._tasks:
                self._show(self._tasks[number], phase)
            if number not in innermost:
                continue
            if number not in self._spoke:
                if phase.seconds >= self.worth:
                    self._announce(number, phase)
            elif now >= self._spoke[number] + self.again:
                self._spoke[number] = now
                self._line(f"        {phase.name}: {_progress(phase)}")
        self._refresh()

    def _announce(self, number: int, phase: Phase) -> None:
        self._spoke[number] = time.monotonic()
        if phase.told:
            self._line(f"        {phase.name} ...")

    def _line(self, line: str) -> None:
        """Writes a line about a current phase; if there is a bar, only to the log."""
        if self.live:
            self.note(line)
        else:
            self.say(line)

    def _show(self, task: TaskID, phase: Phase) -> None:
        done, left = phase.done, phase.left
        parts = "" if phase.total is None else f"{done:,.0f}/{phase.total:,.0f}"
        remaining = "" if left is None else f"{duration(left)} left"
        self._bars.update(task, completed=done, total=phase.total, parts=parts, left=remaining, note=phase.note)

    def _draw(self) -> None:
        """Starts the live display, or stops it if there is nothing to draw."""
        wanted = bool(self._tasks) or self._head is not None
        if wanted and self._live is None:
            self._live = Live(
                console=self.console,
                get_renderable=self._picture,
                auto_refresh=False,
                transient=True,
                redirect_stdout=not self._errors,
                redirect_stderr=not self._errors,
            )
            self._live.start()
        if wanted:
            self._refresh()
        elif self._live:
            self._live.stop()
            self._live = None

    def _refresh(self) -> None:
        if self._live is None:
            return
        try:
            self._live.refresh()
        except OSError as error:
            self._hung_up(error)

    def _hung_up(self, error: OSError) -> None:
        """Stops the output to a terminal that was closed; raises any other error."""
        if error.errno != errno.EIO:
            raise error
        self.console.quiet = True

    def _picture(self) -> RenderableType:
        return Group(self._head, self._bars) if self._head is not None else self._bars


class _StandardError(io.TextIOBase):
    """Standard error as it is now, also while `quiet` redirects it; the null device if it is closed."""

    def __init__(self) -> None:
        there = sys.stderr is not None
        self._descriptor = os.dup(sys.stderr.fileno()) if there else os.open(os.devnull, os.O_WRONLY)

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, text: str) -> int:
        left = text.encode(errors="backslashreplace")
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(text)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _standard_error() -> IO[str]:
    try:
        return cast("IO[str]", _StandardError())
    except (OSError, ValueError):  # in a test or a notebook, where it is not a file
        return sys.stderr


def _progress(phase: Phase) -> str:
    """Returns the progress of a phase as text."""
    if phase.total is None:
        return f"{_seconds(phase.seconds)} so far"
    left = "" if phase.left is None else f", {duration(phase.left)} left"
    return f"{phase.done:,.0f} of {phase.total:,.0f}{left}"


def _seconds(seconds: float) -> str:
    """Returns `seconds` as text, with one decimal below a minute."""
    return f"{seconds:.1f} s" if seconds < 59.95 else duration(seconds)


@contextlib.contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Redirects file descriptor 2 while TensorFlow is imported and started; shows what was written if that fails.

    Keras is imported first, with the settings of this program (`ambient`). TF_CPP_MIN_LOG_LEVEL alone is not enough:
    TensorFlow logs before it reads the variable.
    """
    if verbose:
        ambient.start_keras()
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("ABSL_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with _memory() as held:
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            ambient.start_keras()
            yield
            failed = False
        except (UserError, OSError, Stopped):
            failed = False  # its message is enough
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))


def _memory() -> IO[bytes]:
    """Returns an anonymous file, in memory if the system supports that, so that no folder needs to be writable."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("kerascnn"), "w+b")
    return tempfile.TemporaryFile()


@contextlib.contextmanager
def starting(phases: Phases) -> Iterator[Phase]:
    """The phase of TensorFlow's import, without garbage collection of the imported objects.

    An import creates half a million objects that live until the end. Collecting among them takes a third of the time of a
    short command (2.4 of 7.5 s on a Zen 3 core, resnet18 built twice).
    """
    first, enabled = "tensorflow" not in sys.modules, gc.isenabled()
    gc.disable()
    try:
        with phases.phase("starting TensorFlow") as phase:
            yield phase
    finally:
        if first:  # only the first time: objects that a caller has made since are not kept alive
            gc.freeze()
        if enabled:
            gc.enable()


def duration(seconds: float) -> str:
    """Returns `seconds` as text: 41 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
