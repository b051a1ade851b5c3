"""Starts a Python program as a child of this process: forked by a server where there is one, else started. No TensorFlow."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

from kerascnn.processes.fork_server import ForkedProcess, ForkServer


class Child(Protocol):
    """A running program: what `subprocess.Popen` and `ForkedProcess` have in common."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    returncode: int | None

    def poll(self) -> int | None:
        """Returns its exit code, negative for a signal, or None if it has not ended."""

    def wait(self) -> int:
        """Waits for its end; returns its exit code."""

    def terminate(self) -> None:
        """Sends SIGTERM."""

    def kill(self) -> None:
        """Sends SIGKILL."""


def start(
    command: Sequence[str],
    *,
    server: ForkServer | None,
    stdout: IO[bytes] | int | None,
    stderr: IO[bytes] | int | None,
    environment: Mapping[str, str],
    numbers: Sequence[int] = (),
    without: str = "",
    package: Path | None = None,
) -> Child:
    """Starts a program in a session of its own, with a pipe as standard input.

    Args:
        command: Words after `python`: `-m MODULE ...` or `SCRIPT ...`.
        server: Forks the program if it can.
        stdout, stderr: Files, `subprocess.PIPE`, or None for those of this process.
        environment: The whole environment of the program.
        numbers: Descriptors that it gets under the same numbers.
        without: A package that the program cannot see as imported.
        package: A folder in which it must find modules.
    """
    if server is not None:
        forked = server.start(
            command, stdout=stdout, stderr=stderr, environment=environment, numbers=numbers, without=without
        )
        if forked is not None:
            return forked
    paths = [] if package is None else [str(package), *filter(None, [environment.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env={**environment, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})},
        pass_fds=tuple(numbers),
        start_new_session=True,
    )


def lost(child: Child) -> bool:
    """Returns whether nobody knows how a child ended, since the server that forked it died before."""
    return isinstance(child, ForkedProcess) and child.lost
