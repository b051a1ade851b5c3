"""What makes a function a command: messages instead of tracebacks, an exit code for each way to end. No TensorFlow.

The one boundary of every command. What it does not know is a fault of this program, and stays a traceback.
"""

import contextlib
import errno
import functools
import os
import re
import signal
import sys
import threading
import traceback
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

# What other libraries (TensorFlow, HDF5, ONNX) say in words of their own where the system refused something.
_TOLD = (*FULL, *PASSING, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG, errno.EISDIR)


class Main(Protocol):
    """A command: flags in, exit code out; without flags those of the process."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def command(body: Callable[[list[str]], int]) -> Main:
    """Make `main(argv=None) -> exit code` of a command's body: messages instead of tracebacks."""

    @functools.wraps(body)
    def main(argv: Sequence[str] | None = None) -> int:
        streams.secure()
        signals: list[int] = []
        try:
            try:
                with _stopped_by_sigterm(signals):
                    code = body(list(sys.argv[1:] if argv is None else argv))
            except SystemExit as error:  # tyro's --help and its own errors
                code = error.code if isinstance(error.code, int) else DONE
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # the reader (head, less) has gone: nothing more to say
            streams.let_go(sys.stdout)
            return DONE
        except KeyboardInterrupt:
            return _report("interrupted", INTERRUPTED)
        except Stopped as error:
            return _report(str(error), error.code)
        except Exception as error:
            if signals:  # a library's own handler made another error of it
                return _report(_SIGTERM, STOPPED)
            known = ending(error)
            if known is None:
                raise
            return _report(*known)

    return main


_SIGTERM = "stopped by SIGTERM: the same command goes on from what is kept"


@contextlib.contextmanager
def _stopped_by_sigterm(signals: list[int]) -> Iterator[None]:
    """SIGTERM ends a command as an exception would: what it has begun to write is cleaned away, its children stop.

    A training listens itself while it runs, and saves. The handler from before is put back.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        signals.append(number)
        raise Stopped(_SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def ending(error: Exception) -> tuple[str, int] | None:
    """The message and the exit code of an expected error; None for one that is a fault of this program."""
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
    # Not 1: no check has failed. 75 where the same command goes on once the cause is gone.
    return explained(system), STOPPED if system.errno in (*FULL, *PASSING) else USER_ERROR


def refused(error: BaseException) -> OSError | None:
    """The system's refusal that an error stands for: an OSError itself, or what another library tells of one in words."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    text = str(error)
    for code in _TOLD:
        if re.search(rf"{re.escape(os.strerror(code))}|\berrno = {code}\b", text):
            named = re.match(r"(?P<path>/[^\n;:]+)[;:] ", text)
            return OSError(code, os.strerror(code), named["path"]) if named else OSError(code, os.strerror(code))
    if isinstance(error, OSError):
        # numpy counts what went to the disk, and drops the reason.
        short = re.search(r"\d+ requested and \d+ written", text)
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if short else error
    return None


def _named(error: Exception, name: str) -> bool:
    """Whether an error is of TensorFlow's class `name`, told without an import of TensorFlow."""
    return any(kind.__name__ == name and kind.__module__.startswith("tensorflow") for kind in type(error).__mro__)


def explained(error: OSError) -> str:
    """What went wrong with which file, and what to do."""
    known = isinstance(error.filename, str | bytes | os.PathLike)
    place = f"{one_line(os.fsdecode(error.filename))}: " if known else ""
    reason = error.strerror or one_line(str(error)) or type(error).__name__
    if error.errno in FULL:
        return f"{place}{reason}: make room there; the same command goes on from what is kept"
    if error.errno in PASSING:
        return f"{place}{reason}: once that is mended, the same command goes on from what is kept"
    way_out = ": choose another place" if known else ""
    if known and isinstance(error, PermissionError):
        way_out += ", or make this one readable and writable"
    return f"{place}{reason}{way_out} (KERASCNN_TRACEBACK=1 shows more)"


def _report(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # a full disk behind standard output: the message still goes out
        sys.stdout.flush()
    try:
        print(f"kerascnn: {printable(message)}", file=sys.stderr)
        if os.environ.get("KERASCNN_TRACEBACK"):
            traceback.print_exc()
        sys.stderr.flush()
    except OSError:
        streams.let_go(sys.stderr)
    return code
