"""The process that forks others, and what a forked process does before its program runs. No TensorFlow.

A request is a message with descriptors: of the request's JSON, of a pipe for the status, of the working directory, of the
three standard streams, and of those that the program gets under their own numbers. The status is a line with the id of
the forked process, and later a line with its exit code, negative for a signal.
"""

import array
import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from kerascnn.compat import python

MOST_DESCRIPTORS = 32
FIXED = 6  # descriptors of each request: its JSON, status, working directory, standard streams
FAILED = 1


def serve(channel: socket.socket, preloaded: Sequence[str]) -> NoReturn:
    """Forks a process for each request until the other end of `channel` closes."""
    try:
        interrupt = _settle(channel.fileno())
        for name in preloaded:
            with contextlib.suppress(Exception):  # the program that needs it reports the error
                importlib.import_module(name)
        if "tensorflow" in sys.modules and _started():
            os._exit(FAILED)
        gc.freeze()  # what is imported lives as long as the process; collections would copy its pages
        _Server(channel, interrupt).run()
    finally:
        os._exit(FAILED)


def _started() -> bool:
    from kerascnn.compat.tensorflow import started

    return started()


def _settle(kept: int) -> bool:
    """Cuts this fork off from the terminal, the files and the locks of its parent; returns whether SIGINT is ignored."""
    os.setsid()
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    _close_all_but({0, 1, 2, kept})
    return ignored


def _close_all_but(kept: set[int]) -> None:
    for number in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if number not in kept:
            with contextlib.suppress(OSError):  # the descriptor of the listing itself
                os.close(number)


class _Server:
    """Forks processes and reports how they end.

    Args:
        channel: Where requests come from.
        interrupt_ignored: Whether forked processes ignore SIGINT, as those of a command in the background do.
    """

    def __init__(self, channel: socket.socket, interrupt_ignored: bool) -> None:
        self.channel, self.interrupt_ignored = channel, interrupt_ignored
        self.statuses: dict[int, int] = {}  # process -> the pipe for its status
        self.woken, wake = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)  # wakes the poll up

    def run(self) -> NoReturn:
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self.woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.woken, 4096)
                self._reap()
            if self.channel.fileno() in ready:
                word, descriptors = _received(self.channel)
                if not word:  # the parent is gone
                    os._exit(0)
                self._fork(descriptors)

    def _reap(self) -> None:
        for process, status in list(self.statuses.items()):
            ended, how = os.waitpid(process, os.WNOHANG)
            if ended:
                _say(status, os.waitstatus_to_exitcode(how))
                os.close(self.statuses.pop(process))

    def _fork(self, descriptors: list[int]) -> None:
        status = descriptors[1]
        try:
            process = os.fork()
        except OSError:  # the pipe closes without an id
            process = -1
        if process == 0:
            _become(descriptors, self.interrupt_ignored)
        for descriptor in descriptors:
            if descriptor != status or process < 0:
                os.close(descriptor)
        if process > 0:
            self.statuses[process] = status
            _say(status, process)


def _received(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Returns a message and its descriptors."""
    found = array.array("i")
    size = socket.CMSG_LEN(MOST_DESCRIPTORS * found.itemsize)
    word, ancillary, _, _ = channel.recvmsg(1, size)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return word, list(found)


def _say(status: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(status, f"{number}\n".encode())


def _become(descriptors: list[int], interrupt_ignored: bool) -> NoReturn:
    """Turns a fork into the requested program."""
    code = FAILED
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN if interrupt_ignored else signal.default_int_handler)
        with os.fdopen(descriptors[0], "rb") as file:
            file.seek(0)
            request = json.load(file)
        os.fchdir(descriptors[2])
        _take(descriptors[3:], [0, 1, 2, *request["numbers"]])
        os.environ.clear()
        os.environ.update(request["environment"])
        _renew(request["without"])
        code = _run(request["command"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _take(given: Sequence[int], numbers: Sequence[int]) -> None:
    """Gives the descriptors their numbers, and closes all others."""
    import fcntl

    above = max((*given, *numbers)) + 1
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, above) for descriptor in given]
    for descriptor, number in zip(moved, numbers, strict=True):
        os.dup2(descriptor, number)
    _close_all_but(set(numbers))


def _renew(without: str) -> None:
    """Renews what a new process has of its own: streams, random numbers, garbage collection; forgets a package."""
    import tempfile

    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _opened(number, getattr(sys, f"__{name}__"))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    random.seed()
    if "numpy" in sys.modules:
        import numpy as np

        np.random.seed()
    tempfile.tempdir = None
    if without:
        for name in [name for name in sys.modules if name.partition(".")[0] == without]:
            del sys.modules[name]
    gc.enable()


def _opened(number: int, before: Any) -> TextIO:
    """Opens a standard stream as Python does at its start, with the encoding that the environment had asked for."""
    encoding = getattr(before, "encoding", None)
    if number == 0:
        return open(number, encoding=encoding, errors=getattr(before, "errors", None), closefd=False)
    unbuffered = getattr(before, "write_through", False)
    # The command has changed those of the others (`cli.streams`).
    errors = "backslashreplace" if number == 2 else getattr(sys.__stdin__, "errors", None)
    stream = open(number, "w", encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115 - of the whole process
    stream.reconfigure(line_buffering=not unbuffered and (number == 2 or stream.isatty()), write_through=unbuffered)
    return stream


def _run(command: Sequence[str]) -> int:
    """Runs `-m MODULE ARGUMENT...` or `SCRIPT ARGUMENT...` as Python does; returns the exit code."""
    try:
        try:
            _run_main(list(command))
            code = 0
        except SystemExit as error:
            code = _code(error.code)
        python.wait_for_threads()
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        code = -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = FAILED
    python.run_exit_functions()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # Python's own code for output that is lost
            code = code or 120
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code & 0xFF


def _run_main(command: list[str]) -> None:
    if command[0] == "-m":
        _, module, *arguments = command
        sys.argv = [module, *arguments]
        _look_first_in(os.getcwd())  # noqa: PTH109 - as Python writes it
        sys.modules.pop(module, None)  # imported by the command that forked: runpy would warn
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        sys.argv = command
        _look_first_in(str(Path(command[0]).resolve().parent))
        runpy.run_path(command[0], run_name="__main__")


def _look_first_in(folder: str) -> None:
    """Sets the folder of the program, where modules are looked for first."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder


def _code(given: Any) -> int:
    """Returns the exit code of `sys.exit(given)`."""
    if given is None:
        return 0
    if isinstance(given, int):
        return given
    print(given, file=sys.stderr)
    return FAILED
