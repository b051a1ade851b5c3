"""A process that has imported TensorFlow and forks others, which saves each of them the import. No TensorFlow at import.

TensorFlow takes 4 to 7 seconds to import on a laptop's core. Python's `multiprocessing.forkserver` does not fit: its server is
a new process that imports TensorFlow once more, there is one in a process, which the user's program may need, and its
children have neither the exit codes nor the streams, environment and session of a started program.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from typing import IO

from kerascnn.processes import choosing, serving


class ForkServer:
    """A fork of this process that forks processes on request.

    They are as if started by `subprocess`, in sessions of their own, except that they have imported TensorFlow. The server
    ends with this process. After its own death it forks none, and processes have to be started.

    Args:
        process: Its id.
        channel: Where requests go.
        environment: The environment with which its libraries were imported.
    """

    def __init__(self, process: int, channel: socket.socket, environment: Mapping[str, str]) -> None:
        self.process = process
        self._channel = channel
        self._environment = dict(environment)

    @classmethod
    def here(cls, preloaded: Sequence[str] = ()) -> "ForkServer | None":
        """Forks this process; returns None where that is not safe or saves nothing (`choosing.may_fork`).

        To be called directly after the import of TensorFlow, before it starts threads.

        Args:
            preloaded: Modules that the server imports before its first fork, while this process continues.
        """
        return cls.forked(preloaded) if choosing.may_fork(choosing.facts()) else None

    @classmethod
    def forked(cls, preloaded: Sequence[str] = ()) -> "ForkServer":
        """Forks this process, which the caller knows to be safe; see `here`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # the fork must not write it again
        with warnings.catch_warnings():
            # Python 3.12 warns if there are other threads: here those of numpy's BLAS, which start anew, and `phases`.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            serving.serve(theirs, preloaded)
        theirs.close()
        return cls(process, ours, os.environ)

    def start(
        self,
        command: Sequence[str],
        *,
        stdout: IO[bytes] | int | None,
        stderr: IO[bytes] | int | None,
        environment: Mapping[str, str],
        numbers: Sequence[int] = (),
        without: str = "",
    ) -> "ForkedProcess | None":
        """Starts a program with a pipe as standard input; returns None if the server is gone or has another environment.

        Args:
            command: Words after `python`: `-m MODULE ...` or `SCRIPT ...`.
            stdout: A file, `subprocess.PIPE`, or None for that of this process.
            stderr: The same.
            environment: The whole environment of the program.
            numbers: Descriptors that it gets under the same numbers.
            without: A package that is as if never imported.
        """
        if not choosing.same_at_import(self._environment, environment):
            return None
        request = {"command": command, "environment": dict(environment), "numbers": numbers, "without": without}
        with contextlib.ExitStack() as sent, contextlib.ExitStack() as kept:
            file = sent.enter_context(tempfile.TemporaryFile())
            file.write(json.dumps(request).encode())
            file.flush()
            status, theirs = _pipe(kept, sent)
            stdin, entry = _pipe(sent, kept)
            folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
            sent.callback(os.close, folder)
            outputs = []
            read = None
            for number, stream in ((1, stdout), (2, stderr)):
                if stream == subprocess.PIPE:
                    read, stream = _pipe(kept, sent)
                outputs.append(number if stream is None else stream if isinstance(stream, int) else stream.fileno())
            try:
                socket.send_fds(self._channel, [b"."], [file.fileno(), theirs, folder, stdin, *outputs, *numbers])
                sent.close()  # so that an end of the server ends the status
                process = ForkedProcess(status, entry, read)
            except (OSError, EOFError):
                return None
            kept.pop_all()
            return process

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the server, but not the processes that it has forked."""
        self._channel.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


class ForkedProcess:
    """A process of a `ForkServer`, with the interface of `subprocess.Popen`.

    Args:
        status: Descriptor of the pipe for its status.
        stdin: Descriptor of its standard input.
        stdout: Descriptor of its standard output or error, if that is a pipe.

    Attributes:
        lost: Whether the server died before the process: how it ended is unknown, and `returncode` is that of SIGKILL.

    Raises:
        EOFError: The server did not start it.
    """

    def __init__(self, status: int, stdin: int, stdout: int | None) -> None:
        self._status, self._said = status, b""
        self.returncode: int | None = None
        self.lost = False
        found = self._line()  # waits until the server has imported its modules
        if not found:
            raise EOFError
        self.pid = int(found)
        self.stdin: IO[bytes] | None = os.fdopen(stdin, "wb", buffering=0)
        self.stdout: IO[bytes] | None = None if stdout is None else os.fdopen(stdout, "rb")
        self._process = None
        with contextlib.suppress(ProcessLookupError):  # it has ended, as its status says
            self._process = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        """Returns its exit code, negative for a signal, or None if it has not ended."""
        if self.returncode is None and not self.lost and _ready(self._status):
            self._note(self._line())
        if self.returncode is None and self.lost and _ready(self._process):
            self._ended(-signal.SIGKILL)
        return self.returncode

    def wait(self) -> int:
        """Waits for its end; returns its exit code."""
        if self.returncode is None and not self.lost:
            self._note(self._line())
        if self.returncode is None:
            _ready(self._process, None)
            self._ended(-signal.SIGKILL)
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, number)

    def _line(self) -> bytes:
        """Waits for a line of the status; returns nothing if the server is gone."""
        while b"\n" not in self._said:
            some = os.read(self._status, 64)
            if not some:
                return b""
            self._said += some
        line, _, self._said = self._said.partition(b"\n")
        return line

    def _note(self, line: bytes) -> None:
        if line:
            self._ended(int(line))
        else:
            self.lost = True

    def _ended(self, code: int) -> None:
        self.returncode = code
        for descriptor in (self._status, self._process):
            if descriptor is not None:
                os.close(descriptor)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Returns a pipe whose ends are closed by these stacks."""
    ends = os.pipe()
    for stack, end in zip((reader, writer), ends, strict=True):
        stack.callback(os.close, end)
    return ends


def _ready(descriptor: int | None, milliseconds: int | None = 0) -> bool:
    """Returns whether a descriptor can be read, or whether there is none; waits that long, or without limit."""
    if descriptor is None:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
