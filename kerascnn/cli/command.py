"""The boundary of every command: messages instead of tracebacks, and an exit code for each way to end. No TensorFlow.

An error that is not handled here is a bug of this program, and keeps its traceback.
"""

import contextlib
import errno
import functools
import os
import re
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Protocol

from kerascnn.cli import streams
from kerascnn.cli.escaping import one_line, printable
from kerascnn.errors import (
    CHECK_FAILED,
    DONE,
    FULL,
    INTERRUPTED,
    PASSING,
    STOPPED,
    TRAINING_FAILED,
    USER_ERROR,
    CheckFailed,
    Stopped,
    TrainingFailed,
    UserError,
)

# System errors that other libraries (TensorFlow, HDF5, ONNX) report in messages of their own.
_TOLD = (*FULL, *PASSING, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG, errno.EISDIR)


class Main(Protocol):
    """A command: takes flags (default: those of the process) and returns an exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def command(body: Callable[[list[str]], int]) -> Main:
    """Wraps the body of a command as `main(argv=None) -> exit code`, with messages instead of tracebacks."""

    @functools.wraps(body)
    def main(argv: Sequence[str] | None = None) -> int:
        streams.secure()
        signals: list[int] = []
        try:
            try:
                with _stopped_by_sigterm(signals):
                    code = body(list(sys.argv[1:] if argv is None else argv))
            except SystemExit as error:  # --help
                code = error.code if isinstance(error.code, int) else DONE
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader (head, less) is gone
            streams.let_go(sys.stdout)
            return DONE
        except KeyboardInterrupt:
            return _report("interrupted", INTERRUPTED)
        except Stopped as error:
            return _report(str(error), error.code)
        except Exception as error:
            if signals:  # a library turned `Stopped` into another error
                return _report(_SIGTERM, STOPPED)
            known = ending(error)
            if known is None:
                raise
            return _report(*known)

    return main


_SIGTERM = "stopped by SIGTERM: the same command continues from what is kept"
_AGAIN = 0.05  # seconds until a signal whose exception was swallowed comes again


@contextlib.contextmanager
def _stopped_by_sigterm(signals: list[int]) -> Iterator[None]:
    """Turns SIGTERM into an exception: unfinished files are removed, and child processes stop.

    A library's `except:`, or Python itself in a destructor, can swallow the exception. The signal is then sent again until it
    ends the command. A training has a handler of its own, which saves first. The former handler is restored at the end.
    """
    over = threading.Event()

    def again() -> None:
        time.sleep(_AGAIN)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    def stopped() -> Stopped:
        error = Stopped(_SIGTERM)
        weakref.finalize(error, threading.Thread(target=again, daemon=True).start).atexit = False
        return error

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        raise stopped()  # no name here for it: a frame in its own traceback would keep it alive

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)


def ending(error: Exception) -> tuple[str, int] | None:
    """Returns the message and the exit code of an expected error, or None for a bug of this program."""
    if isinstance(error, UserError):
        return str(error), USER_ERROR
    if isinstance(error, CheckFailed):
        return str(error), CHECK_FAILED
    if isinstance(error, TrainingFailed):
        return str(error), TRAINING_FAILED
    if isinstance(error, MemoryError) or (_named(error, "ResourceExhaustedError") and not refused(error)):
        said = one_line(str(error).splitlines()[0][:200]) if str(error) else type(error).__name__
        return f"out of memory: a smaller --batch-size or --image-size needs less ({said})", TRAINING_FAILED
    system = refused(error)
    if system is None:
        return None
    # Not 1: no check has failed. 75 if the same command can continue once the cause is gone.
    return explained(system), STOPPED if system.errno in (*FULL, *PASSING) else USER_ERROR


def refused(error: BaseException) -> OSError | None:
    """Returns the system error behind an error: an OSError itself, or one that a library's message names."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    text = str(error)
    for code in _TOLD:
        if re.search(rf"{re.escape(os.strerror(code))}|\berrno = {code}\b", text):
            named = re.match(r"(?P<path>/[^\n;:]+)[;:] ", text)
            return OSError(code, os.strerror(code), named["path"]) if named else OSError(code, os.strerror(code))
    if isinstance(error, OSError):
        # numpy reports the bytes written, but not the reason.
        short = re.search(r"\d+ requested and \d+ written", text)
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if short else error
    return None


def _named(error: Exception, name: str) -> bool:
    """Returns whether an error is of TensorFlow's class `name`, without an import of TensorFlow."""
    return any(kind.__name__ == name and kind.__module__.startswith("tensorflow") for kind in type(error).__mro__)


def explained(error: OSError) -> str:
    """Returns a message with the file, the reason, and what to do."""
    known = isinstance(error.filename, str | bytes | os.PathLike)
    place = f"{one_line(os.fsdecode(error.filename))}: " if known else ""
    reason = error.strerror or one_line(str(error)) or type(error).__name__
    if not known and reason.startswith("No usable temporary directory"):  # Python's, whichever library asked for one
        return "there is no folder for temporary files: set TMPDIR to a writable folder"
    if error.errno in FULL:
        return f"{place}{reason}: make room there; the same command continues from what is kept"
    if error.errno in PASSING:
        return f"{place}{reason}: once that is fixed, the same command continues from what is kept"
    way_out = ": choose another place" if known else ""
    if known and isinstance(error, PermissionError):
        way_out += ", or make this one readable and writable"
    return f"{place}{reason}{way_out} (KERASCNN_TRACEBACK=1 shows more)"


def _report(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # standard output is on a full disk: the message is still printed
        sys.stdout.flush()
    try:
        print(f"kerascnn: {printable(message)}", file=sys.stderr)
        if os.environ.get("KERASCNN_TRACEBACK"):
            traceback.print_exc()
        sys.stderr.flush()
    except OSError:
        streams.let_go(sys.stderr)
    return code
