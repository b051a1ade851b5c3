"""What a run shows: lines on the screen, the same lines with times in its log.

No TensorFlow. Everything for people goes to standard output except errors; TensorFlow's own chatter is held back.
"""

import contextlib
import datetime
import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from kerascnn import ambient, streams
from kerascnn.errors import UserError
from kerascnn.escaping import printable

# Seconds until a wait shows what it waits for, and between two lines of it in a log.
WAIT, EVERY = 2.0, 10.0


class Lines(Console):
    """A console whose reader may go away (`fit | head`): the work goes on, and its lines go to the log alone."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.let_go(sys.stdout)


class Screen:
    """Lines for the user, copied with times into `log` once a run has one."""

    def __init__(self) -> None:
        self.console = Lines(highlight=False, soft_wrap=True, emoji=False)  # ":cd:" in a name is no picture
        self._log: IO[str] | None = None

    @property
    def live(self) -> bool:
        """Whether a bar may be drawn over the last line."""
        return self.console.is_terminal and self.console.file.isatty()  # FORCE_COLOR makes a terminal of every pipe

    def log_to(self, path: Path) -> None:
        """Append every further line to `path`; a log is written line by line, never rewritten."""
        self.close()
        self._log = path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Let go of the log."""
        if self._log is not None:
            self._log.close()
            self._log = None

    @contextlib.contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """Gives what is called with numbers of things done: a bar on a terminal, else a line every ten seconds."""
        done, start, told = 0, time.monotonic(), time.monotonic()
        bar = None

        def advance(count: int) -> None:
            nonlocal done, told, bar
            done += count
            now = time.monotonic()
            if self.live and bar is None and now > start + WAIT:
                bar = Progress(
                    TextColumn(what), BarColumn(), MofNCompleteColumn(), console=self.console, transient=True
                )
                bar.start()
                bar.add_task(what, total=total, completed=done)
            elif bar is not None:
                bar.update(bar.task_ids[0], completed=done)
            elif not self.live and now > told + EVERY:
                told = now
                self.say(f"        {what}: {done:,} of {total:,}")

        try:
            yield advance
        finally:
            if bar is not None:
                bar.stop()

    def say(self, line: str = "", *, style: str | None = None) -> None:
        """Show one line. What a name in it holds beside printable characters is shown as an escape."""
        line = printable(line)
        try:
            self.console.print(line, style=style, markup=False)
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that was closed
                raise
            self.console.quiet = True
        self.note(line)

    def note(self, line: str) -> None:
        """Write one line to the log alone."""
        if self._log is not None:
            self._log.write(f"{datetime.datetime.now().isoformat(' ', 'seconds')}  {line}\n")
            self._log.flush()


@contextlib.contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Holds file descriptor 2 while TensorFlow is imported and started; shows what was written if that fails.

    Keras comes first, with this program's settings and not those of the user's other work (`ambient`).

    TF_CPP_MIN_LOG_LEVEL alone is not enough: TensorFlow logs before it reads it.
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
        except UserError:
            failed = False  # its message says all
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                held.seek(0)
                sys.stderr.write(held.read().decode(errors="replace"))


def _memory() -> IO[bytes]:
    """A file without a name, in memory where there is such a thing: nothing need be writable for it."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("kerascnn"), "w+b")
    return tempfile.TemporaryFile()


def duration(seconds: float) -> str:
    """`seconds` as people say it: 41 s, 3 min 5 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
